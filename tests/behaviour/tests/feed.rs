//! Feeds: pages, filters, labels and the indexes they walk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use behaviour::models::{
    self, AccountEvent, IssueEvent, IssueEventAction, PageEvent, Status, issue, robot, user, wiki_page,
};
use behaviour::raw::RawEvent;
use behaviour::{Kind, TestDb, on_every_database, statement};
use chrono::{DateTime, TimeDelta, Utc};
use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel};

// PostgreSQL has a type for JSON: no row of it can hold anything else.
on_every_database! {
    pages_to_the_end_are_the_whole_list
    pages_over_several_logs_are_the_whole_list
    many_subjects_are_one_list
    lists_of_any_length_are_one_list
    times_sort_whatever_their_fraction
    events_recorded_between_pages_change_no_later_page
    filters_narrow
    empty_sets_are_empty
    labels_come_from_one_query_a_table
    labels_of_any_feed_are_asked_for
    what_has_no_label_is_named_by_its_id
    an_event_that_can_not_be_decoded_keeps_its_place
    a_row_that_can_not_be_read_is_named
    two_enums_of_one_subject_have_a_feed_each
    a_limit_has_bounds
    a_token_goes_through_text
    whatever_a_url_holds_costs_no_connection
    feeds_walk_their_index
    ; sqlite_only:
    a_row_that_is_no_json_is_named
    ; mysql_only:
    a_row_that_is_no_json_is_named
    a_late_page_steps_over_nothing
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000_000_000 + micros).unwrap()
}

/// Many events of few subjects, actors and times.
async fn crowd(db: &TestDb) -> Vec<user::Model> {
    let users = vec![models::user(&**db, "Ada").await, models::user(&**db, "Bob").await];
    let mut seed = 7_u64;
    let mut random = |most: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(seed >> 33).unwrap() % most
    };
    let mut drafts: Vec<event_core::Draft> = Vec::new();
    for n in 0..200 {
        let who = &users[usize::try_from(random(2)).unwrap()];
        // Few times, so that many are equal, and not in the order of recording.
        let when = time(random(12) * 1_000);
        drafts.push(match random(3) {
            0 => IssueEvent::Commented { comment_id: n }.on(random(3)).by(who).at(when).into(),
            1 => PageEvent::Edited { lines: 1 }.on(format!("page-{}", random(3))).by(who).at(when).into(),
            _ => AccountEvent::SignedIn.on(random(3)).by(who).at(when).into(),
        });
    }
    record_many(&**db, drafts).await.unwrap();
    users
}

/// What the log holds, newest first.
async fn expected(db: &TestDb, condition: &str) -> Vec<String> {
    let columns = "occurred_at, id, subject_type, subject_id, actor_id, action";
    let all = format!(
        "SELECT log || '/' || id FROM (SELECT 'events' AS log, {columns} FROM events UNION ALL \
         SELECT 'audit_events', {columns} FROM audit_events) AS logs WHERE {condition} \
         ORDER BY occurred_at DESC, log DESC, id DESC"
    );
    db.rows(&all).await
}

async fn typed<E>(db: &TestDb, feed: Feed<E>, limit: u64) -> Vec<String>
where
    E: DomainEvent<Subject = issue::Entity, Actors: event_sea_orm::ActorEntities<E>>,
{
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let page = feed.clone().limit(limit).after(next).page(&**db).await.unwrap();
        assert!(page.entries.len() as u64 == limit || page.next.is_none());
        all.extend(page.entries.iter().map(|entry| entry.at.to_string()));
        assert!(all.len() <= 1_000, "pages come again");
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
}

async fn any(db: &TestDb, feed: AnyFeed, limit: u64) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let page = feed.clone().limit(limit).after(next).page(&**db).await.unwrap();
        all.extend(page.entries.iter().map(|entry| entry.at.to_string()));
        assert!(all.len() <= 1_000, "pages come again");
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
}

