//! Values of every type in changes and snapshots: one exact form, from which each can be read back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::{TestDb, on_every_database};
use bigdecimal::BigDecimal;
use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use event_core::NewEvent;
use event_sea_orm::prelude::*;
use mac_address::MacAddress;
use proptest::prelude::*;
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, EntityTrait, Schema, Set};
use serde_json::{Value, json};

on_every_database! {
    a_log_gives_back_what_was_recorded
    rows_of_binary_keys_change_together
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod measure {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "measures")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub flag: bool,
        pub tiny: i8,
        pub small: i16,
        pub int: i32,
        pub tiny_unsigned: u8,
        pub small_unsigned: u16,
        pub unsigned: u32,
        pub big_unsigned: u64,
        pub float: f32,
        pub double: f64,
        pub text: String,
        pub state: State,
        pub native: Native,
        pub rank: Rank,
        pub bytes: Vec<u8>,
        pub json: Json,
        pub uuid: Uuid,
        pub amount: Decimal,
        pub huge: BigDecimal,
        pub date: Date,
        pub time: Time,
        pub date_time: DateTime,
        pub utc: DateTimeUtc,
        pub local: DateTimeLocal,
        pub zoned: DateTimeWithTimeZone,
        pub other_date: TimeDate,
        pub other_time: TimeTime,
        pub other_date_time: TimeDateTime,
        pub other_zoned: TimeDateTimeWithTimeZone,
        pub numbers: Vec<i32>,
        pub amounts: Vec<Decimal>,
        pub words: Vec<String>,
        pub vector: PgVector,
        pub mac: mac_address::MacAddress,
        pub network: ipnetwork::IpNetwork,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::None)", rename_all = "snake_case")]
    pub enum State {
        HalfOpen,
        Shut,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "Enum", db_type = "Enum", enum_name = "native", rename_all = "snake_case")]
    pub enum Native {
        OldOne,
        New,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "i32", db_type = "Integer")]
    pub enum Rank {
        #[sea_orm(num_value = -1)]
        Low,
        #[sea_orm(num_value = 1)]
        High,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The types that have no value for NULL of their own in `measure`.
#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod blank {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "blanks")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub flag: Option<bool>,
        pub double: Option<f64>,
        pub float: Option<f32>,
        pub text: Option<String>,
        pub bytes: Option<Vec<u8>>,
        pub json: Option<Json>,
        pub uuid: Option<Uuid>,
        pub amount: Option<Decimal>,
        pub huge: Option<BigDecimal>,
        pub utc: Option<DateTimeUtc>,
        pub other_zoned: Option<TimeDateTimeWithTimeZone>,
        pub numbers: Option<Vec<i32>>,
        pub vector: Option<PgVector>,
        pub mac: Option<mac_address::MacAddress>,
        pub network: Option<ipnetwork::IpNetwork>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub, reason = "SeaORM's entities are written so")]
mod blob {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "blobs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "VarBinary(StringLen::N(16))")]
        pub key: Vec<u8>,
        #[sea_orm(column_type = "VarBinary(StringLen::N(16))")]
        pub content: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, DomainEvent)]
#[event(subject(measure::Entity))]
enum MeasureEvent {
    Taken,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, DomainEvent)]
#[event(subject(blank::Entity))]
enum BlankEvent {
    Taken,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, DomainEvent)]
#[event(subject(blob::Entity))]
enum BlobEvent {
    Moved,
}

fn first() -> measure::Model {
    measure::Model {
        id: i64::MIN,
        flag: true,
        tiny: i8::MIN,
        small: i16::MIN,
        int: i32::MIN,
        tiny_unsigned: u8::MAX,
        small_unsigned: u16::MAX,
        unsigned: u32::MAX,
        big_unsigned: u64::MAX,
        float: 0.1,
        double: 0.1 + 0.2,
        text: "it's \"quoted\" \\ ä\n".to_owned(),
        state: measure::State::HalfOpen,
        native: measure::Native::OldOne,
        rank: measure::Rank::Low,
        bytes: vec![0, 255, 128, b'a'],
        json: json!({"a": [1, 2.5, null], "'": "''"}),
        uuid: uuid::Uuid::from_u128(7),
        amount: "12345678901234567.01".parse().unwrap(),
        huge: "123456789012345678901234567890.123456789".parse().unwrap(),
        date: "2026-03-01".parse().unwrap(),
        time: "09:05:00".parse().unwrap(),
        date_time: "2026-03-01T09:05:00.000001".parse().unwrap(),
        utc: "2026-03-01T09:05:00.123456789Z".parse().unwrap(),
        local: "2026-03-01T09:05:00Z".parse::<DateTime<Utc>>().unwrap().with_timezone(&Local),
        zoned: "2026-03-01T09:05:00.5+02:00".parse().unwrap(),
        other_date: time::macros::date!(2026 - 03 - 01),
        other_time: time::macros::time!(09:05:00),
        other_date_time: time::macros::datetime!(2026-03-01 09:05:00.000001),
        other_zoned: time::macros::datetime!(2026-03-01 09:05:00.123456789 +02:00),
        numbers: vec![1, -2],
        amounts: vec!["0.10".parse().unwrap()],
        words: vec!["it's".to_owned(), String::new()],
        vector: vec![0.1, 2.0].into(),
        mac: MacAddress::new([0, 1, 2, 171, 205, 239]),
        network: "192.0.2.0/24".parse().unwrap(),
    }
}

