//! Attachments: stored before the event, attached as it is recorded, read back and checked, swept away when nobody has them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use behaviour::models::{self, AccountEvent, IssueEvent, issue, user};
use behaviour::objects::{Call, Objects};
use behaviour::{Kind, TestDb, on_every_empty_database};
use bytes::Bytes;
use event_core::{RecordingError, Saved};
use event_sea_orm::object_store::{ObjectStoreExt as _, path::Path as ObjectPath};
use event_sea_orm::prelude::*;
use event_sea_orm::{AttachmentRefusal, Swept};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, Database, DbErr, IsolationLevel, TransactionTrait as _};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

on_every_empty_database! {
    a_file_is_stored_attached_and_read_back
    a_files_name_is_no_path
    large_files_go_in_parts
    a_content_that_breaks_off_is_no_attachment
    what_is_rolled_back_is_swept
    what_a_killed_upload_left_is_swept
    an_interrupted_sweep_goes_on
    an_upload_that_was_swept_away_takes_its_object_back
    a_large_upload_that_is_swept_away_says_so
    an_upload_that_is_dropped_is_swept
    what_is_being_attached_is_not_swept
    what_a_sweep_claimed_is_not_attached
    an_attachment_belongs_to_one_event
    of_many_recorders_at_once_one_has_it
    many_events_in_one_call
    a_set_based_change_attaches_in_its_whole
    the_same_event_again_has_the_same_files
    a_throttled_event_has_no_files
    what_is_no_attachment_is_refused
    without_attachments_an_event_is_one_statement
    files_of_a_page_are_one_query
    what_is_asked_walks_an_index
    damage_is_found
    attached_files_are_append_only
    what_belonged_to_deleted_events_is_swept
    files_of_archived_events_stay
    one_object_that_can_not_be_deleted_stops_no_other
    two_sweeps_at_once_share_the_work
    more_than_a_batch_is_swept
    objects_without_a_row_are_listed_and_kept
    names_and_types_are_checked
    a_missing_table_is_told
    a_file_that_is_too_large_leaves_nothing
    others_may_not_read_what_is_stored
    a_row_names_no_other_object
    symbolic_links_are_not_followed
    a_row_begins_as_an_upload
    ; servers_only:
    a_recorder_waits_for_a_sweep_and_sees_it
    a_snapshot_from_before_a_sweep_attaches_nothing
    these_rights_are_enough_to_attach
    these_rights_are_enough_to_sweep
    ; postgres_only:
    a_temporary_table_of_a_logs_name_claims_nothing
    a_sweep_that_does_not_see_all_events_removes_nothing
}

/// What happens to issues, in a table of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, name = "filed"), actor(user::Entity), table = "filed_events")]
enum FiledEvent {
    Filed,
    #[event(throttle = "5m")]
    Looked,
}

/// All tables, and a directory.
struct Files {
    attachments: Attachments,
    directory: tempfile::TempDir,
}

impl Files {
    async fn new(db: &TestDb) -> Self {
        prepare(db).await;
        let directory = tempfile::tempdir().unwrap();
        let attachments = Attachments::in_directory(db, directory.path().join("made/storage")).unwrap();
        Self { attachments, directory }
    }

    async fn store(&self, content: &'static str) -> Attachment {
        self.attachments.store("a.txt", "text/plain", content).await.unwrap()
    }

    async fn sweep(&self) -> Swept {
        let swept = self.attachments.sweep(Duration::ZERO).await.unwrap();
        assert!(swept.failures.is_empty(), "{swept:?}");
        swept
    }

    /// Every file that is there.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(self.directory.path(), &mut found);
        found
    }

    fn file(&self, attachment: &Attachment) -> PathBuf {
        let mut files = self.files();
        files.retain(|file| file.ends_with(attachment.id.as_str()));
        assert_eq!(files.len(), 1);
        files.remove(0)
    }
}

async fn prepare(db: &TestDb) {
    models::create_tables(db).await;
    migrate(db).await.unwrap();
    models::issue(&**db, "Printer").await;
    db.take_statements();
}

/// The same tables, and a store in memory that a test can break.
async fn breakable(db: &TestDb) -> (Attachments, Objects) {
    prepare(db).await;
    let objects = Objects::default();
    (Attachments::new(db, Arc::new(objects.clone())), objects)
}

fn commented() -> Recording<IssueEvent> {
    IssueEvent::Commented { comment_id: 7 }.on(1).by_system()
}

fn filed() -> Recording<FiledEvent> {
    FiledEvent::Filed.on(1).by_system()
}

async fn events(db: &TestDb) -> i64 {
    db.number("SELECT count(*) FROM events").await
}

async fn rows(db: &TestDb) -> Vec<String> {
    db.rows("SELECT state, log, event_id FROM event_attachments ORDER BY id").await
}

fn refusal<T: std::fmt::Debug>(saved: Result<T, RecordError>) -> AttachmentRefusal {
    match saved.unwrap_err() {
        RecordError::Attachment { refusal, .. } => refusal,
        error => panic!("{error}"),
    }
}

async fn a_file_is_stored_attached_and_read_back(db: &TestDb) {
    let files = Files::new(db).await;
    let log = files.attachments.store("build.log", "text/plain", "all is well").await.unwrap();
    assert_eq!((log.name.as_str(), log.content_type.as_str(), log.size), ("build.log", "text/plain", 11));
    // printf 'all is well' | sha256sum
    assert_eq!(log.sha256, "f70579cce37a17bd1c4c4061b0beff0fbf58853a2f0c72a14f93c8f30c6b7cec");
    assert_eq!(log.event, None);
    assert!((chrono::Utc::now() - log.created_at).num_seconds().abs() < 60);
    let empty = files.attachments.store("empty", "application/octet-stream", Bytes::new()).await.unwrap();
    let ada = models::user(&**db, "Ada").await;
    let saved = db
        .transact(async |txn| IssueEvent::Closed.on(1).attach(&log).attach(empty).by(&ada).save(txn).await)
        .await
        .unwrap();
    // By its id alone, in a table of the enum's own.
    let own = files.attachments.store("own", "text/plain", "own").await.unwrap();
    let filed = filed().attach(own.id.as_str()).save(&**db).await.unwrap();

    let of = files.attachments.of(saved.event().unwrap()).await.unwrap();
    assert_eq!(of.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["build.log", "empty"]);
    let mut attached = log.clone();
    attached.event = saved.event().cloned();
    assert_eq!(of[0], attached);
    assert_eq!(files.attachments.find(&log.id).await.unwrap(), Some(attached));
    assert_eq!(files.attachments.read(&of[0]).await.unwrap(), "all is well");
    assert_eq!(files.attachments.read(&of[1]).await.unwrap(), "");
    let streamed: Vec<Bytes> = files.attachments.stream(&of[0]).await.unwrap().try_collect().await.unwrap();
    assert_eq!(streamed.concat(), b"all is well");
    let of = files.attachments.of(filed.event().unwrap()).await.unwrap();
    assert_eq!(files.attachments.read(&of[0]).await.unwrap(), "own");
    assert_eq!(files.sweep().await.removed, 0);
    assert_eq!(files.files().len(), 3);
}