async fn pages_to_the_end_are_the_whole_list(db: &TestDb) {
    let users = crowd(db).await;
    let all = expected(db, "subject_type = 'issue'").await;
    let ofs = expected(db, "subject_type = 'issue' AND subject_id = '1'").await;
    let bys = expected(db, "subject_type = 'issue' AND actor_id = '2'").await;
    let both = expected(db, "subject_type = 'issue' AND subject_id IN ('1', '2') AND actor_id = '1'").await;
    for limit in [1, 2, 7, 500] {
        assert_eq!(typed(db, IssueEvent::feed(), limit).await, all);
        assert_eq!(typed(db, IssueEvent::feed().of_id(1), limit).await, ofs);
        assert_eq!(typed(db, IssueEvent::feed().by(&users[1]), limit).await, bys);
        assert_eq!(typed(db, IssueEvent::feed().of_ids([1, 2]).by(&users[0]), limit).await, both);
    }
    assert!(all.len() > 50 && ofs.len() > 10 && bys.len() > 20 && both.len() > 10);
}

async fn pages_over_several_logs_are_the_whole_list(db: &TestDb) {
    let users = crowd(db).await;
    let all = expected(db, "true").await;
    assert_eq!(all.len(), 200);
    let adas = expected(db, "actor_id = '1'").await;
    let some = expected(
        db,
        "actor_id = '1' AND subject_type = 'user' AND subject_id = '2' OR actor_id = '1' AND subject_id = 'page-1'",
    )
    .await;
    let edits = expected(db, "action = 'edited' OR action = 'signed_in'").await;
    for limit in [1, 3, 64, 500] {
        assert_eq!(any(db, any_feed(), limit).await, all);
        let ada = actor_of::<IssueEvent, _>(&users[0]);
        assert_eq!(any(db, any_feed().by_ref(ada.clone()), limit).await, adas);
        let subjects =
            [SubjectRef::new("user", 2), SubjectRef::new("page", "page-1"), SubjectRef::new("wiki_page", "page-1")];
        assert_eq!(any(db, any_feed().of_refs(subjects).by_ref(ada), limit).await, some);
        assert_eq!(any(db, any_feed().actions(["edited", "signed_in"]), limit).await, edits);
    }
}

async fn many_subjects_are_one_list(db: &TestDb) {
    let drafts = (0..450_i64).map(|n| IssueEvent::Closed.on(n % 150).by_system().at(time(n * 7_919 % 100)));
    record_many(&**db, drafts).await.unwrap();
    // More than one statement, and the same subject twice.
    let feed = IssueEvent::feed().of_ids((0..150).chain(0..10));
    let all = expected(db, "true").await;
    assert_eq!(typed(db, feed.clone(), 37).await, all);
    db.take_statements();
    feed.page(&**db).await.unwrap();
    assert_eq!(db.take_statements().len(), 3, "two for the events, one for the labels");
}

async fn lists_of_any_length_are_one_list(db: &TestDb) {
    let users = crowd(db).await;
    let ofs = expected(db, "subject_type = 'issue' AND subject_id IN ('1', '2') AND actor_id = '1'").await;
    let ada = actor_of::<IssueEvent, _>(&users[0]);
    // More than SQLite takes conditions (1,000), and values (32,766); of two kinds.
    for many in [1_500, 40_000_i64] {
        let others = (0..many).map(|n| ActorRef::new(if n % 2 == 0 { "user" } else { "robot" }, n + 1_000));
        let actors: Vec<_> = others.chain([ada.clone()]).collect();
        let feed = IssueEvent::feed().of_ids([1, 2]).by_refs(actors.clone());
        assert_eq!(typed(db, feed, 100).await, ofs, "{many} actors");
        let subjects = [SubjectRef::new("issue", 1), SubjectRef::new("issue", 2)];
        assert_eq!(any(db, any_feed().of_refs(subjects).by_refs(actors), 500).await, ofs, "{many} actors");
        let batches = (0..many).map(|n| format!("batch-{n}"));
        assert_eq!(any(db, any_feed().in_batches(batches), 500).await, Vec::<String>::new());
    }
}

