//! What a database holds besides rows, as lines of text: to compare what two ways of making it make.

use sea_orm::{ConnectionTrait, Statement};

use crate::{Kind, TestDb};

/// A trigger of a table.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The statement that makes it.
    pub definition: String,
}

impl TestDb {
    /// The triggers of a table, sorted by name.
    pub async fn triggers(&self, table: &str) -> Vec<Trigger> {
        let sql = match self.kind() {
            Kind::Sqlite => {
                format!("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'")
            }
            Kind::Postgres => format!(
                "SELECT CAST(tgname AS text), pg_get_triggerdef(oid) FROM pg_trigger \
                 WHERE NOT tgisinternal AND tgrelid = '{table}'::regclass"
            ),
            Kind::MySql => format!(
                "SELECT trigger_name, concat('CREATE TRIGGER ', trigger_name, ' ', action_timing, ' ', \
                 event_manipulation, ' ON ', event_object_table, ' FOR EACH ROW ', action_statement) \
                 FROM information_schema.triggers \
                 WHERE event_object_schema = database() AND event_object_table = '{table}'"
            ),
        };
        let rows = self.query_all_raw(Statement::from_string(self.get_database_backend(), sql)).await.unwrap();
        let get = |row: &sea_orm::QueryResult, index| row.try_get_by_index::<String>(index).unwrap();
        let mut triggers: Vec<_> =
            rows.iter().map(|row| Trigger { name: get(row, 0), definition: get(row, 1) }).collect();
        triggers.sort_by(|a, b| a.name.cmp(&b.name));
        triggers
    }

    /// Tables with their columns, indexes, constraints, triggers and functions, sorted; without migration tables.
    pub async fn schema(&self) -> Vec<String> {
        let queries: &[&str] = match self.kind() {
            Kind::Sqlite => &[
                "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%migrations' AND name NOT LIKE 'sqlite_%'",
            ],
            Kind::Postgres => &[
                "SELECT table_name, column_name, ordinal_position, data_type, udt_name, character_maximum_length, \
                 datetime_precision, is_nullable, column_default, is_identity, identity_generation \
                 FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '%migrations'",
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '%migrations'",
                "SELECT CAST(conrelid::regclass AS text), CAST(conname AS text), pg_get_constraintdef(oid) FROM pg_constraint \
                 WHERE connamespace = 'public'::regnamespace AND CAST(conrelid::regclass AS text) NOT LIKE '%migrations'",
                "SELECT pg_get_triggerdef(oid), CAST(tgenabled AS text) FROM pg_trigger WHERE NOT tgisinternal",
                "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
                "SELECT CAST(sequencename AS text), start_value, increment_by, cycle, cache_size FROM pg_sequences",
            ],
            Kind::MySql => &[
                "SELECT table_name, engine, table_collation, create_options FROM information_schema.tables \
                 WHERE table_schema = database() AND table_name NOT LIKE '%migrations'",
                "SELECT table_name, column_name, ordinal_position, column_type, collation_name, is_nullable, column_default, \
                 extra FROM information_schema.columns WHERE table_schema = database() AND table_name NOT LIKE '%migrations'",
                "SELECT table_name, index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics \
                 WHERE table_schema = database() AND table_name NOT LIKE '%migrations'",
                "SELECT table_name, constraint_name, check_clause FROM information_schema.check_constraints \
                 WHERE constraint_schema = database() AND table_name NOT LIKE '%migrations'",
                "SELECT trigger_name, event_object_table, action_timing, event_manipulation, action_statement \
                 FROM information_schema.triggers WHERE trigger_schema = database()",
                "SELECT routine_name, routine_definition FROM information_schema.routines WHERE routine_schema = database()",
            ],
        };
        let mut lines = Vec::new();
        for query in queries {
            lines.extend(self.rows(query).await);
        }
        lines.sort();
        lines
    }
}
