//! The tables: made once, by us or by a user's own migrator.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{AccountEvent, IssueEvent};
use behaviour::{Kind, TestDb, connect, on_every_empty_database, statement};
use event_sea_orm::migration;
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::prelude::*;

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = migration::all();
        migrations.push(migration::log("audit_events"));
        migrations
    }
}

on_every_empty_database! {
    twice_is_once
    several_programs_may_start_at_once
    a_users_own_migrator_makes_the_same_and_takes_it_back
    a_log_whose_enum_is_gone_does_not_stop_the_migration
    a_table_that_is_the_users_own_is_left_alone
    a_bad_name_of_a_log_is_refused
    an_application_may_have_an_events_table_of_its_own
    a_lock_that_another_session_holds_is_an_error_that_says_so
    ; sqlite_only:
    the_databases_time_is_written_as_ours
}

async fn twice_is_once(db: &TestDb) {
    migrate(db).await.unwrap();
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    AccountEvent::SignedIn.on(1).by_system().save(&**db).await.unwrap();
    let schema = db.schema().await;
    migrate(db).await.unwrap();
    assert_eq!(db.schema().await, schema);
    assert_eq!(db.number("SELECT count(*) FROM events").await, 1);
    assert_eq!(db.number("SELECT count(*) FROM event_migrations").await, 6);
}

/// The lock of another migration, and on servers one on a table that exists.
async fn a_lock_that_another_session_holds_is_an_error_that_says_so(db: &TestDb) {
    let holder = db.another(1).await;
    let refused = async |db: &TestDb, words: &[&str]| {
        let impatient = match db.kind() {
            Kind::Postgres => connect(&format!("{}&options=-c%20lock_timeout%3D500ms", db.url()), 2).await,
            _ => db.another(1).await,
        };
        let limit = match db.kind() {
            Kind::Sqlite => "PRAGMA busy_timeout = 200",
            Kind::Postgres => "SELECT 1",
            Kind::MySql => "SET SESSION lock_wait_timeout = 1",
        };
        impatient.execute_unprepared(limit).await.unwrap();
        let error = migrate(&impatient).await.unwrap_err();
        assert!(matches!(error, DbErr::Migration(_)), "{error:?}");
        for word in words {
            assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
        }
        impatient.close().await.unwrap();
    };
    match db.kind() {
        Kind::Sqlite => {
            holder.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
            refused(db, &["another session holds a lock"]).await;
            holder.execute_unprepared("ROLLBACK").await.unwrap();
        }
        Kind::Postgres => {
            holder.execute_unprepared("SET application_name = 'greedy'").await.unwrap();
            holder.execute_unprepared("SELECT pg_advisory_lock(435728179316)").await.unwrap();
            refused(db, &["another session holds a lock", "backend ", "role postgres", "\"greedy\""]).await;
            holder.execute_unprepared("SELECT pg_advisory_unlock_all()").await.unwrap();
            migrate(db).await.unwrap();
            db.sql("DELETE FROM event_migrations WHERE version LIKE '%event_batches'").await.unwrap();
            db.sql("DROP TABLE event_batches").await.unwrap();
            holder.execute_unprepared("BEGIN; LOCK TABLE event_migrations").await.unwrap();
            refused(db, &["another session holds a lock", "\"greedy\""]).await;
            holder.execute_unprepared("ROLLBACK").await.unwrap();
        }
        Kind::MySql => {
            let lock = "concat('event_migration.', md5(database()))";
            holder.execute_unprepared(&format!("DO get_lock({lock}, 5)")).await.unwrap();
            let id =
                holder.query_one_raw(statement(&holder, "SELECT CAST(connection_id() AS signed)", [])).await.unwrap();
            let id: i64 = id.unwrap().try_get_by_index(0).unwrap();
            refused(db, &[&format!("(connection {id})"), "has been migrating"]).await;
            holder.execute_unprepared(&format!("DO release_lock({lock})")).await.unwrap();
            migrate(db).await.unwrap();
            db.sql("DELETE FROM event_migrations WHERE version LIKE '%event_log'").await.unwrap();
            db.sql("RENAME TABLE events TO elsewhere, events_slots TO elsewhere_slots").await.unwrap();
            db.sql("CREATE TABLE `events~` (id int) ENGINE = InnoDB").await.unwrap();
            // What an earlier run left is dropped first.
            holder.execute_unprepared("START TRANSACTION").await.unwrap();
            holder.query_one_raw(statement(&holder, "SELECT count(*) FROM `events~`", [])).await.unwrap();
            refused(db, &["another session holds a lock"]).await;
            holder.execute_unprepared("ROLLBACK").await.unwrap();
            return;
        }
    }
    migrate(db).await.unwrap();
}