async fn a_files_name_is_no_path(db: &TestDb) {
    let files = Files::new(db).await;
    let names = ["../../../etc/passwd", "/etc/passwd", "a\\b", "..", "C:\\x", "a\nb", "%2e%2e/ü 文", "x#1", "'; --"];
    for name in names {
        let file = files.attachments.store(name, "text/plain", "x").await.unwrap();
        assert_eq!(files.attachments.find(&file.id).await.unwrap().unwrap().name, name);
        assert!(files.file(&file).starts_with(files.directory.path().join("made/storage/attachments")));
    }
    assert_eq!(files.files().len(), names.len());
}

/// Bytes that no two parts have in common.
fn large() -> Vec<u8> {
    (0..20_u32 << 18).flat_map(u32::to_le_bytes).collect()
}

async fn large_files_go_in_parts(db: &TestDb) {
    let files = Files::new(db).await;
    let content = large();
    let pieces = stream::iter(content.chunks(3 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())));
    let streamed = files.attachments.store_stream("streamed", "image/png", pieces).await.unwrap();
    let read = files.attachments.store_reader("read", "image/png", content.as_slice()).await.unwrap();
    let whole = files.attachments.store("whole", "image/png", content.clone()).await.unwrap();
    for file in [&streamed, &read, &whole] {
        assert_eq!((file.size, &file.sha256), (content.len() as u64, &whole.sha256));
        assert!(std::fs::read(files.file(file)).unwrap() == content);
    }
    let mut stream = files.attachments.stream(&streamed).await.unwrap();
    let mut at = 0;
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.unwrap();
        assert!(content[at..].starts_with(&bytes));
        at += bytes.len();
    }
    assert_eq!(at, content.len());
    assert!(files.attachments.read(&read).await.unwrap() == content);
    assert_eq!(files.files().len(), 3, "nothing of the uploads is left");
}

async fn a_content_that_breaks_off_is_no_attachment(db: &TestDb) {
    let files = Files::new(db).await;
    // Within the first part, and behind it.
    for whole in [1, 20] {
        let pieces = (0..=whole).map(|piece| match piece {
            piece if piece == whole => Err(std::io::Error::other("the client went away")),
            _ => Ok(vec![7_u8; 1 << 20]),
        });
        let error = files.attachments.store_stream("a", "text/plain", stream::iter(pieces)).await.unwrap_err();
        let AttachmentError::Content { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.to_string(), "the client went away");
    }
    assert_eq!(rows(db).await, ["uploading - -", "uploading - -"]);
    assert_eq!(files.sweep().await.removed, 2);
    assert_eq!(rows(db).await.len() + files.files().len(), 0);
}

async fn what_is_rolled_back_is_swept(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("content").await;
    let kept = files.store("kept").await;
    let rolled_back = db.transact_with_error(async |txn| {
        commented().attach(&file).save(txn).await.unwrap();
        filed().attach(&kept).save(txn).await.unwrap();
        Err::<(), DbErr>(DbErr::Custom("no".to_owned()))
    });
    rolled_back.await.unwrap_err();
    assert_eq!(rows(db).await, ["stored - -", "stored - -"]);
    // Tried once more, one of them is attached after all.
    let saved = commented().attach(&kept).save(&**db).await.unwrap();
    let soon = files.attachments.sweep(Duration::from_secs(3600)).await.unwrap();
    assert_eq!((soon.removed, files.files().len()), (0, 2));
    assert_eq!(files.attachments.sweep(Duration::MAX).await.unwrap().removed, 0);

    let swept = files.sweep().await;
    assert_eq!((swept.removed, swept.bytes, swept.failed), (1, 7, 0));
    assert_eq!(rows(db).await, [format!("stored events {}", saved.event().unwrap().id)]);
    assert_eq!(files.files(), [files.file(&kept)]);
    assert!(matches!(files.attachments.read(&file).await, Err(AttachmentError::Missing { id }) if id == file.id));
    assert_eq!(files.attachments.read(&kept).await.unwrap(), "kept");
}

/// A row as a crash leaves it, and where its object would lie.
async fn raw_row(db: &TestDb, n: u8, state: &str) -> String {
    let id = format!("01997d3e-0000-7000-8000-0000000000{n:02x}");
    raw_row_of(db, &id, state).await;
    format!("attachments/{n:02x}/{id}")
}

/// A row of that id, which came to its state step by step.
async fn raw_row_of(db: &TestDb, id: &str, state: &str) {
    db.sql(&format!(
        "INSERT INTO event_attachments (id, name, content_type, state) VALUES ('{id}', 'a', 'text/plain', 'uploading')"
    ))
    .await
    .unwrap();
    if state != "uploading" {
        db.sql(&format!("UPDATE event_attachments SET state = 'stored', size = 3, sha256 = 'x' WHERE id = '{id}'"))
            .await
            .unwrap();
    }
    if state == "removing" {
        db.sql(&format!("UPDATE event_attachments SET state = 'removing' WHERE id = '{id}'")).await.unwrap();
    }
}

async fn what_a_killed_upload_left_is_swept(db: &TestDb) {
    let files = Files::new(db).await;
    let storage = files.directory.path().join("made/storage");
    let write = |path: &str| {
        let path = storage.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "abc").unwrap();
    };
    // Killed between the row and the upload, in the upload, and between the upload and the row's last word.
    raw_row(db, 1, "uploading").await;
    write(&format!("{}#1", raw_row(db, 2, "uploading").await));
    write(&raw_row(db, 3, "uploading").await);
    assert_eq!(files.files().len(), 2);
    assert_eq!(files.attachments.sweep(Duration::from_secs(60)).await.unwrap().removed, 0);
    assert_eq!(files.sweep().await.removed, 3);
    assert_eq!(rows(db).await.len() + files.files().len(), 0);
}

async fn an_interrupted_sweep_goes_on(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    // Killed behind the claim, and behind the deletion of the object.
    let path = raw_row(db, 1, "removing").await;
    objects.put(&ObjectPath::from(path), "abc".into()).await.unwrap();
    raw_row(db, 2, "removing").await;
    let swept = attachments.sweep(Duration::from_secs(3600)).await.unwrap();
    assert_eq!((swept.removed, swept.bytes), (2, 6));
    assert_eq!(rows(db).await.len() + objects.paths().await.len(), 0);
}

async fn an_upload_that_was_swept_away_takes_its_object_back(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    for claimed_only in [false, true] {
        let pause = objects.pause(Call::Put);
        let storing = attachments.clone();
        let storing = tokio::spawn(async move { storing.store("slow", "text/plain", "slow").await });
        pause.reached().await;
        if claimed_only {
            // The other sweep has not come to the object yet.
            db.sql("UPDATE event_attachments SET state = 'removing'").await.unwrap();
        } else {
            assert_eq!(attachments.sweep(Duration::ZERO).await.unwrap().removed, 1);
        }
        pause.go();
        let error = storing.await.unwrap().unwrap_err();
        assert!(matches!(error, AttachmentError::SweptAway { .. }), "{error}");
        assert_eq!(objects.paths().await.len(), 0);
        objects.heal();
        assert_eq!(attachments.sweep(Duration::ZERO).await.unwrap().removed, u64::from(claimed_only));
        assert_eq!(rows(db).await.len(), 0);
    }
}

