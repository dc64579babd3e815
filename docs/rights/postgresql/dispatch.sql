-- To dispatch. What handlers do on `Db` and `Txn` needs its own rights; those of record.sql where they record.
-- Row-level security must not apply to this account: it owns no table, so give it BYPASSRLS where a table below has policies.
GRANT USAGE ON SCHEMA public TO app_dispatch;
-- Each log that an inbox takes events of, and its sequence.
GRANT SELECT ON events TO app_dispatch;
GRANT SELECT ON SEQUENCE events_id_seq TO app_dispatch;
GRANT SELECT, INSERT, UPDATE ON event_cursors TO app_dispatch;
GRANT SELECT, INSERT, UPDATE, DELETE ON event_failures TO app_dispatch;
-- Optional: without it, events of other processes are found by polling alone.
GRANT SELECT, INSERT, UPDATE, DELETE ON event_sleepers TO app_dispatch;
