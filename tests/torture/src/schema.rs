//! The torture's own tables: the ledger of what was committed, and what handlers do.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr};

/// Rows that recorders lock in the wrong order, each pair of neighbours one knot.
pub(crate) const RECORDERS_KNOTS: std::ops::Range<i64> = 1..9;
/// Rows that a handler and its partner lock in the wrong order.
pub(crate) const HANDLERS_KNOTS: std::ops::Range<i64> = 11..15;
/// Subjects whose recorders lock their row.
pub(crate) const SUBJECTS: std::ops::Range<i64> = 1..41;
/// What `clash` holds already, so that inserting it fails.
pub(crate) const TAKEN: i64 = 1;

/// Makes and fills the tables.
pub(crate) async fn create(db: &DatabaseConnection) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let serial = match backend {
        DbBackend::Postgres => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        DbBackend::MySql => "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
        _ => "integer PRIMARY KEY AUTOINCREMENT",
    };
    let tables = [
        // `late`: the writer saw the newcomer's cursor before it recorded, so the event is the newcomer's, too.
        "CREATE TABLE ledger (number bigint NOT NULL PRIMARY KEY, late smallint NOT NULL)".to_owned(),
        // Nothing is unique, or a doubled effect would not show.
        format!("CREATE TABLE effects (seq {serial}, inbox varchar(64) NOT NULL, number bigint NOT NULL)"),
        "CREATE TABLE totals (inbox varchar(64) NOT NULL PRIMARY KEY, effects bigint NOT NULL)".to_owned(),
        "CREATE TABLE clash (id bigint NOT NULL PRIMARY KEY)".to_owned(),
        "CREATE TABLE knots (id bigint NOT NULL PRIMARY KEY, turns bigint NOT NULL)".to_owned(),
        "CREATE TABLE ballast (number bigint NOT NULL)".to_owned(),
        "CREATE TABLE subjects (id bigint NOT NULL PRIMARY KEY, steps bigint NOT NULL)".to_owned(),
        "CREATE TABLE strangers (id bigint NOT NULL PRIMARY KEY, visits bigint NOT NULL)".to_owned(),
    ];
    for table in tables {
        db.execute_unprepared(&table).await?;
    }
    let knots = RECORDERS_KNOTS.chain(HANDLERS_KNOTS);
    fill(db, "knots", knots).await?;
    fill(db, "subjects", SUBJECTS).await?;
    fill(db, "strangers", 1..9).await?;
    db.execute_unprepared(&format!("INSERT INTO clash VALUES ({TAKEN})")).await?;
    for inbox in crate::work::TOTALLED {
        db.execute_unprepared(&format!("INSERT INTO totals VALUES ('{inbox}', 0)")).await?;
    }
    Ok(())
}

async fn fill(db: &DatabaseConnection, table: &str, ids: impl Iterator<Item = i64>) -> Result<(), DbErr> {
    let rows: Vec<_> = ids.map(|id| format!("({id}, 0)")).collect();
    db.execute_unprepared(&format!("INSERT INTO {table} VALUES {}", rows.join(", "))).await?;
    Ok(())
}