async fn times_sort_whatever_their_fraction(db: &TestDb) {
    // None, three and six digits, before and after the epoch.
    let times = [-1_500_000, -1_000_000, 0, 1, 999, 1_000, 1_001, 120_000, 123_456, 999_999, 1_000_000];
    let recordings = times.iter().map(|micros| {
        let when = DateTime::from_timestamp_micros(*micros).unwrap();
        IssueEvent::Closed.on(1).by_system().at(when)
    });
    record_many(&**db, recordings).await.unwrap();
    let page = IssueEvent::feed().page(&**db).await.unwrap();
    let read: Vec<_> = page.entries.iter().map(|entry| entry.occurred_at.timestamp_micros()).collect();
    assert_eq!(read, times.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(typed(db, IssueEvent::feed(), 1).await.len(), times.len());
}

async fn events_recorded_between_pages_change_no_later_page(db: &TestDb) {
    crowd(db).await;
    let all = expected(db, "subject_type = 'issue'").await;
    let first = IssueEvent::feed().limit(10).page(&**db).await.unwrap();
    let end = first.entries[9].occurred_at;
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    // Equal to the end of the page, but with a greater id: it belongs before the end.
    IssueEvent::Closed.on(1).by_system().at(end).save(&**db).await.unwrap();
    let rest = IssueEvent::feed().limit(500).after(first.next).page(&**db).await.unwrap();
    let read: Vec<_> = first.entries.iter().chain(&rest.entries).map(|entry| entry.at.to_string()).collect();
    assert_eq!(read, all);
    // One that happened earlier belongs to the rest.
    let late = IssueEvent::Closed.on(1).by_system().at(end - TimeDelta::days(1)).save(&**db).await.unwrap();
    let page = IssueEvent::feed().limit(500).page(&**db).await.unwrap();
    assert_eq!(page.entries.last().unwrap().at, *late.event().unwrap());
}

async fn filters_narrow(db: &TestDb) {
    let (ada, bob) = (models::user(&**db, "Ada").await, models::user(&**db, "Bob").await);
    let (one, two) = (models::issue(&**db, "One").await, models::issue(&**db, "Two").await);
    one.record(IssueEvent::Created).by(&ada).save(&**db).await.unwrap();
    one.record(IssueEvent::Closed).by(&bob).save(&**db).await.unwrap();
    two.record(IssueEvent::Closed).by(&ada).save(&**db).await.unwrap();
    let ids = async |feed: Feed<IssueEvent>| -> Vec<i64> {
        feed.page(&**db).await.unwrap().into_iter().map(|entry| entry.at.id).collect()
    };
    assert_eq!(ids(IssueEvent::feed()).await, [3, 2, 1]);
    assert_eq!(ids(one.feed()).await, [2, 1]);
    assert_eq!(ids(IssueEvent::feed().of(&one).of(&two)).await, [3, 2, 1]);
    assert_eq!(ids(IssueEvent::feed().by(&ada)).await, [3, 1]);
    assert_eq!(ids(one.feed().by(&ada)).await, [1]);
    assert_eq!(ids(one.feed().by(&ada).by(&bob)).await, [2, 1]);
    assert_eq!(ids(IssueEvent::feed().actions([IssueEventAction::Closed])).await, [3, 2]);
    assert_eq!(ids(one.feed().actions([IssueEventAction::Closed, IssueEventAction::Created])).await, [2, 1]);
}

async fn empty_sets_are_empty(db: &TestDb) {
    IssueEvent::Closed.on(1).by_ref(ActorRef::new("user", 1)).save(&**db).await.unwrap();
    let none = Vec::<i64>::new();
    assert!(IssueEvent::feed().of_ids(none).page(&**db).await.unwrap().entries.is_empty());
    assert!(IssueEvent::feed().by_refs([]).page(&**db).await.unwrap().entries.is_empty());
    assert!(IssueEvent::feed().actions([]).page(&**db).await.unwrap().entries.is_empty());
    assert!(IssueEvent::feed().of_id(1).by_refs([]).page(&**db).await.unwrap().entries.is_empty());
    assert!(any_feed().logs(Vec::<String>::new()).page(&**db).await.unwrap().entries.is_empty());
}

async fn labels_come_from_one_query_a_table(db: &TestDb) {
    let mut counts = Vec::new();
    for more in [1, 8] {
        for n in 0..more {
            let (user, issue) = (models::user(&**db, &format!("User {n}")).await, models::issue(&**db, "It").await);
            issue.record(IssueEvent::Created).by(&user).save(&**db).await.unwrap();
            user.record(AccountEvent::SignedIn).by(&user).save(&**db).await.unwrap();
        }
        db.take_statements();
        IssueEvent::feed().page(&**db).await.unwrap();
        counts.push(db.take_statements().len());
        // Subjects and actors are one table.
        AccountEvent::feed().page(&**db).await.unwrap();
        counts.push(db.take_statements().len());
    }
    assert_eq!(counts, [3, 2, 3, 2]);
    let page = IssueEvent::feed().limit(2).page(&**db).await.unwrap();
    let sentences: Vec<_> = page.entries.iter().map(Entry::summary).collect();
    assert_eq!(sentences, ["User 7 opened It", "User 6 opened It"]);
    let page = AccountEvent::feed().limit(1).page(&**db).await.unwrap();
    assert_eq!(page.entries[0].summary(), "User 7 signed in as User 7");
}

async fn labels_of_any_feed_are_asked_for(db: &TestDb) {
    let (ada, issue) = (models::user(&**db, "Ada").await, models::issue(&**db, "Broken").await);
    let home = wiki_page::Model { slug: "home".into(), number: Some(12) };
    wiki_page::Entity::insert(home.clone().into_active_model()).exec_without_returning(&**db).await.unwrap();
    issue
        .record(IssueEvent::StatusChanged { from: Status::Open, to: Status::Closed })
        .by(&ada)
        .at(time(0))
        .save(&**db)
        .await
        .unwrap();
    home.record(PageEvent::Edited { lines: 3 }).by(&ada).at(time(1)).save(&**db).await.unwrap();
    ada.record(AccountEvent::SignedIn).by(&ada).at(time(2)).save(&**db).await.unwrap();
    let sentences = async |feed: AnyFeed| -> Vec<String> {
        feed.page(&**db).await.unwrap().into_iter().map(|entry| entry.summary()).collect()
    };
    db.take_statements();
    let all = any_feed().with::<IssueEvent>().with::<PageEvent>().with::<AccountEvent>();
    assert_eq!(
        sentences(all).await,
        ["Ada signed in as Ada", "Ada edited page 12", "Ada changed the status of Broken from open to closed"]
    );
    assert_eq!(db.take_statements().len(), 4);
    assert_eq!(
        sentences(any_feed()).await,
        [
            "user 1 signed in as user 1",
            "user 1 edited page wiki_page home",
            "user 1 changed the status of issue 1 from open to closed"
        ]
    );
}

async fn what_has_no_label_is_named_by_its_id(db: &TestDb) {
    // Gone, never there, no key of that table, no label at all, nobody.
    let (ada, gone) = (models::user(&**db, "Ada").await, models::issue(&**db, "Gone").await);
    issue::Entity::delete_by_id(gone.id).exec(&**db).await.unwrap();
    gone.record(IssueEvent::Created).by(&ada).at(time(3)).save(&**db).await.unwrap();
    // Another program's actor: this one's enum names no such kind.
    let when = db.time(&time(2).to_rfc3339());
    db.sql(&format!(
        "INSERT INTO events (subject_type, subject_id, actor_type, actor_id, action, version, metadata, occurred_at) \
         VALUES ('issue', 'seven', 'alien', '1', 'created', 1, '{{}}', {when})"
    ))
    .await
    .unwrap();
    IssueEvent::Created.on(9).by(&robot::Model { id: uuid::Uuid::nil() }).at(time(1)).save(&**db).await.unwrap();
    IssueEvent::Created.on(9).by_system().at(time(0)).save(&**db).await.unwrap();
    let page = IssueEvent::feed().page(&**db).await.unwrap();
    let sentences: Vec<_> = page.entries.iter().map(Entry::summary).collect();
    assert_eq!(
        sentences,
        [
            "Ada opened issue 1",
            "alien 1 opened issue seven",
            "robot 00000000-0000-0000-0000-000000000000 opened issue 9",
            "system opened issue 9"
        ]
    );
}

async fn an_event_that_can_not_be_decoded_keeps_its_place(db: &TestDb) {
    IssueEvent::Created.on(1).by_system().at(time(0)).save(&**db).await.unwrap();
    // As a newer program records it.
    RawEvent::of("teleported", 1, "{\"to\": \"Mars\"}").write(db).await.unwrap();
    let page = IssueEvent::feed().page(&**db).await.unwrap();
    let error = page.entries[0].event().unwrap_err();
    assert!(matches!(error, DecodeError::UnknownAction { .. }), "{error}");
    assert_eq!(page.entries[0].summary(), "system: teleported (issue 1)");
    assert_eq!(page.entries[1].event().unwrap().event, IssueEvent::Created);
}

async fn a_row_that_can_not_be_read_is_named(db: &TestDb) {
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    RawEvent::of("closed", -1, "{\"secret\": 1}").write(db).await.unwrap();
    let error = IssueEvent::feed().page(&**db).await.unwrap_err();
    assert!(matches!(&error, FeedError::Row(row) if row.id == 2 && row.column == "version"), "{error:?}");
    assert!(error.to_string().starts_with("event events/2") && !error.to_string().contains("secret"), "{error}");
}

async fn a_row_that_is_no_json_is_named(db: &TestDb) {
    IssueEvent::Created.on(1).by_system().save(&**db).await.unwrap();
    let unchecked = match db.kind() {
        Kind::MySql => "SET check_constraint_checks = OFF",
        _ => "PRAGMA ignore_check_constraints = ON",
    };
    // One connection, which the setting is of.
    let careless = db.another(1).await;
    careless.execute_unprepared(unchecked).await.unwrap();
    careless.execute_unprepared(&RawEvent::of("created", 1, "{\"secret\"").insert(db)).await.unwrap();
    let error = IssueEvent::feed().page(&**db).await.unwrap_err();
    assert!(matches!(&error, FeedError::Row(row) if row.id == 2 && row.column == "metadata"), "{error:?}");
    assert!(error.to_string().starts_with("event events/2") && !error.to_string().contains("secret"), "{error}");
}

async fn a_limit_has_bounds(db: &TestDb) {
    for bad in [0, 501, u64::MAX] {
        let error = IssueEvent::feed().limit(bad).page(&**db).await.unwrap_err();
        assert!(matches!(error, FeedError::BadLimit { given } if given == bad));
    }
    for n in 0..25 {
        IssueEvent::Created.on(n).by_system().save(&**db).await.unwrap();
    }
    assert_eq!(IssueEvent::feed().page(&**db).await.unwrap().entries.len(), 20);
    let page = IssueEvent::feed().limit(25).page(&**db).await.unwrap();
    assert!(page.entries.len() == 25 && page.next.is_none());
}

async fn a_token_goes_through_text(db: &TestDb) {
    for n in 0..3 {
        IssueEvent::Created.on(n).by_system().save(&**db).await.unwrap();
    }
    let page = IssueEvent::feed().limit(2).page(&**db).await.unwrap();
    let text = page.next.unwrap().to_string();
    assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "~-_".contains(c)), "{text}");
    let page = IssueEvent::feed().after(text.parse::<PageToken>().unwrap()).page(&**db).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    let read = async |text: &str| -> Result<usize, FeedError> {
        Ok(IssueEvent::feed().after(text.parse::<PageToken>()?).page(&**db).await?.entries.len())
    };
    assert!(matches!(read("junk").await, Err(FeedError::BadToken(_))));
}

