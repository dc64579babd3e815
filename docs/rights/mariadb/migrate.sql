-- To migrate. Keep the account: triggers act with its rights, also when it is used for nothing else.
-- With the binary log on, see "Error 1419" in README.
GRANT SELECT, INSERT, CREATE, ALTER, DROP, TRIGGER ON app.* TO 'app_migrate'@'%';
-- Optional: MySQL wants it for foreign keys, MariaDB does not.
GRANT REFERENCES ON app.* TO 'app_migrate'@'%';
