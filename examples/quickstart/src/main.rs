//! Events of an issue: recorded in a transaction, handled by three inboxes, read as a feed.
use event_sea_orm::prelude::*;
use sea_orm::{ActiveModelTrait, ConnectionTrait, Database, Schema, Set};
use serde::{Deserialize, Serialize};
use std::{error::Error, time::Duration};

#[rustfmt::skip]
mod issue {
    use sea_orm::entity::prelude::*;
    #[sea_orm::model]
    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "issues")]
    pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub title: String }
    impl ActiveModelBehavior for ActiveModel {}
}
#[rustfmt::skip]
mod user {
    use sea_orm::entity::prelude::*;
    #[sea_orm::model]
    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub name: String }
    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DomainEvent)]
#[event(subject(issue::Entity, label = title), actor(user::Entity, label = name))]
enum IssueEvent {
    #[event(summary = "{actor} opened {subject}")]
    Created,
    #[event(summary = "{actor} commented on {subject}: {text}")]
    Commented { text: String },
}

#[inbox] // every event of the enum
async fn audit(event: Event<IssueEvent>) -> InboxResult {
    println!("audit: {} on {}", event.action, event.subject);
    handled()
}

#[inbox(on(Commented), retry(max_attempts = 5, backoff = exponential, base = "50ms"))]
async fn mail_subscribers(_event: Event<IssueEvent>, issue: Subject<issue::Model>, attempt: Attempt) -> InboxResult {
    if attempt.number < 3 {
        return Err(InboxError::new("the mail server is down")); // tried again, a little later each time
    }
    println!("mail: sent about {} at attempt {}", issue.title, attempt.number);
    handled()
}

#[inbox(on(Created), retry(max_attempts = 2, base = "50ms"))]
async fn sync_to_partner(_event: Event<IssueEvent>, issue: Subject<issue::Model>) -> InboxResult {
    issue.title.parse::<u64>()?; // the partner takes nothing but numbers: a dead letter, after two attempts
    handled()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let db = Database::connect("sqlite::memory:").await?;
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(issue::Entity)).await?;
    db.execute(&schema.create_table_from_entity(user::Entity)).await?;
    let ada = user::ActiveModel { name: Set("Ada".into()), ..Default::default() }.insert(&db).await?;

    migrate(&db).await?; // makes the log and what the dispatcher needs
    let dispatcher = Dispatcher::builder(&db).build()?; // finds every linked inbox
    dispatcher.register().await?; // a new inbox sees what is recorded from here on

    let recorded = db.transact(async |txn| {
        let issue = issue::ActiveModel { title: Set("Printer".into()), ..Default::default() }.insert(txn).await?;
        issue.record(IssueEvent::Created).by(&ada).save(txn).await?;
        issue.record(IssueEvent::Commented { text: "it is on fire".into() }).by(&ada).save(txn).await?;
        Ok(issue)
    });
    let issue = recorded.await?;
    dispatcher.run(tokio::time::sleep(Duration::from_secs(1))).await?; // a server would wait for Ctrl-C here

    for entry in &issue.feed::<IssueEvent>().page(&db).await? {
        println!("feed: {}", entry.summary());
    }
    for letter in dispatcher.dead_letters().newest().await? {
        println!("dead letter: {} after {} attempts: {}", letter.key, letter.attempts, letter.error);
    }
    Ok(())
}
