-- To prune old events, and to sweep attachments.
-- Each log that is pruned.
GRANT DELETE ON app.events TO 'app_retain'@'%';
GRANT INSERT, DELETE ON app.event_retention TO 'app_retain'@'%';
GRANT DELETE ON app.event_throttles TO 'app_retain'@'%';
-- Where attachments are swept.
GRANT UPDATE (state), DELETE ON app.event_attachments TO 'app_retain'@'%';
-- The logs, event_cursors, event_failures, and archives: the server does not tell an account that may not read a table whether there is one.
GRANT SELECT ON app.* TO 'app_retain'@'%';
-- For `archive_in_table`, which creates `<log>_archive`:
--   GRANT CREATE, INSERT ON app.* TO 'app_retain'@'%';
-- For `batches`, which removes recorded batches:
--   GRANT DELETE ON app.event_batches TO 'app_retain'@'%';