async fn a_large_upload_that_is_swept_away_says_so(db: &TestDb) {
    let files = Files::new(db).await;
    let (sent, pause) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_pause, go_on) = (sent.clone(), pause.clone());
    let pieces = stream::iter(0..3).then(move |piece| {
        let (at_pause, go_on) = (at_pause.clone(), go_on.clone());
        async move {
            if piece == 2 {
                at_pause.notify_one();
                go_on.notified().await;
            }
            Ok::<_, std::io::Error>(vec![7_u8; 9 << 20])
        }
    });
    let attachments = files.attachments.clone();
    let storing = tokio::spawn(async move { attachments.store_stream("large", "image/png", pieces).await });
    sent.notified().await;
    assert_eq!(files.files().len(), 1, "a part of it is there");
    assert_eq!(files.sweep().await.removed, 1);
    assert_eq!(files.files().len(), 0);
    pause.notify_one();
    let error = storing.await.unwrap().unwrap_err();
    assert!(matches!(error, AttachmentError::SweptAway { .. }), "{error}");
    assert_eq!(rows(db).await.len() + files.files().len(), 0);
}

async fn an_upload_that_is_dropped_is_swept(db: &TestDb) {
    let files = Files::new(db).await;
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7_u8; 4 << 20]));
    let storing = files.attachments.store_stream("endless", "image/png", endless);
    assert!(tokio::time::timeout(Duration::from_millis(500), storing).await.is_err());
    assert_eq!(rows(db).await, ["uploading - -"]);
    // Parts may still be on their way.
    let mut swept = files.sweep().await.removed;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        swept += files.sweep().await.removed;
        if files.files().is_empty() {
            break;
        }
    }
    assert_eq!((swept, rows(db).await.len(), files.files().len()), (1, 0, 0));
}

async fn what_is_being_attached_is_not_swept(db: &TestDb) {
    let files = Files::new(db).await;
    let (file, nobodys) = (files.store("content").await, files.store("nobody's").await);
    let recorder = db.another(1).await;
    let txn = recorder.begin().await.unwrap();
    let saved = commented().attach(&file).save(&txn).await.unwrap();
    let attachments = files.attachments.clone();
    let sweeping = tokio::spawn(async move { attachments.sweep(Duration::ZERO).await });
    // A file has one writer: there the sweep waits for the commit. On servers it passes by.
    let swept = if db.kind() == Kind::Sqlite {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!sweeping.is_finished());
        txn.commit().await.unwrap();
        sweeping.await.unwrap().unwrap()
    } else {
        let swept = tokio::time::timeout(Duration::from_secs(20), sweeping).await.expect("the sweep waits for nobody");
        txn.commit().await.unwrap();
        swept.unwrap().unwrap()
    };
    assert_eq!((swept.removed, swept.bytes), (1, nobodys.size));
    assert_eq!(files.sweep().await.removed, 0);
    let of = files.attachments.of(saved.event().unwrap()).await.unwrap();
    assert_eq!(files.attachments.read(&of[0]).await.unwrap(), "content");
    recorder.close().await.unwrap();
}

async fn what_a_sweep_claimed_is_not_attached(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    let file = attachments.store("a", "text/plain", "a").await.unwrap();
    let pause = objects.pause(Call::Delete);
    let sweeping = attachments.clone();
    let sweeping = tokio::spawn(async move { sweeping.sweep(Duration::ZERO).await });
    pause.reached().await;
    assert_eq!(attachments.find(&file.id).await.unwrap(), None);
    assert_eq!(refusal(commented().attach(&file).save(&**db).await), AttachmentRefusal::Swept);
    let together = db.transact(async |txn| {
        IssueEvent::Closed.on(1).by_system().save(txn).await?;
        let error = commented().attach(&file).save(txn).await.unwrap_err();
        assert!(error.to_string().contains("is being removed by a sweep"), "{error}");
        // The transaction goes on without it.
        commented().save(txn).await
    });
    together.await.unwrap();
    assert_eq!(events(db).await, 2);
    pause.go();
    assert_eq!(sweeping.await.unwrap().unwrap().removed, 1);
    assert_eq!(refusal(commented().attach(&file).save(&**db).await), AttachmentRefusal::Unknown);
    let many = record_many(&**db, [commented(), commented().attach(&file)]).await;
    assert_eq!(refusal(many), AttachmentRefusal::Unknown);
    assert_eq!(events(db).await, 2);
}

async fn a_recorder_waits_for_a_sweep_and_sees_it(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("content").await;
    let sweeper = db.another(1).await;
    let claim = sweeper.begin().await.unwrap();
    claim.execute_unprepared("UPDATE event_attachments SET state = 'removing'").await.unwrap();
    let recorder = db.another(1).await;
    let recording = tokio::spawn(async move {
        let txn = recorder.begin().await.unwrap();
        // A snapshot of before.
        txn.execute_unprepared("SELECT count(*) FROM event_attachments").await.unwrap();
        let saved = commented().attach(&file).save(&txn).await;
        txn.commit().await.unwrap();
        saved
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!recording.is_finished(), "it waits");
    claim.commit().await.unwrap();
    assert_eq!(refusal(recording.await.unwrap()), AttachmentRefusal::Swept);
    assert_eq!(events(db).await, 0);
    assert_eq!(files.sweep().await.removed, 1);
}

async fn a_snapshot_from_before_a_sweep_attaches_nothing(db: &TestDb) {
    let files = Files::new(db).await;
    for isolation in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let file = files.store("content").await;
        let recorder = db.another(1).await;
        let txn = recorder.begin_with_config(Some(isolation), None).await.unwrap();
        txn.query_all_raw(db.statement("SELECT count(*) FROM events", [])).await.unwrap();
        assert_eq!(files.sweep().await.removed, 1);
        match commented().attach(&file).save(&txn).await.unwrap_err() {
            // There an older snapshot may not write what is newer.
            RecordError::Locked { .. } if db.kind() == Kind::Postgres => {}
            RecordError::Attachment { refusal: AttachmentRefusal::Unknown, .. } => {}
            error => panic!("{error}"),
        }
        txn.rollback().await.unwrap();
        assert_eq!(events(db).await, 0);
        recorder.close().await.unwrap();
    }
}

async fn an_attachment_belongs_to_one_event(db: &TestDb) {
    let files = Files::new(db).await;
    let (file, other) = (files.store("content").await, files.store("other").await);
    let saved = commented().attach(&file).save(&**db).await.unwrap();
    let has_it = AttachmentRefusal::Attached { event: saved.event().unwrap().clone() };
    assert_eq!(refusal(commented().attach(&file).save(&**db).await), has_it);
    assert_eq!(refusal(filed().attach(&other).attach(&file).save(&**db).await), has_it);
    let twice = db.transact(async |txn| {
        filed().attach(&other).save(txn).await?;
        commented().attach(&other).save(txn).await
    });
    assert!(
        matches!(refusal(twice.await), AttachmentRefusal::Attached { event } if event.log.as_str() == "filed_events")
    );
    let many = record_many(&**db, [commented().attach(&other), commented().attach(&other)]).await;
    assert!(matches!(refusal(many), AttachmentRefusal::Attached { .. }));
    assert_eq!((events(db).await, db.number("SELECT count(*) FROM filed_events").await), (1, 0));
    assert_eq!(files.attachments.find(&other.id).await.unwrap().unwrap().event, None);
}

