#![allow(missing_docs, clippy::unwrap_used)]
use sea_orm::*;
#[tokio::main]
async fn main() {
    let db = Database::connect("mysql://root@127.0.0.1:3306/evt_mysql_a").await.unwrap();
    db.execute_unprepared("create table if not exists j (id int auto_increment primary key, t datetime(6))")
        .await
        .unwrap();
    for t in [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:01Z",
        "0099-01-01T00:00:00Z",
        "0100-01-01T00:00:00Z",
        "1000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.5Z",
    ] {
        let v: chrono::DateTime<chrono::Utc> = t.parse().unwrap();
        let r = db
            .execute_raw(Statement::from_sql_and_values(DbBackend::MySql, "insert into j (t) values (?)", [v.into()]))
            .await;
        println!("{t} {:?}", r.map(|r| r.last_insert_id()));
    }
    for row in db
        .query_all_raw(Statement::from_string(DbBackend::MySql, "select cast(t as char) as t, t as u from j"))
        .await
        .unwrap()
    {
        println!(
            "{:?} {:?}",
            row.try_get::<Option<String>>("", "t"),
            row.try_get::<Option<chrono::DateTime<chrono::Utc>>>("", "u")
        );
    }
    db.execute_unprepared("do 0").await.unwrap();
}