/// What each value of it is in an event.
fn first_as_json() -> Value {
    json!({
        "id": i64::MIN,
        "flag": true,
        "tiny": -128,
        "small": -32768,
        "int": i32::MIN,
        "tiny_unsigned": 255,
        "small_unsigned": 65535,
        "unsigned": u32::MAX,
        "big_unsigned": u64::MAX,
        "float": 0.1,
        "double": 0.30000000000000004,
        "text": "it's \"quoted\" \\ ä\n",
        "state": "half_open",
        "native": "old_one",
        "rank": -1,
        "bytes": "00ff8061",
        "json": {"a": [1, 2.5, null], "'": "''"},
        "uuid": "00000000-0000-0000-0000-000000000007",
        "amount": "12345678901234567.01",
        "huge": "123456789012345678901234567890.123456789",
        "date": "2026-03-01",
        "time": "09:05:00",
        "date_time": "2026-03-01T09:05:00.000001",
        "utc": "2026-03-01T09:05:00.123456789Z",
        "local": first().local.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        "zoned": "2026-03-01T09:05:00.500+02:00",
        "other_date": "2026-03-01",
        "other_time": "09:05:00",
        "other_date_time": "2026-03-01T09:05:00.000001",
        "other_zoned": "2026-03-01T09:05:00.123456789+02:00",
        "numbers": [1, -2],
        "amounts": ["0.10"],
        "words": ["it's", ""],
        "vector": [0.1, 2.0],
        "mac": "00:01:02:AB:CD:EF",
        "network": "192.0.2.0/24",
    })
}

/// Each value a little different from the first one.
fn second() -> measure::Model {
    measure::Model {
        id: i64::MIN + 1,
        flag: false,
        tiny: -127,
        small: -32767,
        int: i32::MIN + 1,
        tiny_unsigned: 254,
        small_unsigned: 65534,
        unsigned: u32::MAX - 1,
        big_unsigned: u64::MAX - 1,
        float: f32::from_bits(0.1_f32.to_bits() + 1),
        double: f64::INFINITY,
        text: "NULL".to_owned(),
        state: measure::State::Shut,
        native: measure::Native::New,
        rank: measure::Rank::High,
        bytes: vec![],
        json: json!({"a": [1, 2.5, null], "'": "'"}),
        uuid: uuid::Uuid::from_u128(8),
        amount: "12345678901234567.02".parse().unwrap(),
        huge: "123456789012345678901234567890.123456788".parse().unwrap(),
        date: "2026-03-02".parse().unwrap(),
        time: "09:05:00.000000001".parse().unwrap(),
        date_time: "2026-03-01T09:05:00.000002".parse().unwrap(),
        utc: "2026-03-01T09:05:00.123456788Z".parse().unwrap(),
        local: "2026-03-01T09:05:00.000000001Z".parse::<DateTime<Utc>>().unwrap().with_timezone(&Local),
        zoned: "2026-03-01T09:05:00.5+01:00".parse().unwrap(),
        other_date: time::macros::date!(2026 - 03 - 02),
        other_time: time::macros::time!(09:05:00.000000001),
        other_date_time: time::macros::datetime!(2026-03-01 09:05:00.000000001),
        other_zoned: time::macros::datetime!(2026-03-01 09:05:00.123456788 +02:00),
        numbers: vec![],
        amounts: vec!["0.1".parse().unwrap(), "0.2".parse().unwrap()],
        words: vec!["it".to_owned(), "s".to_owned()],
        vector: vec![0.1, 2.1].into(),
        mac: MacAddress::new([0, 1, 2, 171, 205, 238]),
        network: "2001:db8::1/128".parse().unwrap(),
    }
}

fn taken(model: &measure::Model) -> Recording<MeasureEvent> {
    model.record(MeasureEvent::Taken).by_system()
}

fn event<E: DomainEvent>(recording: Recording<E>) -> NewEvent {
    Draft::from(recording).finish(Utc::now()).unwrap()
}

