//! Many rows at once: changed and deleted with an event for each, and a guard that finds what escapes the record.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use behaviour::models::{self, AccountEvent, IssueEvent, issue, user};
use behaviour::{Kind, TestDb, on_every_database};
use event_sea_orm::prelude::*;
use event_sea_orm::{Unrecorded, Watch, WatchError};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Schema, TransactionTrait,
};
use serde::{Deserialize, Serialize};

on_every_database! {
    every_row_that_changes_is_recorded_with_before_and_after
    rows_that_stay_as_they_were_are_not_recorded
    more_rows_than_one_statement_names
    what_can_not_be_recorded_is_not_changed
    a_primary_key_is_not_set
    deleted_rows_are_recorded_as_they_were
    within_a_transaction_it_is_rolled_back_with_it
    nobody_comes_between
    keys_of_several_columns_change_too
    a_column_may_have_the_longest_name
    the_guard_finds_what_escapes
    the_guard_tells_transactions_apart
    the_guard_lets_columns_be
    the_guard_looks_into_other_schemas
    the_guard_sees_what_goes_with_another_row
    ; servers_only:
    the_guard_sees_a_table_that_is_emptied
    ; postgres_only:
    it_is_one_statement
}

fn renamed(before: &issue::Model, after: &issue::Model) -> Draft {
    after.record(IssueEvent::Closed).changes(before, after).by_system().into()
}

async fn issues(db: &TestDb, titles: &[&str]) -> Vec<issue::Model> {
    let mut issues = Vec::new();
    for title in titles {
        issues.push(models::issue(&**db, title).await);
    }
    issues
}

/// What was recorded: the subject, and what changed from and to.
async fn recorded(db: &TestDb) -> Vec<String> {
    let page = any_feed().limit(100).page(&**db).await.unwrap();
    let line = |entry: &AnyEntry| {
        let changes: Vec<_> = entry.changes().map(|(name, from, to)| format!("{name} {from} {to}")).collect();
        format!("{} {}", entry.subject.id, changes.join(", "))
    };
    let mut lines: Vec<_> = page.entries.iter().map(line).collect();
    lines.reverse();
    lines
}