async fn of_many_recorders_at_once_one_has_it(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("content").await;
    let mut recorders = Vec::new();
    for _ in 0..8 {
        let (pool, file) = (db.another(1).await, file.id.clone());
        recorders.push(tokio::spawn(async move {
            pool.transact(async |txn| {
                let saved = commented().attach(file.clone()).save(txn).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                saved
            })
            .await
        }));
    }
    let mut has_it = Vec::new();
    let mut refused = Vec::new();
    for recorder in recorders {
        match recorder.await.unwrap() {
            Ok(saved) => has_it.push(saved),
            Err(RecordError::Attachment { refusal, .. }) => refused.push(refusal),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((has_it.len(), refused.len(), events(db).await), (1, 7, 1));
    let event = has_it[0].event().unwrap().clone();
    assert!(
        refused.iter().all(|refusal| *refusal == AttachmentRefusal::Attached { event: event.clone() }),
        "{refused:?}"
    );
}

async fn many_events_in_one_call(db: &TestDb) {
    let files = Files::new(db).await;
    let mut stored = Vec::new();
    for name in ["a", "b", "c", "d"] {
        stored.push(files.attachments.store(name, "text/plain", name).await.unwrap());
    }
    let [a, b, c, d] = &stored[..] else { unreachable!() };
    let gone = AttachmentId::from("01997d3e-0000-7000-8000-000000000000");
    let bad = record_many(&**db, [commented().attach(a), commented().attach(gone)]).await;
    assert_eq!(refusal(bad), AttachmentRefusal::Unknown);
    assert_eq!((events(db).await, files.attachments.find(&a.id).await.unwrap().unwrap().event), (0, None));
    let drafts: [event_core::Draft; 4] = [
        commented().attach(a).attach(b).into(),
        commented().into(),
        filed().attach(c).into(),
        IssueEvent::Closed.on(1).by_system().key("k").attach(d).into(),
    ];
    let saved = record_many(&**db, drafts).await.unwrap();
    let of = files.attachments.of_all(saved.iter().filter_map(Saved::event)).await.unwrap();
    let names = |saved: &Saved| {
        let files = of.get(saved.event().unwrap()).map(Vec::as_slice).unwrap_or_default();
        files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(saved.iter().map(names).collect::<Vec<_>>(), ["a b", "", "c", "d"]);
}

async fn a_set_based_change_attaches_in_its_whole(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("why").await;
    let row = models::issue(&**db, "Broken").await;
    let update =
        || issue::Entity::update_all().filter(issue::Column::Id.eq(row.id)).set(issue::Column::Title, "Mended");
    let attach = |id: AttachmentId| {
        move |_: &issue::Model, after: &issue::Model| after.record(IssueEvent::Closed).by_system().attach(id.clone())
    };
    let gone = AttachmentId::from("01997d3e-0000-7000-8000-000000000000");
    let error = update().record(&**db, attach(gone)).await.unwrap_err();
    assert!(matches!(error, RecordError::Attachment { .. }), "{error}");
    assert_eq!((events(db).await, db.number("SELECT count(*) FROM issues WHERE title = 'Broken'").await), (0, 1));
    let changed = update().record(&**db, attach(file.id.clone())).await.unwrap();
    let of = files.attachments.of(changed.saved[0].event().unwrap()).await.unwrap();
    assert_eq!(of.iter().map(|file| &file.id).collect::<Vec<_>>(), [&file.id]);
}

async fn the_same_event_again_has_the_same_files(db: &TestDb) {
    let files = Files::new(db).await;
    let keyed = || commented().key("k");
    let (one, two) = (files.store("one").await, files.store("two").await);
    let saved = keyed().attach(&one).attach(&two).save(&**db).await.unwrap();
    let there = Saved::AlreadyRecorded(saved.event().unwrap().clone());
    // After an answer that was lost.
    assert_eq!(keyed().attach(&two).attach(&one).save(&**db).await.unwrap(), there);
    assert_eq!(record_many(&**db, [keyed().attach(&one).attach(&two)]).await.unwrap(), std::slice::from_ref(&there));
    // From the beginning: stored once more.
    let (again_one, again_two) = (files.store("one").await, files.store("two").await);
    assert_eq!(keyed().attach(&again_one).attach(&again_two).save(&**db).await.unwrap(), there);
    assert_eq!(keyed().attach(&one).attach(&again_two).save(&**db).await.unwrap(), there);
    assert_eq!(files.attachments.of(saved.event().unwrap()).await.unwrap().len(), 2);
    // Other files are another event.
    let three = files.store("three").await;
    let others: [Vec<&Attachment>; 4] =
        [vec![&one], vec![&one, &three], vec![&one, &two, &three], vec![&again_one, &one]];
    for other in others {
        let recording = other.into_iter().fold(keyed(), |recording, file| recording.attach(file));
        for error in
            [recording.clone().save(&**db).await.unwrap_err(), record_many(&**db, [recording]).await.unwrap_err()]
        {
            let RecordError::KeyConflict { differs, .. } = &error else { panic!("{error}") };
            assert_eq!(differs, "attachments");
        }
    }
    // Twice in one call, and a file that another event has.
    let (four, again_four) = (files.store("four").await, files.store("four").await);
    let twice = [commented().key("l").attach(&four), commented().key("l").attach(&again_four)];
    let twice = record_many(&**db, twice).await.unwrap();
    assert_eq!(twice[0].event(), twice[1].event());
    assert!(matches!(
        refusal(keyed().attach(&one).attach(&four).save(&**db).await),
        AttachmentRefusal::Attached { .. }
    ));
    assert_eq!(events(db).await, 2);
    assert_eq!(files.sweep().await.removed, 4);
}

async fn a_throttled_event_has_no_files(db: &TestDb) {
    let files = Files::new(db).await;
    let looked = || FiledEvent::Looked.on(1).by_system();
    let (first, second) = (files.store("first").await, files.store("second").await);
    assert!(looked().attach(&first).save(&**db).await.unwrap().is_new());
    assert!(matches!(looked().attach(&second).save(&**db).await.unwrap(), Saved::Throttled { .. }));
    assert_eq!(files.sweep().await.removed, 1);
    assert_eq!(files.files(), [files.file(&first)]);
    // A file that can't be attached leaves the throttle as it was.
    let subject = models::issue(&**db, "another").await;
    refusal(FiledEvent::Looked.on(subject.id).by_system().attach(&second).save(&**db).await);
    assert!(FiledEvent::Looked.on(subject.id).by_system().save(&**db).await.unwrap().is_new());
}

async fn what_is_no_attachment_is_refused(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("content").await;
    for bad in ["", "x", "01997D3E-0000-7000-8000-000000000000", "../etc", "01997d3e-0000-7000-8000-0000000000\0\0"] {
        let error = commented().attach(bad).save(&**db).await.unwrap_err();
        assert!(
            matches!(error, RecordError::Invalid(RecordingError::BadText { what: "the attachments", .. })),
            "{error}"
        );
    }
    let error = commented().attach(&file).attach(&file).save(&**db).await.unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
    let many = (0..1_001).map(|n| format!("01997d3e-0000-7000-8000-{n:012x}"));
    let error = many.fold(commented(), |recording, id| recording.attach(id)).save(&**db).await.unwrap_err();
    assert!(error.to_string().contains("1000 at most"), "{error}");
    raw_row(db, 1, "uploading").await;
    let uploading = commented().attach("01997d3e-0000-7000-8000-000000000001").save(&**db).await;
    assert_eq!(refusal(uploading), AttachmentRefusal::NotStored);
    assert_eq!(events(db).await, 0);
}

async fn without_attachments_an_event_is_one_statement(db: &TestDb) {
    let files = Files::new(db).await;
    db.take_statements();
    commented().save(&**db).await.unwrap();
    assert_eq!(db.take_statements().len(), 1);
    drop(files);
}

async fn files_of_a_page_are_one_query(db: &TestDb) {
    let files = Files::new(db).await;
    for n in 0..5 {
        let file = files.store("content").await;
        let recording = commented().attach(file);
        if n % 2 == 0 { recording } else { commented() }.save(&**db).await.unwrap();
    }
    let page = any_feed().page(&**db).await.unwrap();
    db.take_statements();
    let of = files.attachments.of_all(page.entries.iter().map(|entry| &entry.at)).await.unwrap();
    assert_eq!(db.take_statements().len(), 1);
    assert_eq!((page.entries.len(), of.len()), (5, 3));
    assert!(files.attachments.of_all([]).await.unwrap().is_empty());
    assert!(db.take_statements().is_empty());
}

async fn what_is_asked_walks_an_index(db: &TestDb) {
    let files = Files::new(db).await;
    let saved = commented().attach(files.store("content").await).save(&**db).await.unwrap();
    db.take_statements();
    files.attachments.of(saved.event().unwrap()).await.unwrap();
    files.sweep().await;
    let statements = db.take_statements();
    let asked: Vec<_> = statements.into_iter().filter(|statement| statement.sql.starts_with("SELECT")).collect();
    assert_eq!(asked.len(), 5, "of; what nobody attached, the logs, their orphans, what is claimed: {asked:?}");
    for statement in asked {
        let plan = db.plan(statement.clone()).await;
        assert!(plan.contains("event_attachments_"), "{}: {plan}", statement.sql);
        let sorts = ["TEMP B-TREE", "Sort", "filesort"].into_iter().any(|sort| plan.contains(sort));
        assert!(!sorts, "{}: {plan}", statement.sql);
    }
}

async fn damage_is_found(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("content").await;
    let path = files.file(&file);
    for damaged in ["cOntent", "conten", "contents", ""] {
        std::fs::write(&path, damaged).unwrap();
        let read = files.attachments.read(&file).await.unwrap_err();
        let stream = files.attachments.stream(&file).await;
        let streamed = match stream {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.unwrap_err(),
            Err(error) => error,
        };
        for error in [read, streamed] {
            assert!(matches!(&error, AttachmentError::Damaged { id, .. } if *id == file.id), "{damaged}: {error}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(files.attachments.read(&file).await, Err(AttachmentError::Missing { .. })));
    assert!(matches!(files.attachments.stream(&file).await.map(drop), Err(AttachmentError::Missing { .. })));
}

async fn attached_files_are_append_only(db: &TestDb) {
    let files = Files::new(db).await;
    let (attached, free) = (files.store("attached").await, files.store("free").await);
    commented().attach(&attached).save(&**db).await.unwrap();
    raw_row(db, 1, "uploading").await;
    let contents =
        || db.rows("SELECT id, name, content_type, state, size, sha256, log, event_id FROM event_attachments");
    let before = contents().await;
    let mut attempts = Vec::new();
    for id in [&attached.id, &free.id] {
        for change in ["name = 'x'", "content_type = 'x'", "size = 1", "sha256 = 'x'", "id = 'x'"] {
            attempts.push(format!("UPDATE event_attachments SET {change} WHERE id = '{id}'"));
        }
        attempts.push(format!(
            "UPDATE event_attachments SET created_at = {} WHERE id = '{id}'",
            db.time("2026-01-01T00:00:00+00:00")
        ));
        attempts.push(format!("UPDATE event_attachments SET state = 'uploading' WHERE id = '{id}'"));
        attempts.push(format!("UPDATE event_attachments SET state = 'removing', name = 'x' WHERE id = '{id}'"));
        attempts.push(format!("DELETE FROM event_attachments WHERE id = '{id}'"));
    }
    for change in
        ["event_id = 9", "log = 'x'", "log = NULL, event_id = NULL", "state = 'removing', log = NULL, event_id = NULL"]
    {
        attempts.push(format!("UPDATE event_attachments SET {change} WHERE id = '{}'", attached.id));
    }
    attempts.push("DELETE FROM event_attachments WHERE state = 'uploading'".to_owned());
    for change in
        ["log = 'events', event_id = 1", "state = 'stored', size = 1, sha256 = 'x', log = 'events', event_id = 1"]
    {
        attempts.push(format!("UPDATE event_attachments SET {change} WHERE state = 'uploading'"));
    }
    let values = format!(
        "INTO event_attachments (id, name, content_type, state) VALUES ('{}', 'x', 'x/x', 'uploading')",
        attached.id
    );
    match db.kind() {
        Kind::Sqlite => {
            attempts.push(format!("INSERT OR REPLACE {values}"));
            attempts.push(format!("INSERT {values} ON CONFLICT (id) DO UPDATE SET name = 'x'"));
        }
        Kind::Postgres => {
            attempts.push(format!("INSERT {values} ON CONFLICT (id) DO UPDATE SET name = 'x'"));
            attempts.push("TRUNCATE event_attachments".to_owned());
            // Here the log can be asked: no sweep may claim what an event has.
            attempts.push(format!("UPDATE event_attachments SET state = 'removing' WHERE id = '{}'", attached.id));
        }
        Kind::MySql => {
            attempts.push(format!("REPLACE {values}"));
            attempts.push(format!("INSERT {values} ON DUPLICATE KEY UPDATE name = 'x'"));
        }
    }
    for attempt in attempts {
        let error = db.sql(&attempt).await.expect_err(&attempt).to_string();
        assert!(error.contains("append-only"), "{attempt}: {error}");
        assert_eq!(contents().await, before, "{attempt}");
    }
    for bad in ["'x', NULL, NULL", "'stored', NULL, NULL", "'stored', 1, NULL", "'uploading', 1, NULL"] {
        let columns = "(id, name, content_type, state, size, sha256)";
        let sql = format!("INSERT INTO event_attachments {columns} VALUES ('y', 'a', 'a/a', {bad})");
        let error = db.sql(&sql).await.unwrap_err().to_string().to_lowercase();
        // PostgreSQL lets the table's owner restore rows as they were, as far as its constraints do.
        assert!(
            error.contains(if db.kind() == Kind::Postgres { "constraint" } else { "append-only" }),
            "{bad}: {error}"
        );
    }
}

async fn what_belonged_to_deleted_events_is_swept(db: &TestDb) {
    let files = Files::new(db).await;
    let mut kept = Vec::new();
    for n in 0..3 {
        let (first, second, own) = (files.store("a").await, files.store("b").await, files.store("c").await);
        let saved = commented().attach(&first).attach(&second).save(&**db).await.unwrap();
        let filed = filed().attach(&own).save(&**db).await.unwrap();
        let account =
            AccountEvent::SignedIn.on(1).by_system().attach(files.store("d").await).save(&**db).await.unwrap();
        if n == 1 {
            kept = vec![saved, filed, account];
        }
    }
    assert_eq!(files.sweep().await.removed, 0);
    for (log, kept) in ["events", "filed_events", "audit_events"].into_iter().zip(&kept) {
        db.allow_delete(log).await;
        db.sql(&format!("DELETE FROM {log} WHERE id <> {}", kept.event().unwrap().id)).await.unwrap();
    }
    // However long they were to stay: they belonged to events.
    let swept = files.attachments.sweep(Duration::from_secs(3600)).await.unwrap();
    assert_eq!((swept.removed, swept.bytes, swept.failed), (8, 8, 0));
    assert_eq!(files.files().len(), 4);
    let of = files.attachments.of_all(kept.iter().filter_map(Saved::event)).await.unwrap();
    assert_eq!(of.values().map(Vec::len).sum::<usize>(), 4);
    for file in of.values().flatten() {
        files.attachments.read(file).await.unwrap();
    }
    // A log that is not there says nothing about its events.
    db.drop_log("audit_events").await;
    let nobodys = files.store("nobody's").await;
    let swept = files.attachments.sweep(Duration::ZERO).await.unwrap();
    assert_eq!((swept.removed, swept.bytes, swept.failed), (1, nobodys.size, 1));
    assert!(matches!(&swept.failures[..], [AttachmentError::Log { log, .. }] if log == "audit_events"), "{swept:?}");
    assert_eq!(files.files().len(), 4);
}

async fn files_of_archived_events_stay(db: &TestDb) {
    let files = Files::new(db).await;
    let everything = || Retention::older_than(Duration::ZERO).log("events");
    let mut saved = Vec::new();
    for _ in 0..3 {
        saved.push(commented().attach(files.store("content").await).save(&**db).await.unwrap());
        // By the database's clock, which may count milliseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The newest event of a log stays.
    everything().archive_in_table().run(&**db).await.unwrap();
    assert_eq!((events(db).await, db.number("SELECT count(*) FROM events_archive").await), (1, 2));
    assert_eq!(files.sweep().await.removed, 0);
    let of = files.attachments.of(saved[0].event().unwrap()).await.unwrap();
    assert_eq!(files.attachments.read(&of[0]).await.unwrap(), "content");
    // Gone from there too; and gone without an archive, beside one.
    db.sql(&format!("DELETE FROM events_archive WHERE id = {}", saved[0].event().unwrap().id)).await.unwrap();
    assert_eq!(files.sweep().await.removed, 1);
    commented().save(&**db).await.unwrap();
    everything().run(&**db).await.unwrap();
    assert_eq!((events(db).await, files.sweep().await.removed, files.files().len()), (1, 1, 1));
}

async fn one_object_that_can_not_be_deleted_stops_no_other(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    let mut stored = Vec::new();
    for _ in 0..3 {
        stored.push(attachments.store("my secret name", "text/plain", "abc").await.unwrap());
    }
    objects.fail(Call::Delete, stored[1].id.as_str());
    let swept = attachments.sweep(Duration::ZERO).await.unwrap();
    assert_eq!((swept.removed, swept.bytes, swept.failed), (2, 6, 1));
    let [failure] = &swept.failures[..] else { panic!("{swept:?}") };
    let told = format!("{failure} {failure:?}");
    assert!(told.contains(stored[1].id.as_str()) && told.contains("store.example"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(rows(db).await, ["removing - -"]);
    objects.heal();
    objects.fail(Call::Put, "");
    let error = attachments.store("my secret name", "text/plain", "abc").await.unwrap_err();
    assert!(matches!(error, AttachmentError::Store { .. }) && !format!("{error:?}").contains("secret"), "{error:?}");
    objects.heal();
    assert_eq!(attachments.sweep(Duration::ZERO).await.unwrap().removed, 2);
    assert_eq!(rows(db).await.len() + objects.paths().await.len(), 0);
}

async fn two_sweeps_at_once_share_the_work(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    for _ in 0..30 {
        attachments.store("a", "text/plain", "abc").await.unwrap();
    }
    let sweeps = [attachments.clone(), attachments.clone(), attachments.clone()]
        .map(|attachments| tokio::spawn(async move { attachments.sweep(Duration::ZERO).await }));
    let (mut removed, mut bytes) = (0, 0);
    for sweep in sweeps {
        let swept = sweep.await.unwrap().unwrap();
        assert_eq!(swept.failed, 0, "{swept:?}");
        (removed, bytes) = (removed + swept.removed, bytes + swept.bytes);
    }
    assert_eq!((removed, bytes), (30, 90));
    assert_eq!(rows(db).await.len() + objects.paths().await.len(), 0);
}

async fn more_than_a_batch_is_swept(db: &TestDb) {
    let (attachments, _) = breakable(db).await;
    for n in 0..250 {
        raw_row(db, n, if n < 120 { "uploading" } else { "stored" }).await;
    }
    // Of deleted events, more than a batch of them of one.
    let fold = |recording: Recording<IssueEvent>, n: u8| {
        recording.attach(format!("01997d3e-0000-7000-8000-0000000000{n:02x}"))
    };
    (130..250).fold(commented(), fold).save(&**db).await.unwrap();
    fold(commented(), 120).save(&**db).await.unwrap();
    db.allow_delete("events").await;
    db.sql("DELETE FROM events").await.unwrap();
    assert_eq!(attachments.sweep(Duration::ZERO).await.unwrap().removed, 250);
    assert_eq!(rows(db).await.len(), 0);
}

async fn objects_without_a_row_are_listed_and_kept(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    let file = attachments.store("a", "text/plain", "abc").await.unwrap();
    commented().attach(&file).save(&**db).await.unwrap();
    let elsewhere = ObjectPath::from("other/thing");
    let ours = ObjectPath::from("attachments/00/01997d3e-0000-7000-8000-000000000000");
    let misplaced = ObjectPath::from(format!("attachments/zz/{}", file.id));
    for path in [&elsewhere, &ours, &misplaced] {
        objects.put(path, "abcd".into()).await.unwrap();
    }
    let mut strays = attachments.strays().await.unwrap();
    strays.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(strays.iter().map(|stray| stray.path.as_str()).collect::<Vec<_>>(), [ours.as_ref(), misplaced.as_ref()]);
    assert_eq!(strays[0].size, 4);
    attachments.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(objects.paths().await.len(), 4);
    // An empty store has none.
    let empty = Attachments::in_directory(db, tempfile::tempdir().unwrap().path().join("empty")).unwrap();
    assert_eq!(empty.strays().await.unwrap(), []);
}

async fn names_and_types_are_checked(db: &TestDb) {
    let (attachments, objects) = breakable(db).await;
    let long = "x".repeat(256);
    let names = ["", "a\0b", long.as_str()];
    let types = ["", "text", "/", "text/", "text/plain\r\nSet-Cookie: a=b", "text/plän", &format!("text/{long}")];
    let bad = names.map(|name| (name, "text/plain")).into_iter().chain(types.map(|kind| ("my file", kind)));
    for (name, content_type) in bad {
        let error = attachments.store(name, content_type, "x").await.unwrap_err();
        assert!(matches!(error, AttachmentError::Invalid { .. }), "{error}");
    }
    assert_eq!(rows(db).await.len() + objects.paths().await.len(), 0);
    let longest = "ü".repeat(255);
    let file = attachments.store(longest.as_str(), "text/html; charset=utf-8", "x").await.unwrap();
    assert_eq!(attachments.find(&file.id).await.unwrap().unwrap().name, longest);
    // What is no directory.
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Attachments::in_directory(db, file.path()).map(drop).unwrap_err();
    assert!(matches!(error, AttachmentError::Directory { .. }), "{error}");
}

async fn a_missing_table_is_told(db: &TestDb) {
    let attachments = Attachments::new(db, Arc::new(Objects::default()));
    for error in [
        attachments.store("a", "text/plain", "a").await.map(drop).unwrap_err(),
        attachments.sweep(Duration::ZERO).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, AttachmentError::NotMigrated), "{error}");
    }
}

async fn these_rights_are_enough_to_attach(db: &TestDb) {
    let files = Files::new(db).await;
    let mut rights = vec![
        "SELECT, INSERT (id, name, content_type, state), UPDATE (state, size, sha256, log, event_id) ON event_attachments",
        "SELECT, INSERT ON events",
    ];
    if db.kind() == Kind::Postgres {
        rights.extend(["USAGE, SELECT ON SEQUENCE events_id_seq", "SELECT ON event_sleepers"]);
    }
    let recorder = Database::connect(db.as_account(&rights).await).await.unwrap();
    let attachments = Attachments::in_directory(&recorder, files.directory.path()).unwrap();
    let file = attachments.store("a", "text/plain", "a").await.unwrap();
    let saved = commented().key("k").attach(&file).save(&recorder).await.unwrap();
    commented().key("k").attach(&file).save(&recorder).await.unwrap();
    refusal(commented().attach(&file).save(&recorder).await);
    assert_eq!(attachments.of(saved.event().unwrap()).await.unwrap().len(), 1);
    // It may not delete: the row of a file that was too large is left to a sweep, without a file.
    let files_before = files.files().len();
    let endless = tokio::io::repeat(1);
    let error = attachments.clone().at_most(20 << 20).store_reader("a", "text/plain", endless).await.unwrap_err();
    assert!(matches!(error, AttachmentError::TooLarge { .. }), "{error}");
    let mut left = rows(db).await;
    left.retain(|row| row.ends_with("- -"));
    assert_eq!((files.files().len(), left), (files_before, vec!["removing - -".to_owned()]));
    recorder.close().await.unwrap();
}

async fn these_rights_are_enough_to_sweep(db: &TestDb) {
    let files = Files::new(db).await;
    files.store("nobody's").await;
    commented().attach(files.store("a").await).save(&**db).await.unwrap();
    db.allow_delete("events").await;
    db.sql("DELETE FROM events").await.unwrap();
    // MariaDB tells who may not read a table neither whether there is one: the log's archive.
    let logs = if db.kind() == Kind::MySql { "SELECT ON *" } else { "SELECT ON events" };
    let rights = ["SELECT, UPDATE, DELETE ON event_attachments", logs];
    let sweeper = Database::connect(db.as_account(&rights).await).await.unwrap();
    let attachments = Attachments::in_directory(&sweeper, files.directory.path().join("made/storage")).unwrap();
    assert_eq!(attachments.sweep(Duration::ZERO).await.unwrap().removed, 2);
    assert_eq!(files.files().len(), 0);
    sweeper.close().await.unwrap();
}

async fn a_file_that_is_too_large_leaves_nothing(db: &TestDb) {
    let files = Files::new(db).await;
    let limited = files.attachments.clone().at_most(10);
    assert_eq!(limited.store("a", "text/plain", "0123456789").await.unwrap().size, 10);
    let is_refused = |error: AttachmentError| {
        assert!(matches!(error, AttachmentError::TooLarge { limit } if limit >= 10), "{error}");
        assert!(error.to_string().contains("bytes that are allowed"), "{error}");
    };
    is_refused(limited.store("a", "text/plain", "0123456789a").await.unwrap_err());
    is_refused(limited.store_reader("a", "text/plain", tokio::io::repeat(1)).await.unwrap_err());
    // Endless, and read no further than it has to be; within a part, at its end, and after it.
    for limit in [10_u64, 8 << 20, (20 << 20) + 1] {
        let pieces = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = pieces.clone();
        let endless = stream::repeat_with(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![7_u8; 1 << 20])
        });
        is_refused(
            files.attachments.clone().at_most(limit).store_stream("a", "text/plain", endless).await.unwrap_err(),
        );
        assert_eq!(pieces.load(std::sync::atomic::Ordering::Relaxed), (limit >> 20) + 1);
    }
    assert_eq!(rows(db).await, ["stored - -"]);
    assert_eq!(files.files().len(), 1, "nothing of the others: {:?}", files.files());
    // Without the limit it is stored, and with one it is read.
    let large = files.store("0123456789a").await;
    assert_eq!(limited.read(&large).await.unwrap(), "0123456789a");
}

/// By their modes, on Unix.
async fn others_may_not_read_what_is_stored(db: &TestDb) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let files = Files::new(db).await;
    let content = large();
    let pieces = stream::iter(content.chunks(3 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())));
    for file in [files.store("a").await, files.attachments.store_stream("b", "text/plain", pieces).await.unwrap()] {
        let path = files.file(&file);
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let made = path.ancestors().skip(1).take_while(|directory| *directory != files.directory.path());
        for directory in made {
            assert_eq!(mode(directory), 0o700, "{}", directory.display());
        }
    }
    // One that was there keeps its mode: its owner may have reasons.
    let shared = files.directory.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o750)).unwrap();
    Attachments::in_directory(db, &shared).unwrap().store("a", "text/plain", "a").await.unwrap();
    assert_eq!((mode(&shared), mode(&shared.join("attachments"))), (0o750, 0o700));
}

/// The object is found by the id alone, and what is no id has none: whatever a row says, nothing else is read or removed.
async fn a_row_names_no_other_object(db: &TestDb) {
    let files = Files::new(db).await;
    let storage = files.directory.path().join("made/storage");
    let outside = files.directory.path().join("secret");
    std::fs::write(&outside, "abc").unwrap();
    std::fs::write(storage.join("inside"), "abc").unwrap();
    let victim = files.store("victim").await;
    let victims = files.file(&victim);
    let ids = ["../../../secret", "../../inside", "inside", "..", "x", "01997D3E-0000-7000-8000-0000000000AB"];
    for id in ids {
        raw_row_of(db, id, "stored").await;
        let id = AttachmentId::from(id);
        assert_eq!(files.attachments.find(&id).await.unwrap(), None);
        // Before the database is asked, or by it.
        let error = commented().attach(id).save(&**db).await.unwrap_err();
        assert!(matches!(error, RecordError::Invalid(_) | RecordError::Attachment { .. }), "{error}");
    }
    // Nothing that the driver can't bind reaches it.
    for id in ["", "\0", "a\0b", "é"] {
        assert_eq!(files.attachments.find(&AttachmentId::from(id)).await.unwrap(), None, "{id:?}");
    }
    // A row of such an id that names an event: read, it is missing.
    let saved = commented().save(&**db).await.unwrap();
    let event = saved.event().unwrap();
    db.sql(&format!("UPDATE event_attachments SET log = 'events', event_id = {} WHERE id = '../../inside'", event.id))
        .await
        .unwrap();
    let of = files.attachments.of(event).await.unwrap();
    assert!(matches!(files.attachments.read(&of[0]).await, Err(AttachmentError::Missing { .. })));
    assert!(matches!(files.attachments.stream(&of[0]).await.map(drop), Err(AttachmentError::Missing { .. })));
    // The others are swept, with the victim, which nobody attached.
    assert!(victims.exists());
    let swept = files.sweep().await;
    assert_eq!(swept.removed, ids.len() as u64, "{swept:?}");
    assert!(outside.exists() && storage.join("inside").exists() && !victims.exists());
}

/// An account that may write in the store could lead it elsewhere.
async fn symbolic_links_are_not_followed(db: &TestDb) {
    use std::os::unix::fs::symlink;
    let files = Files::new(db).await;
    let (folder, single, kept) = (files.store("abc").await, files.store("abc").await, files.store("abc").await);
    let elsewhere = files.directory.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let path = files.file(&folder);
    let parent = path.parent().unwrap();
    std::fs::rename(parent, elsewhere.join("folder")).unwrap();
    symlink(elsewhere.join("folder"), parent).unwrap();
    let path = storage_path(&files, &single);
    std::fs::rename(&path, elsewhere.join("single")).unwrap();
    symlink(elsewhere.join("single"), &path).unwrap();
    for file in [&folder, &single] {
        let error = files.attachments.read(file).await.unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }
    assert_eq!(files.attachments.read(&kept).await.unwrap(), "abc");
    let swept = files.attachments.sweep(Duration::ZERO).await.unwrap();
    assert_eq!((swept.removed, swept.failed), (1, 2), "{swept:?}");
    assert!(elsewhere.join("folder").join(folder.id.as_str()).exists() && elsewhere.join("single").exists());
    // A store that was moved as a whole, and is reached by a link, is its owner's decision.
    let moved = files.directory.path().join("moved");
    std::fs::create_dir(&moved).unwrap();
    symlink(&moved, files.directory.path().join("linked")).unwrap();
    let linked = Attachments::in_directory(db, files.directory.path().join("linked")).unwrap();
    let file = linked.store("a", "text/plain", "abc").await.unwrap();
    assert_eq!(linked.read(&file).await.unwrap(), "abc");
}

fn storage_path(files: &Files, attachment: &Attachment) -> PathBuf {
    let id = attachment.id.as_str();
    files.directory.path().join("made/storage/attachments").join(&id[id.len() - 2..]).join(id)
}

/// An INSERT of what is stored, attached or to be removed is refused.
async fn a_row_begins_as_an_upload(db: &TestDb) {
    let files = Files::new(db).await;
    let saved = commented().save(&**db).await.unwrap();
    let event = saved.event().unwrap().id;
    let session = match db.kind() {
        // The table's owner may, to restore rows as they were.
        Kind::Postgres => {
            Database::connect(db.as_account(&["SELECT, INSERT, UPDATE ON event_attachments"]).await).await.unwrap()
        }
        _ => db.another(1).await,
    };
    for (nth, values) in [
        "'removing', NULL, NULL, NULL, NULL".to_owned(),
        "'stored', 3, 'x', NULL, NULL".to_owned(),
        format!("'stored', 3, 'x', 'events', {event}"),
        format!("'uploading', 3, 'x', 'events', {event}"),
        "'uploading', 3, 'x', NULL, NULL".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let sql = format!(
            "INSERT INTO event_attachments (id, name, content_type, state, size, sha256, log, event_id) \
             VALUES ('01997d3e-0000-7000-8000-00000000000{nth}', 'a', 'a/a', {values})"
        );
        let error = session.execute_unprepared(&sql).await.expect_err(values).to_string();
        assert!(error.contains("a row begins as an upload"), "{values}: {error}");
    }
    assert_eq!(rows(db).await.len(), 0);
    assert!(files.attachments.of(saved.event().unwrap()).await.unwrap().is_empty());
    session.close().await.unwrap();
}

/// The trigger asks the log whether the event is there: the log, and not what a session calls so.
async fn a_temporary_table_of_a_logs_name_claims_nothing(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("a").await;
    commented().attach(&file).save(&**db).await.unwrap();
    let rights = ["SELECT, UPDATE ON event_attachments", "SELECT ON events", "SELECT, INSERT ON events"];
    let attacker = Database::connect(db.as_account(&rights).await).await.unwrap();
    let session = attacker.begin().await.unwrap();
    for sql in [
        "CREATE TEMP TABLE events (id bigint)",
        "CREATE TEMP TABLE pg_class (oid oid, relowner oid)",
        "CREATE FUNCTION pg_temp.format(text, name, varchar) RETURNS text LANGUAGE sql AS $$ SELECT 'SELECT false' $$",
        "SET LOCAL search_path = pg_temp, public, pg_catalog",
    ] {
        session.execute_unprepared(sql).await.unwrap();
    }
    let claim = "UPDATE public.event_attachments SET state = 'removing'";
    let error = session.execute_unprepared(claim).await.unwrap_err().to_string();
    assert!(error.contains("only a sweep deletes them"), "{error}");
    session.rollback().await.unwrap();
    attacker.close().await.unwrap();
    assert_eq!(files.sweep().await.removed, 0);
    assert_eq!(files.attachments.read(&file).await.unwrap(), "a");
}

/// A policy that hides an event does not make it one that is gone.
async fn a_sweep_that_does_not_see_all_events_removes_nothing(db: &TestDb) {
    let files = Files::new(db).await;
    let file = files.store("a").await;
    commented().attach(&file).save(&**db).await.unwrap();
    db.sql("ALTER TABLE events ENABLE ROW LEVEL SECURITY").await.unwrap();
    let rights = ["SELECT, UPDATE, DELETE ON event_attachments", "SELECT ON events"];
    let sweeper = Database::connect(db.as_account(&rights).await).await.unwrap();
    let attachments = Attachments::in_directory(&sweeper, files.directory.path().join("made/storage")).unwrap();
    let swept = attachments.sweep(Duration::ZERO).await.unwrap();
    assert_eq!((swept.removed, swept.failed), (0, 1), "{swept:?}");
    assert!(matches!(&swept.failures[0], AttachmentError::Log { log, .. } if log == "events"));
    // Nor does the trigger take it for gone.
    let claim = sweeper.execute_unprepared("UPDATE event_attachments SET state = 'removing'").await;
    assert!(claim.unwrap_err().to_string().contains("row-level security"));
    sweeper.close().await.unwrap();
    assert_eq!(rows(db).await, ["stored events 1"]);
}