fn snapshot(model: &measure::Model) -> Value {
    event(taken(model).snapshot(model)).snapshot.unwrap()
}

#[test]
fn each_type_has_its_exact_form() {
    let (snapshot, expected) = (snapshot(&first()), first_as_json());
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(snapshot[column], *value, "{column}");
    }
    assert_eq!(snapshot, expected, "no other columns");
}

#[test]
fn the_least_change_is_one() {
    let (before, after) = (first(), second());
    let (from, to) = (snapshot(&before), snapshot(&after));
    let recorded = event(taken(&after).changes(&before, &after));
    let changes = recorded.context.unwrap()["changes"].clone();
    for (column, value) in from.as_object().unwrap() {
        assert_ne!(*value, to[column], "{column}");
        assert_eq!(changes[column], json!({"from": value, "to": to[column]}), "{column}");
    }
    assert_eq!(to["amount"], "12345678901234567.02");
    assert_eq!((&to["double"], &to["text"], &to["bytes"]), (&json!("Infinity"), &json!("NULL"), &json!("")));
    assert_eq!(to["numbers"], json!([]));
}

#[test]
fn values_that_are_equal_are_no_change() {
    let before = measure::Model { double: f64::NAN, ..first() };
    let after = measure::Model { amount: "12345678901234567.010".parse().unwrap(), ..before.clone() };
    assert_eq!(event(taken(&after).changes(&before, &after)).context, None);
}

#[test]
fn null_is_null() {
    let blank = blank::Model { id: 1, ..Default::default() };
    let snapshot = event(blank.record(BlankEvent::Taken).by_system().snapshot(&blank)).snapshot.unwrap();
    let columns = snapshot.as_object().unwrap();
    assert_eq!(columns.len(), 16);
    for (column, value) in columns.iter().filter(|(column, _)| *column != "id") {
        assert_eq!(*value, Value::Null, "{column}");
    }
    // And a text of that name none.
    let named = blank::Model { text: Some("NULL".to_owned()), ..blank.clone() };
    let context = event(named.record(BlankEvent::Taken).by_system().changes(&blank, &named)).context.unwrap();
    assert_eq!(context["changes"], json!({"text": {"from": null, "to": "NULL"}}));
}

proptest! {
    #[test]
    fn numbers_are_read_back(float in any::<u32>(), double in any::<u64>(), low: u32, mid: u32, high: u32, negative: bool, scale in 0_u32..=28) {
        let amount = Decimal::from_parts(low, mid, high, negative, scale);
        let model = measure::Model {
            float: f32::from_bits(float),
            double: f64::from_bits(double),
            huge: BigDecimal::new(i64::from(low).into(), i64::from(scale) * 50 - 600),
            amount,
            ..first()
        };
        let snapshot = snapshot(&model);
        let text = |column: &str| snapshot[column].as_str().unwrap().to_owned();
        let read = text("amount").parse::<Decimal>().unwrap();
        prop_assert_eq!((read, read.scale()), (amount, amount.scale()));
        prop_assert_eq!(text("huge").parse::<BigDecimal>().unwrap(), model.huge.clone());
        if model.double.is_finite() {
            // Through text, as a database keeps it.
            let read: Value = serde_json::from_str(&snapshot["double"].to_string()).unwrap();
            prop_assert_eq!(read.as_f64().unwrap(), model.double);
        } else {
            prop_assert_eq!(text("double").parse::<f64>().unwrap().to_string(), model.double.to_string());
        }
        if model.float.is_finite() {
            let read: Value = serde_json::from_str(&snapshot["float"].to_string()).unwrap();
            #[allow(clippy::cast_possible_truncation)]
            let read = read.as_f64().unwrap() as f32;
            prop_assert_eq!(read, model.float);
        } else {
            prop_assert_eq!(text("float").parse::<f32>().unwrap().to_string(), model.float.to_string());
        }
    }

    #[test]
    fn texts_and_bytes_are_read_back(bytes: Vec<u8>, word in any::<String>()) {
        let words = vec![word.clone(), word.clone()];
        let model = measure::Model { bytes: bytes.clone(), text: word.clone(), words, ..first() };
        let snapshot = snapshot(&model);
        let hex = snapshot["bytes"].as_str().unwrap();
        let read: Vec<u8> = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        prop_assert_eq!(read, bytes);
        prop_assert_eq!(&snapshot["text"], &json!(word));
        prop_assert_eq!(&snapshot["words"], &json!([word, word]));
    }

    /// To the nanosecond, and of both crates the same.
    #[test]
    fn times_are_read_back(seconds in -62_000_000_000_i64..250_000_000_000, nanos in 0_u32..1_000_000_000, offset in -14 * 60..=14 * 60_i32) {
        let utc = DateTime::from_timestamp(seconds, nanos).unwrap();
        let zoned = utc.with_timezone(&FixedOffset::east_opt(offset * 60).unwrap());
        let other = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).unwrap();
        let other_zoned = other.to_offset(time::UtcOffset::from_whole_seconds(offset * 60).unwrap());
        let model = measure::Model {
            utc,
            zoned,
            local: utc.with_timezone(&Local),
            date: utc.date_naive(),
            time: utc.time(),
            date_time: utc.naive_utc(),
            other_date: other.date(),
            other_time: other.time(),
            other_date_time: time::PrimitiveDateTime::new(other.date(), other.time()),
            other_zoned,
            ..first()
        };
        let snapshot = snapshot(&model);
        let text = |column: &str| snapshot[column].as_str().unwrap().to_owned();
        prop_assert_eq!(text("utc").parse::<DateTime<Utc>>().unwrap(), utc);
        prop_assert_eq!(text("local").parse::<DateTime<FixedOffset>>().unwrap(), utc);
        let read = text("zoned").parse::<DateTime<FixedOffset>>().unwrap();
        prop_assert_eq!((read, *read.offset()), (zoned, *zoned.offset()));
        prop_assert_eq!(text("date").parse::<NaiveDate>().unwrap(), utc.date_naive());
        prop_assert_eq!(text("time").parse::<NaiveTime>().unwrap(), utc.time());
        prop_assert_eq!(text("date_time").parse::<NaiveDateTime>().unwrap(), utc.naive_utc());
        prop_assert_eq!(text("other_date"), text("date"));
        prop_assert_eq!(text("other_time"), text("time"));
        prop_assert_eq!(text("other_date_time"), text("date_time"));
        prop_assert_eq!(text("other_zoned").replace('Z', "+00:00"), text("zoned").replace('Z', "+00:00"));
    }
}

