-- To operate: dead letters (list, retry, discard), and an inbox that is to start again.
GRANT SELECT, UPDATE, DELETE ON app.event_failures TO 'app_operate'@'%';
GRANT SELECT, DELETE ON app.event_cursors TO 'app_operate'@'%';
