//! PostgreSQL: `txid_current()` tells transactions apart, whatever savepoints they have.

use super::Watch;
use super::table::{Log, Table, literal, watcher};
use super::verdict::EVENT;
use crate::backend::Dialect;

pub(super) const SELECT: &str = "SELECT id, tx, source, kind, row_id, operation FROM event_watch ORDER BY id";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS event_watch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tx bigint NOT NULL DEFAULT txid_current(),
    source text NOT NULL,
    kind text NOT NULL,
    row_id text NOT NULL,
    operation text NOT NULL
)";

pub(super) fn triggers(watch: &Watch, dialect: &dyn Dialect) -> Vec<String> {
    let mut statements = vec![TABLE.to_owned()];
    statements.extend(watch.tables.iter().flat_map(|table| of_table(table, dialect)));
    statements.extend(watch.logs.iter().flat_map(|log| of_log(log, dialect)));
    statements
}

fn of_table(table: &Table, dialect: &dyn Dialect) -> [String; 5] {
    let Table { name, kind, key, columns, .. } = table;
    let (quoted, key) = (table.quoted(dialect, name), dialect.quoted(&key.column));
    // As text: not every type can be compared.
    let same: Vec<_> = columns.iter().map(|column| dialect.quoted(column)).collect();
    let same = same.iter().map(|column| format!("OLD.{column}::text IS NOT DISTINCT FROM NEW.{column}::text"));
    let same = same.collect::<Vec<_>>().join(" AND ");
    let same = if same.is_empty() { "true".to_owned() } else { same };
    let (name, kind) = (literal(&table.path()), literal(kind));
    let function = watcher(&table.path());
    [
        format!(
            "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $watch$ BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO event_watch (source, kind, row_id, operation) SELECT {name}, {kind}, {key}::text, TG_OP FROM {quoted};
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF {same} THEN RETURN NULL; END IF;
    END IF;
    INSERT INTO event_watch (source, kind, row_id, operation) VALUES ({name}, {kind},
        CASE TG_OP WHEN 'DELETE' THEN OLD.{key}::text ELSE NEW.{key}::text END, TG_OP);
    RETURN NULL;
END $watch$"
        ),
        format!("DROP TRIGGER IF EXISTS {function} ON {quoted}"),
        format!(
            "CREATE TRIGGER {function} AFTER INSERT OR UPDATE OR DELETE ON {quoted} FOR EACH ROW EXECUTE FUNCTION {function}()"
        ),
        format!("DROP TRIGGER IF EXISTS {function}_truncate ON {quoted}"),
        format!(
            "CREATE TRIGGER {function}_truncate BEFORE TRUNCATE ON {quoted} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        ),
    ]
}

fn of_log(log: &Log, dialect: &dyn Dialect) -> [String; 3] {
    let kind = log.kind.map_or_else(|| "NEW.subject_type".to_owned(), literal);
    let (quoted, name) = (dialect.quoted(log.name), literal(log.name));
    let function = watcher(log.name);
    [
        format!(
            "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $watch$ BEGIN
    INSERT INTO event_watch (source, kind, row_id, operation) VALUES ({name}, {kind}, NEW.subject_id::text, '{EVENT}');
    RETURN NULL;
END $watch$"
        ),
        format!("DROP TRIGGER IF EXISTS {function} ON {quoted}"),
        format!("CREATE TRIGGER {function} AFTER INSERT ON {quoted} FOR EACH ROW EXECUTE FUNCTION {function}()"),
    ]
}