/// Whether the plan walks this index, on SQLite by this condition.
fn walks(db: &TestDb, plan: &str, index: &str, condition: &str) -> bool {
    plan.contains(&if db.kind() == Kind::Sqlite { format!("{index}{condition}") } else { index.to_owned() })
}

/// How often the plan sorts.
fn sorts(db: &TestDb, plan: &str) -> usize {
    plan.matches(match db.kind() {
        Kind::Sqlite => "TEMP B-TREE",
        Kind::Postgres => "Sort  (",
        Kind::MySql => "filesort",
    })
    .count()
}

/// The same events over and over, some ten thousand in each log.
async fn multiply(db: &TestDb) {
    let columns = "subject_type, subject_id, actor_type, actor_id, action, version, metadata, occurred_at";
    for log in ["events", "audit_events"] {
        while db.number(&format!("SELECT count(*) FROM {log}")).await < 15_000 {
            db.sql(&format!("INSERT INTO {log} ({columns}) SELECT {columns} FROM {log}")).await.unwrap();
        }
    }
}

/// What a page costs does not grow with what is newer than it. MariaDB's plan names the index also where it walks all of it.
async fn a_late_page_steps_over_nothing(db: &TestDb) {
    crowd(db).await;
    multiply(db).await;
    db.sql("ANALYZE TABLE events").await.unwrap();
    let middle = db.number("SELECT max(id) DIV 2 FROM events").await;
    let late: PageToken = format!("1~{}~{middle}~events", time(0).timestamp_micros()).parse().unwrap();
    let reader = db.another(1).await;
    for feed in [IssueEvent::feed(), IssueEvent::feed().of_id(1)] {
        let before = steps(&reader).await;
        let page = feed.limit(20).after(late.clone()).page(&reader).await.unwrap();
        assert_eq!(page.entries.len(), 20);
        let steps = steps(&reader).await - before;
        assert!(steps < 400, "{steps} steps");
    }
    reader.close().await.unwrap();
}

