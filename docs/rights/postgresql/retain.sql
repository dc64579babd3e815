-- To prune old events, and to sweep attachments. Row-level security must not apply to this account.
GRANT USAGE ON SCHEMA public TO app_retain;
-- Each log that is pruned.
GRANT SELECT, DELETE ON events TO app_retain;
GRANT SELECT, INSERT, DELETE ON event_retention TO app_retain;
GRANT SELECT ON event_cursors TO app_retain;
GRANT SELECT ON event_failures TO app_retain;
GRANT SELECT, DELETE ON event_throttles TO app_retain;
-- Where attachments are swept: also SELECT on the logs that have some, and on their archives.
GRANT SELECT, UPDATE (state), DELETE ON event_attachments TO app_retain;
-- For `archive_in_table`, which creates `<log>_archive`:
--   GRANT CREATE ON SCHEMA public TO app_retain;
-- For `batches`, which removes recorded batches: all logs and their archives have to be read.
--   GRANT SELECT, DELETE ON event_batches TO app_retain;
--   GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_retain;
