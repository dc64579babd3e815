//! The harness itself: what the other tests take for granted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{self, robot, wiki_page};
use behaviour::{Kind, TestDb, on_every_empty_database, statement};
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel, TransactionTrait};

on_every_empty_database! {
    databases_are_apart
    a_database_is_gone_with_its_test
    models_go_there_and_back
    raw_sql_reads_the_same
    triggers_act
    a_reader_only_reads
}

async fn databases_are_apart(db: &TestDb) {
    let other = db.empty_one().await;
    assert_eq!(db.schema().await, Vec::<String>::new());
    db.sql("CREATE TABLE mine (id bigint)").await.unwrap();
    assert!(db.schema().await.iter().any(|line| line.contains("mine")));
    assert_eq!(other.schema().await, Vec::<String>::new());
    other.sql("CREATE TABLE mine (id bigint)").await.unwrap();
}

async fn a_database_is_gone_with_its_test(db: &TestDb) {
    let other = db.empty_one().await;
    let url = other.url().to_owned();
    // With a transaction open and a panic on its way.
    let test = tokio::spawn(async move {
        other.sql("CREATE TABLE mine (id bigint)").await.unwrap();
        let txn = other.begin().await.unwrap();
        txn.execute_unprepared("INSERT INTO mine VALUES (1)").await.unwrap();
        panic!("on purpose");
    });
    assert!(test.await.unwrap_err().is_panic());
    let mut options = sea_orm::ConnectOptions::new(url);
    options.connect_timeout(std::time::Duration::from_secs(5)).sqlx_logging(false);
    assert!(sea_orm::Database::connect(options).await.is_err());
}

async fn models_go_there_and_back(db: &TestDb) {
    models::create_tables(db).await;
    let robot = robot::Model { id: uuid::Uuid::from_u128(7) };
    robot::Entity::insert(robot.clone().into_active_model()).exec_without_returning(&**db).await.unwrap();
    assert_eq!(robot::Entity::find_by_id(robot.id).one(&**db).await.unwrap(), Some(robot));
    let page = wiki_page::Model { slug: "home".into(), number: Some(12) };
    wiki_page::Entity::insert(page.clone().into_active_model()).exec_without_returning(&**db).await.unwrap();
    assert_eq!(wiki_page::Entity::find_by_id("home".to_owned()).one(&**db).await.unwrap(), Some(page));
    let (ada, bob) = (models::user(&**db, "Ada").await, models::user(&**db, "Bob").await);
    assert_eq!((ada.id, bob.id, bob.name.as_str()), (1, 2, "Bob"));
    assert_eq!(models::issue(&**db, "It").await.id, 1);
}

async fn raw_sql_reads_the_same(db: &TestDb) {
    db.sql("CREATE TABLE things (n bigint, small integer, words varchar(9))").await.unwrap();
    let insert = "INSERT INTO things (n, small, words) VALUES (?, ?, ?)";
    let values = [7_i64.into(), 8_i32.into(), "it's".into()];
    db.execute_raw(statement(&**db, insert, values)).await.unwrap();
    db.sql("INSERT INTO things (n) VALUES (9)").await.unwrap();
    assert_eq!(db.rows("SELECT n, small, words FROM things ORDER BY n").await, ["7 8 it's", "9 - -"]);
    assert_eq!(db.number("SELECT count(*) FROM things").await, 2);
    assert_eq!(db.text("SELECT max(words) FROM things").await, "it's");
}

async fn triggers_act(db: &TestDb) {
    for table in ["one", "two"] {
        db.sql(&format!("CREATE TABLE {table} (n bigint)")).await.unwrap();
    }
    db.after_insert("one", "copied", "INSERT INTO two VALUES (1)").await;
    db.sql("INSERT INTO one VALUES (1)").await.unwrap();
    db.drop_trigger("one", "copied").await;
    db.sql("INSERT INTO one VALUES (1)").await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM two").await, 1);
}

async fn a_reader_only_reads(db: &TestDb) {
    db.sql("CREATE TABLE things (n bigint)").await.unwrap();
    db.sql("INSERT INTO things VALUES (1)").await.unwrap();
    let reader = db.read_only().await;
    let rows = reader.query_all_raw(statement(&reader, "SELECT n FROM things", [])).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(reader.execute_unprepared("INSERT INTO things VALUES (2)").await.is_err());
    // As is a pool made of its options.
    if db.kind() == Kind::Postgres {
        let options = (*reader.get_postgres_connection_pool().connect_options()).clone();
        let like = sea_orm::sqlx::PgPool::connect_with(options).await.unwrap();
        assert!(sea_orm::sqlx::query("INSERT INTO things VALUES (2)").execute(&like).await.is_err());
    }
}