async fn a_log_gives_back_what_was_recorded(db: &TestDb) {
    let (before, after) = (first(), second());
    let extremes = [5e-324, f64::MAX, f64::MIN_POSITIVE, 1e16, -0.0, 1e-7, f64::NAN, f64::NEG_INFINITY];
    let mut models: Vec<_> = extremes.map(|double| measure::Model { double, ..second() }).to_vec();
    models.push(before.clone());
    for model in &models {
        let recording = taken(model).changes(&before, &after).snapshot(model);
        recording.save(&**db).await.unwrap();
    }
    let page = MeasureEvent::feed().limit(100).page(&**db).await.unwrap();
    for (entry, model) in page.entries.iter().rev().zip(&models) {
        let (stored, written) = (entry.snapshot.clone().unwrap(), snapshot(model));
        for (column, value) in written.as_object().unwrap() {
            let same = match (value.as_f64(), stored[column].as_f64()) {
                // PostgreSQL gives 1e16 back as an integer.
                (Some(written), Some(stored)) if value.is_f64() => written.to_bits() == stored.to_bits(),
                _ => *value == stored[column],
            };
            assert!(same, "{column}: {value} is {}", stored[column]);
        }
        let amount: Vec<_> = entry.changes().filter(|(name, ..)| *name == "amount").collect();
        assert_eq!(amount, [("amount", &json!("12345678901234567.01"), &json!("12345678901234567.02"))]);
        assert_eq!(entry.changes().count(), written.as_object().unwrap().len());
    }
    assert_eq!(page.entries.len(), models.len());
}

async fn rows_of_binary_keys_change_together(db: &TestDb) {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(blob::Entity)).await.unwrap();
    let keys: [&[u8]; 3] = [&[0, 255], &[128], b"text"];
    for key in keys {
        let row = blob::ActiveModel { key: Set(key.to_vec()), content: Set(vec![254]) };
        blob::Entity::insert(row).exec_without_returning(&**db).await.unwrap();
    }
    let moved = |before: &blob::Model, after: &blob::Model| {
        BlobEvent::Moved.on(after.key.len().to_string()).changes(before, after).by_system()
    };
    let update = blob::Entity::update_all().set(blob::Column::Content, vec![0_u8, 200]);
    let changed = update.record(&**db, moved).await.unwrap();
    assert_eq!(changed.rows.len(), 3);
    assert!(changed.rows.iter().all(|row| row.content == [0, 200] && keys.contains(&row.key.as_slice())));
    let page = any_feed().page(&**db).await.unwrap();
    for entry in &page {
        let changes: Vec<_> = entry.changes().collect();
        assert_eq!(changes, [("content", &json!("fe"), &json!("00c8"))]);
    }
    assert_eq!(page.entries.len(), 3);
}
