-- To migrate: the account that owns the tables. Run these scripts as the database's owner, then let this account migrate.
GRANT USAGE, CREATE ON SCHEMA public TO app_migrate;
-- For typed tables (`table = "..."`), on each table that their foreign keys refer to:
--   GRANT REFERENCES, SELECT ON issues TO app_migrate;
