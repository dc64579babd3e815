-- To read feeds, batches and attachments. Labels are read from the application's own tables: SELECT on those.
-- Policies of row-level security may limit what this account sees.
GRANT USAGE ON SCHEMA public TO app_read;
-- Each log.
GRANT SELECT ON events TO app_read;
GRANT SELECT ON event_batches TO app_read;
GRANT SELECT ON event_attachments TO app_read;