async fn several_programs_may_start_at_once(db: &TestDb) {
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let pool = db.another(1).await;
        tasks.push(tokio::spawn(async move { migrate(&pool).await }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(db.number("SELECT count(*) FROM event_migrations").await, 6);
}

async fn a_users_own_migrator_makes_the_same_and_takes_it_back(ours: &TestDb) {
    let users = ours.empty_one().await;
    migrate(ours).await.unwrap();
    Migrator::up(&*users, None).await.unwrap();
    assert_eq!(users.schema().await, ours.schema().await);
    IssueEvent::Closed.on(1).by_system().save(&*users).await.unwrap();
    assert_eq!(
        users.rows("SELECT version FROM seaql_migrations ORDER BY version").await,
        [
            "m20261124_000001_event_log",
            "m20261124_000002_event_tables",
            "m20261124_000003_event_log_audit_events",
            "m20261125_000001_event_throttles",
            "m20261125_000002_event_batches",
            "m20261125_000004_event_attachments",
        ]
    );
    Migrator::down(&*users, None).await.unwrap();
    assert_eq!(users.schema().await, Vec::<String>::new());
    Migrator::up(&*users, None).await.unwrap();
    assert_eq!(IssueEvent::Closed.on(1).by_system().save(&*users).await.unwrap().event().unwrap().id, 1);
}

async fn a_log_whose_enum_is_gone_does_not_stop_the_migration(db: &TestDb) {
    migrate(db).await.unwrap();
    let gone = "INSERT INTO event_migrations VALUES ('m20261124_000003_event_log_old_events', 1)";
    db.sql(gone).await.unwrap();
    migrate(db).await.unwrap();
}

async fn a_table_that_is_the_users_own_is_left_alone(db: &TestDb) {
    db.sql("CREATE TABLE events (mine text)").await.unwrap();
    let before = db.schema().await;
    let error = migrate(db).await.unwrap_err();
    assert!(error.to_string().contains("there is a table `events` already"), "{error}");
    assert_eq!(db.schema().await, before);
}

async fn a_bad_name_of_a_log_is_refused(db: &TestDb) {
    for bad in ["", "Events", "1log", "a\"b", "a-b", &"x".repeat(56)] {
        let error = migration::log(bad).up(&SchemaManager::new(&**db)).await.unwrap_err();
        assert!(error.to_string().contains("can't be the name of a log"), "{bad}: {error}");
    }
    migration::log(&"x".repeat(55)).up(&SchemaManager::new(&**db)).await.unwrap();
}

async fn the_databases_time_is_written_as_ours(db: &TestDb) {
    migrate(db).await.unwrap();
    // Text there: sqlx writes a fraction of no, three or six digits; the database must do likewise, or equal times differ as text.
    for _ in 0..3 {
        IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    }
    let created: String = db.text("SELECT max(created_at) FROM events").await;
    let parsed: chrono::DateTime<chrono::Utc> = created.parse().unwrap();
    assert_eq!(created, parsed.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false));
    // A whole second comes once in a thousand times: the table's own default, asked at a time of ours.
    let default = db.text("SELECT dflt_value FROM pragma_table_info('events') WHERE name = 'created_at'").await;
    let at = |time: &str| format!("SELECT {}", default.replace("'now'", time));
    assert_eq!(db.text(&at("1000, 'unixepoch'")).await, "1970-01-01T00:16:40+00:00");
    assert_eq!(db.text(&at("'1970-01-01 00:16:40.120'")).await, "1970-01-01T00:16:40.120+00:00");
}

async fn an_application_may_have_an_events_table_of_its_own(db: &TestDb) {
    struct Migrator;
    #[sea_orm_migration::async_trait::async_trait]
    impl MigratorTrait for Migrator {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            vec![event_sea_orm::migration::tables(), event_sea_orm::migration::log("audit_events")]
        }
    }
    db.sql("CREATE TABLE events (concert text)").await.unwrap();
    Migrator::up(&**db, None).await.unwrap();
    AccountEvent::SignedIn.on(1).by_system().save(&**db).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM events").await, 0);
}