async fn every_row_that_changes_is_recorded_with_before_and_after(db: &TestDb) {
    let issues = issues(db, &["a", "b", "c", "a"]).await;
    let longer = Expr::col(issue::Column::Title).eq("a").and(Expr::col(issue::Column::Id).lt(9));
    let changed = issue::Entity::update_all()
        .filter(longer)
        .filter(issue::Column::Id.gt(0))
        .set(issue::Column::Title, "z")
        .record(&**db, renamed)
        .await
        .unwrap();
    let expected: Vec<_> = [0, 3].map(|index| issue::Model { title: "z".to_owned(), ..issues[index].clone() }).to_vec();
    assert_eq!(changed.rows, expected);
    assert!(changed.saved.iter().all(Saved::is_new));
    assert_eq!(recorded(db).await, [r#"1 title "a" "z""#, r#"4 title "a" "z""#]);
    assert_eq!(db.rows("SELECT title FROM issues ORDER BY id").await, ["z", "b", "c", "z"]);
    // By an expression, all of them.
    let upper = Expr::cust("upper(title)");
    let changed =
        issue::Entity::update_all().set_expr(issue::Column::Title, upper).record(&**db, renamed).await.unwrap();
    assert_eq!(changed.rows.len(), 4);
    assert_eq!(db.rows("SELECT title FROM issues ORDER BY id").await, ["Z", "B", "C", "Z"]);
    assert_eq!(recorded(db).await.last().unwrap(), r#"4 title "z" "Z""#);
}

async fn rows_that_stay_as_they_were_are_not_recorded(db: &TestDb) {
    issues(db, &["a", "b"]).await;
    let changed = issue::Entity::update_all().set(issue::Column::Title, "b").record(&**db, renamed).await.unwrap();
    assert_eq!((changed.rows.len(), recorded(db).await.len()), (1, 1));
    // Nothing set, nothing found.
    assert_eq!(issue::Entity::update_all().record(&**db, renamed).await.unwrap().rows, []);
    let none = issue::Entity::update_all().filter(issue::Column::Id.eq(99)).set(issue::Column::Title, "x");
    assert_eq!(none.record(&**db, renamed).await.unwrap().rows, []);
}

async fn more_rows_than_one_statement_names(db: &TestDb) {
    let rows = (0..1_203).map(|n| issue::ActiveModel { title: Set(format!("{n}")), ..Default::default() });
    issue::Entity::insert_many(rows).exec(&**db).await.unwrap();
    let changed = issue::Entity::update_all().set(issue::Column::Title, "x").record(&**db, renamed).await.unwrap();
    assert_eq!(changed.rows.len(), 1_203);
    assert_eq!(db.number("SELECT count(DISTINCT subject_id) FROM events").await, 1_203);
    let deleted = issue::Entity::delete_all().record(&**db, |row| row.record(IssueEvent::Closed).by_system());
    assert_eq!(deleted.await.unwrap().saved.len(), 1_203);
    assert_eq!(db.number("SELECT count(*) FROM issues").await, 0);
    assert_eq!(db.number("SELECT count(*) FROM events").await, 2_406);
}

async fn what_can_not_be_recorded_is_not_changed(db: &TestDb) {
    issues(db, &["a", "b"]).await;
    let update = issue::Entity::update_all().set(issue::Column::Title, "z");
    let error = update.record(&**db, |_, after| after.record(IssueEvent::Closed)).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(RecordingError::MissingActor { .. })), "{error}");
    let error = issue::Entity::delete_all().record(&**db, |row| row.record(IssueEvent::Closed)).await.unwrap_err();
    assert!(matches!(error, RecordError::Invalid(RecordingError::MissingActor { .. })), "{error}");
    assert_eq!(db.rows("SELECT title FROM issues ORDER BY id").await, ["a", "b"]);
    assert_eq!(db.number("SELECT count(*) FROM events").await, 0);
}

async fn a_primary_key_is_not_set(db: &TestDb) {
    let error = issue::Entity::update_all().set(issue::Column::Id, 7).record(&**db, renamed).await.unwrap_err();
    assert!(error.to_string().contains("`id` is the primary key"), "{error}");
}

async fn deleted_rows_are_recorded_as_they_were(db: &TestDb) {
    let issues = issues(db, &["a", "b", "a"]).await;
    let deleted = issue::Entity::delete_all()
        .filter(issue::Column::Title.eq("a"))
        .record(&**db, |row| row.record(IssueEvent::Closed).by_system().snapshot_value(&row.title));
    let mut deleted = deleted.await.unwrap();
    deleted.rows.sort_by_key(|row| row.id);
    assert_eq!(deleted.rows, [issues[0].clone(), issues[2].clone()]);
    assert_eq!(recorded(db).await.len(), 2);
    assert_eq!(db.rows("SELECT title FROM issues").await, ["b"]);
}

async fn within_a_transaction_it_is_rolled_back_with_it(db: &TestDb) {
    issues(db, &["a"]).await;
    let rolled_back = db.transact(async |txn| {
        let changed = issue::Entity::update_all().set(issue::Column::Title, "z").record(txn, renamed).await?;
        assert_eq!(changed.rows.len(), 1);
        Err::<(), RecordError>(DbErr::Custom("no".to_owned()).into())
    });
    rolled_back.await.unwrap_err();
    assert_eq!((db.rows("SELECT title FROM issues").await, recorded(db).await.len()), (vec!["a".to_owned()], 0));
}

/// Two that change the same rows: each sees what the other left, and the record says so.
async fn nobody_comes_between(db: &TestDb) {
    issues(db, &["0", "0", "0"]).await;
    let pool = Arc::new(db.another(8).await);
    let more = match db.kind() {
        Kind::Postgres => "(title::int + 1)::text",
        Kind::MySql => "CAST(CAST(title AS signed) + 1 AS char)",
        Kind::Sqlite => "CAST(CAST(title AS integer) + 1 AS text)",
    };
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                loop {
                    let update = issue::Entity::update_all().set_expr(issue::Column::Title, Expr::cust(more));
                    match update.record(&*pool, renamed).await {
                        Ok(changed) => return assert_eq!(changed.rows.len(), 3),
                        // A deadlock on a server: the whole is run once more.
                        Err(RecordError::Locked { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(db.rows("SELECT title FROM issues").await, ["8", "8", "8"]);
    let mut lines = recorded(db).await;
    lines.sort();
    let expected = (1..=3).flat_map(|id| (0..8).map(move |n| format!(r#"{id} title "{n}" "{}""#, n + 1)));
    assert_eq!(lines, expected.collect::<Vec<_>>());
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod seat {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "seats")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hall: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub taken: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn keys_of_several_columns_change_too(db: &TestDb) {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(seat::Entity)).await.unwrap();
    for (hall, number) in [(1, 1), (1, 2), (2, 1)] {
        let seat = seat::ActiveModel { hall: Set(hall), number: Set(number), taken: Set(false) };
        seat.insert(&**db).await.unwrap();
    }
    // Such a row is no subject: its event is one of something else.
    let changed = seat::Entity::update_all()
        .filter(seat::Column::Number.eq(1))
        .set(seat::Column::Taken, true)
        .record(&**db, |_, after| IssueEvent::Closed.on(after.hall).by_system())
        .await
        .unwrap();
    let rows: Vec<_> = changed.rows.iter().map(|row| (row.hall, row.number, row.taken)).collect();
    assert_eq!(rows, [(1, 1, true), (2, 1, true)]);
}

/// PostgreSQL's names have 63 bytes, MySQL's 64 characters.
#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod survey {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "surveys")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(column_name = "how_satisfied_were_you_with_the_answer_that_the_support_gave_yo")]
        pub answer: String,
        #[sea_orm(column_name = "how_satisfied_were_you_with_the_answer_that_the_support_gave_it")]
        pub second: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn a_column_may_have_the_longest_name(db: &TestDb) {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(survey::Entity)).await.unwrap();
    for id in 1..=2 {
        let survey = survey::ActiveModel { id: Set(id), answer: Set("well".into()), second: Set("so so".into()) };
        survey.insert(&**db).await.unwrap();
    }
    let changed = survey::Entity::update_all()
        .set(survey::Column::Second, "well")
        .record(&**db, |before, after| {
            assert_eq!(
                (before.second.as_str(), after.second.as_str(), before.answer.as_str()),
                ("so so", "well", "well")
            );
            IssueEvent::Closed.on(after.id).by_system()
        })
        .await
        .unwrap();
    assert_eq!(changed.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2]);
}

async fn it_is_one_statement(db: &TestDb) {
    issues(db, &["a"]).await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut pool = db.another(1).await;
    let statements = seen.clone();
    pool.set_metric_callback(move |info| statements.lock().unwrap().push(info.statement.sql.clone()));
    issue::Entity::update_all().set(issue::Column::Title, "z").record(&pool, renamed).await.unwrap();
    let seen = seen.lock().unwrap();
    let of_issues = seen.iter().filter(|sql| sql.contains("\"issues\"")).count();
    assert_eq!(of_issues, 1, "{seen:?}");
}

fn watch() -> Watch {
    Watch::over::<issue::Entity, IssueEvent>()
}

/// What escaped, each as `table row operation`.
fn escaped(checked: Result<(), WatchError>) -> Vec<String> {
    match checked {
        Ok(()) => Vec::new(),
        Err(WatchError::Unrecorded(rows)) => {
            let line = |Unrecorded { table, row, operation, .. }: Unrecorded| format!("{table} {row} {operation}");
            rows.into_iter().map(line).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

async fn the_guard_finds_what_escapes(db: &TestDb) {
    let issues = issues(db, &["a", "b"]).await;
    let watching = watch().and::<user::Entity, AccountEvent>().begin(db).await.unwrap();
    watching.check().await.unwrap();

    // Bulk writes that no audit sees; what does not change anything is no change.
    issue::Entity::update_many().col_expr(issue::Column::Title, Expr::val("z")).exec(&**db).await.unwrap();
    issue::Entity::update_many().col_expr(issue::Column::Title, Expr::val("z")).exec(&**db).await.unwrap();
    assert_eq!(escaped(watching.check().await), ["issues 1 UPDATE", "issues 2 UPDATE"]);
    watching.check().await.unwrap();
    issue::Entity::delete_many().filter(issue::Column::Id.eq(2)).exec(&**db).await.unwrap();
    let third = models::issue(&**db, "c").await;
    let ada = models::user(&**db, "Ada").await;
    let expected =
        ["issues 2 DELETE".to_owned(), format!("issues {} INSERT", third.id), format!("users {} INSERT", ada.id)];
    assert_eq!(escaped(watching.check().await), expected);

    // With an event, before or after, it does not; with another one's it does.
    db.transact(async |txn| {
        issues[0].record(IssueEvent::Closed).by_system().save(txn).await?;
        issue::ActiveModel { id: Set(1), title: Set("y".to_owned()) }.update(txn).await?;
        issue::ActiveModel { id: Set(third.id), title: Set("y".to_owned()) }.update(txn).await?;
        third.record(IssueEvent::Closed).by_system().save(txn).await
    })
    .await
    .unwrap();
    issue::Entity::update_all().set(issue::Column::Title, "x").record(&**db, renamed).await.unwrap();
    watching.check().await.unwrap();
    db.transact(async |txn| {
        issues[1].record(IssueEvent::Closed).by_system().save(txn).await?;
        issue::ActiveModel { id: Set(1), title: Set("w".to_owned()) }.update(txn).await?;
        Ok(())
    })
    .await
    .unwrap();
    let error = watching.check().await.unwrap_err();
    assert!(error.to_string().contains("no event of them: `issues` 1 (UPDATE). Record one"), "{error}");

    // What is rolled back did not happen.
    let txn = db.begin().await.unwrap();
    issue::Entity::delete_many().exec(&txn).await.unwrap();
    txn.rollback().await.unwrap();
    watching.check().await.unwrap();
    let worked = watch().run(db, async { issue::Entity::delete_many().exec(&**db).await.unwrap() }).await;
    assert!(matches!(worked, Err(WatchError::Unrecorded(_))), "{worked:?}");
    assert_eq!(watch().run(db, async { 7 }).await.unwrap(), 7);
}

async fn the_guard_tells_transactions_apart(db: &TestDb) {
    let issues = issues(db, &["a"]).await;
    let watching = watch().begin(db).await.unwrap();
    let change = async |title: &str| {
        issue::ActiveModel { id: Set(1), title: Set(title.to_owned()) }.update(&**db).await.unwrap();
    };
    // An event before it, and one after it, in transactions of their own.
    issues[0].record(IssueEvent::Closed).by_system().save(&**db).await.unwrap();
    change("b").await;
    issues[0].record(IssueEvent::Closed).by_system().save(&**db).await.unwrap();
    assert_eq!(escaped(watching.check().await), ["issues 1 UPDATE"]);
    // In savepoints of one transaction, of which one is undone.
    let txn = db.begin().await.unwrap();
    let part = txn.begin().await.unwrap();
    issue::ActiveModel { id: Set(1), title: Set("c".to_owned()) }.update(&part).await.unwrap();
    part.commit().await.unwrap();
    let part = txn.begin().await.unwrap();
    issues[0].record(IssueEvent::Closed).by_system().save(&part).await.unwrap();
    part.commit().await.unwrap();
    txn.commit().await.unwrap();
    watching.check().await.unwrap();
    let txn = db.begin().await.unwrap();
    issue::ActiveModel { id: Set(1), title: Set("d".to_owned()) }.update(&txn).await.unwrap();
    let part = txn.begin().await.unwrap();
    issues[0].record(IssueEvent::Closed).by_system().save(&part).await.unwrap();
    part.rollback().await.unwrap();
    txn.commit().await.unwrap();
    assert_eq!(escaped(watching.check().await), ["issues 1 UPDATE"]);
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod device {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "devices")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub seen: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Debug, Serialize, Deserialize, DomainEvent)]
#[event(subject(device::Entity, name = "device"), log = "device_log")]
enum DeviceEvent {
    Renamed,
}

async fn devices(db: &TestDb) -> device::Model {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(device::Entity)).await.unwrap();
    let id = uuid::Uuid::from_u128(0xfeed_0000_0000_0000_0000_0000_0000_0007);
    device::ActiveModel { id: Set(id), name: Set("a".to_owned()), seen: Set(0) }.insert(&**db).await.unwrap()
}

async fn the_guard_lets_columns_be(db: &TestDb) {
    let device = devices(db).await;
    let watch = Watch::default().except::<device::Entity, DeviceEvent>([device::Column::Seen]);
    let watching = watch.begin(db).await.unwrap();
    let seen = device::ActiveModel { id: Set(device.id), seen: Set(1), ..Default::default() };
    seen.update(&**db).await.unwrap();
    watching.check().await.unwrap();
    // A key of sixteen bytes is the same as its text in the shared log.
    device::Entity::update_all()
        .set(device::Column::Name, "b")
        .record(&**db, |_, after| after.record(DeviceEvent::Renamed).by_system())
        .await
        .unwrap();
    watching.check().await.unwrap();
    device::ActiveModel { id: Set(device.id), name: Set("c".to_owned()), ..Default::default() }
        .update(&**db)
        .await
        .unwrap();
    assert_eq!(escaped(watching.check().await).len(), 1);
}

/// A table of a name that another schema has too.
#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod elsewhere {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "issues", schema_name = "event_watch_elsewhere")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(elsewhere::Entity, name = "foreign_issue"))]
enum ElsewhereEvent {
    Moved,
}

async fn the_guard_looks_into_other_schemas(db: &TestDb) {
    issues(db, &["a"]).await;
    let watch = Watch::over::<elsewhere::Entity, ElsewhereEvent>();
    if db.kind() == Kind::Sqlite {
        let error = watch.begin(db).await.unwrap_err();
        assert!(matches!(error, WatchError::Attached { .. }), "{error}");
        assert!(error.to_string().contains("`event_watch_elsewhere.issues` can't be watched"), "{error}");
        return;
    }
    // On MariaDB a schema is a database beside the test's own, and of all runs of this test the same.
    let lock = db.another(1).await;
    if db.kind() == Kind::MySql {
        let locked = "SELECT GET_LOCK('event_watch_elsewhere', 60)".to_owned();
        lock.query_one_raw(sea_orm::Statement::from_string(lock.get_database_backend(), locked)).await.unwrap();
    }
    db.sql("CREATE SCHEMA IF NOT EXISTS event_watch_elsewhere").await.unwrap();
    db.sql("DROP TABLE IF EXISTS event_watch_elsewhere.issues").await.unwrap();
    db.sql("CREATE TABLE event_watch_elsewhere.issues (id bigint PRIMARY KEY, title varchar(20))").await.unwrap();
    let watching = watch.and::<issue::Entity, IssueEvent>().begin(db).await.unwrap();
    // The other one of that name has triggers of its own.
    db.sql("INSERT INTO event_watch_elsewhere.issues VALUES (7, 'x')").await.unwrap();
    db.sql("UPDATE issues SET title = 'y'").await.unwrap();
    assert_eq!(escaped(watching.check().await), ["event_watch_elsewhere.issues 7 INSERT", "issues 1 UPDATE"]);
    let changed = elsewhere::Entity::update_all().set(elsewhere::Column::Title, "z");
    changed.record(&**db, |_, after| after.record(ElsewhereEvent::Moved).by_system()).await.unwrap();
    watching.check().await.unwrap();
    db.sql("DROP TABLE event_watch_elsewhere.issues").await.unwrap();
    db.sql("DROP SCHEMA event_watch_elsewhere").await.unwrap();
    drop(lock);
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod comment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "comments")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub issue_id: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(comment::Entity))]
enum CommentEvent {
    Removed,
}

/// Comments go with their issue: three of the first one, one of the second.
async fn comments(db: &TestDb) -> Vec<issue::Model> {
    let issues = issues(db, &["a", "b"]).await;
    let key = "FOREIGN KEY (issue_id) REFERENCES issues (id) ON DELETE CASCADE";
    db.sql(&format!("CREATE TABLE comments (id bigint PRIMARY KEY, issue_id bigint NOT NULL, {key})")).await.unwrap();
    db.sql("INSERT INTO comments VALUES (1, 1), (2, 1), (3, 1), (4, 2)").await.unwrap();
    issues
}

async fn the_guard_sees_what_goes_with_another_row(db: &TestDb) {
    let issues = comments(db).await;
    let watching = Watch::over::<comment::Entity, CommentEvent>().begin(db).await.unwrap();
    db.transact(async |txn| {
        CommentEvent::Removed.on(2).by_system().save(txn).await?;
        issue::Entity::delete_many().filter(issue::Column::Id.eq(issues[0].id)).exec(txn).await?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(escaped(watching.check().await), ["comments 1 DELETE", "comments 3 DELETE"]);
    watching.check().await.unwrap();
    // What came and went meanwhile, by its own statements.
    db.sql("INSERT INTO comments VALUES (5, 2)").await.unwrap();
    db.sql("DELETE FROM comments WHERE id = 5").await.unwrap();
    assert_eq!(escaped(watching.check().await), ["comments 5 INSERT", "comments 5 DELETE"]);
    issue::Entity::delete_many().filter(issue::Column::Id.eq(issues[1].id)).exec(&**db).await.unwrap();
    assert_eq!(escaped(watching.check().await), ["comments 4 DELETE"]);
}

async fn the_guard_sees_a_table_that_is_emptied(db: &TestDb) {
    comments(db).await;
    let watching = Watch::over::<comment::Entity, CommentEvent>().begin(db).await.unwrap();
    db.sql("TRUNCATE TABLE comments").await.unwrap();
    let mut escaped = escaped(watching.check().await);
    escaped.sort();
    let operation = if db.kind() == Kind::Postgres { "TRUNCATE" } else { "DELETE" };
    assert_eq!(escaped, [1, 2, 3, 4].map(|id| format!("comments {id} {operation}")));
    watching.check().await.unwrap();
}
