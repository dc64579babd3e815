-- To read feeds, batches and attachments. Labels are read from the application's own tables: SELECT on those.
-- An account that may only read can still lock rows (`SELECT ... FOR UPDATE`): see "Readers that lock" in docs/operations.md.
-- Each log.
GRANT SELECT ON app.events TO 'app_read'@'%';
GRANT SELECT ON app.event_batches TO 'app_read'@'%';
GRANT SELECT ON app.event_attachments TO 'app_read'@'%';