/// Rows and places of indexes that this session's statements have been at.
async fn steps(session: &DatabaseConnection) -> i64 {
    let status = "SELECT CAST(sum(variable_value) AS signed) FROM information_schema.session_status \
                  WHERE variable_name LIKE 'handler_read_%'";
    let row = session.query_one_raw(statement(session, status, [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn feeds_walk_their_index(db: &TestDb) {
    let users = crowd(db).await;
    if db.kind() == Kind::MySql {
        // A small table it rather reads and sorts; and what it believes of a table's size comes late, unless it is told to look.
        multiply(db).await;
        db.sql("ANALYZE TABLE events, audit_events").await.unwrap();
    }
    let ada = actor_of::<IssueEvent, _>(&users[0]);
    let next = IssueEvent::feed().limit(3).page(&**db).await.unwrap().next;
    let subject = IssueEvent::feed().of_id(1);
    let of_subject = " (subject_type=? AND subject_id=?)";
    let of_subject_after = " (subject_type=? AND subject_id=? AND occurred_at<?)";
    let (by_actor, by_actor_after) =
        (" (actor_type=? AND actor_id=?)", " (actor_type=? AND actor_id=? AND occurred_at<?)");
    let by_ada = IssueEvent::feed().by_ref(ada.clone());
    let feeds = [
        (subject.clone(), "events_subject", of_subject),
        (subject.clone().after(next.clone()), "events_subject", of_subject_after),
        (subject.by_ref(ada.clone()), "events_subject", of_subject),
        (by_ada.clone(), "events_actor", by_actor),
        (by_ada.after(next.clone()), "events_actor", by_actor_after),
        (IssueEvent::feed(), "events_time", ""),
        (IssueEvent::feed().after(next.clone()), "events_time", " (occurred_at<?)"),
        (IssueEvent::feed().actions([IssueEventAction::Closed]), "events_time", ""),
    ];
    for analyzed in [false, true] {
        for (feed, index, condition) in feeds.clone() {
            db.take_statements();
            feed.page(&**db).await.unwrap();
            let plan = db.plan(db.take_statements().remove(0)).await;
            assert!(walks(db, &plan, index, condition), "{index}{condition} is not in:\n{plan}");
            assert_eq!(sorts(db, &plan), 0, "sorted:\n{plan}");
        }
        // Merged from several branches: a page of each is sorted, never a log.
        db.take_statements();
        any_feed().by_ref(ada.clone()).after(next.clone()).page(&**db).await.unwrap();
        let plan = db.plan(db.take_statements().remove(0)).await;
        for index in [" events_actor", " audit_events_actor"] {
            assert!(walks(db, &plan, index, by_actor_after), "{index} is not in:\n{plan}");
        }
        if db.kind() == Kind::Sqlite {
            // Sorted is what comes out of a branch, and that is a page at most.
            assert_eq!(plan.matches("CO-ROUTINE branch").count(), 2, "{plan}");
            assert_eq!(plan.matches("TEMP B-TREE").count(), plan.matches("SCAN branch").count(), "{plan}");
        } else {
            assert_eq!(sorts(db, &plan), 1, "only the page is sorted:\n{plan}");
        }
        if !analyzed {
            let analyze = if db.kind() == Kind::MySql { "ANALYZE TABLE events, audit_events" } else { "ANALYZE" };
            db.sql(analyze).await.unwrap();
        }
    }
}

/// The other enum of issues.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title))]
enum BillingEvent {
    Invoiced,
}

async fn two_enums_of_one_subject_have_a_feed_each(db: &TestDb) {
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    BillingEvent::Invoiced.on(1).by_system().save(&**db).await.unwrap();
    let closed = IssueEvent::feed().page(&**db).await.unwrap();
    assert_eq!(closed.entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["closed"]);
    let invoiced = BillingEvent::feed().of_id(1).page(&**db).await.unwrap();
    assert_eq!(invoiced.entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["invoiced"]);
}

/// Texts as strangers send them: nearly tokens, and anything.
fn strangers_text(rng: &mut impl FnMut(u64) -> u64) -> String {
    let number = |rng: &mut dyn FnMut(u64) -> u64| {
        let number = i128::from(rng(u64::MAX)) >> rng(70).min(64);
        if rng(2) == 0 { number } else { -number }
    };
    let log =
        ["events", "audit_events", "nowhere", "", "a\0b", "'; --", "\u{1F600}", "~"][usize::try_from(rng(8)).unwrap()];
    match rng(4) {
        0 => (0..rng(20)).map(|_| char::from_u32(u32::try_from(rng(0x1_0000)).unwrap()).unwrap_or('~')).collect(),
        _ => format!("1~{}~{}~{log}", number(rng), number(rng)),
    }
}

async fn whatever_a_url_holds_costs_no_connection(db: &TestDb) {
    IssueEvent::Closed.on(1).by_system().save(&**db).await.unwrap();
    let pool = db.another(if db.kind() == Kind::Sqlite { 1 } else { 5 }).await;
    let mut seed = 16_u64;
    let mut rng = move |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 16) % most.max(1)
    };
    let (mut pages, mut bad) = (0, 0);
    let fixed = ["1~8000000000000000000~5~events", "1~-219951936000000000~1~events", "1~253402300799999999~5~events"];
    let random: Vec<String> = (0..400).map(|_| strangers_text(&mut rng)).collect();
    for text in fixed.into_iter().map(str::to_owned).chain(random) {
        match text.parse::<PageToken>() {
            Ok(token) => {
                IssueEvent::feed().after(token.clone()).page(&pool).await.unwrap();
                any_feed().after(token).page(&pool).await.unwrap();
                pages += 1;
            }
            Err(event_sea_orm::BadToken) => bad += 1,
        }
        // The same as ids and filters; those of a typed feed, of any feed, of a tree.
        IssueEvent::feed().of_id(text.as_str()).page(&pool).await.unwrap();
        let actor = ActorRef::new("user", text.as_str());
        any_feed().of_ref(SubjectRef::new("issue", text.as_str())).by_ref(actor).page(&pool).await.unwrap();
        any_feed().actions([text.as_str()]).in_batches([text.as_str()]).page(&pool).await.unwrap();
        Batch::find(&pool, &text).await.unwrap();
        EventTree::correlated(&pool, text.as_str()).await.unwrap();
        let log = LogName::from(text.clone());
        if !["events", "audit_events"].contains(&text.as_str()) && !text.is_empty() {
            let error = EventTree::of(&pool, &EventRef::new(log, 1)).await.unwrap_err();
            assert!(matches!(error, FeedError::NotMigrated { .. } | FeedError::Db(_)), "{error:?}");
        }
    }
    assert!(pages > 20 && bad > 20, "{pages} tokens, {bad} that are none");
    // Every connection answers.
    let asked = (0..10).map(|_| IssueEvent::feed().page(&pool));
    for page in
        tokio::time::timeout(std::time::Duration::from_secs(20), futures_util::future::join_all(asked)).await.unwrap()
    {
        assert_eq!(page.unwrap().entries.len(), 1);
    }
}
