-- To dispatch. What handlers do on `Db` and `Txn` needs its own rights; those of record.sql where they record.
-- Each log that an inbox takes events of. TRIGGER lets the start check see the log's triggers; it lets the account replace them, too. Where
-- the account also records (record.sql), it can be left out: the check then tries whether the trigger acts.
GRANT SELECT, TRIGGER ON app.events TO 'app_dispatch'@'%';
GRANT SELECT ON app.events_slots TO 'app_dispatch'@'%';
GRANT SELECT, INSERT, UPDATE ON app.event_cursors TO 'app_dispatch'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON app.event_failures TO 'app_dispatch'@'%';
-- Optional: MySQL wants it for SELECT ... FOR UPDATE, MariaDB does not. Each log.
GRANT UPDATE ON app.events_slots TO 'app_dispatch'@'%';
