-- To operate: dead letters (list, retry, discard), and an inbox that is to start again.
GRANT USAGE ON SCHEMA public TO app_operate;
GRANT SELECT, UPDATE, DELETE ON event_failures TO app_operate;
GRANT SELECT, DELETE ON event_cursors TO app_operate;
