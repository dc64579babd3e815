//! A transactional inbox whose handler swallows errors that may have ended its transaction: it says "handled", and its
//! effects have to be there all the same.

use std::time::Duration;

use event_sea_orm::prelude::*;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, TransactionTrait as _};
use tokio::sync::oneshot;

use super::{PARTNER_CONNECTIONS, effects};
use crate::events::{TallyEvent, Trouble};
use crate::numbers::dice;
use crate::schema::{HANDLERS_KNOTS, TAKEN};
use crate::{database, sql};

/// Rows that the partner writes: a database rather ends the transaction that has written less.
const BALLAST: usize = 100;
/// How long the handler waits for its partner.
const PARTNER_PATIENCE: Duration = Duration::from_secs(1);

/// Whom the handler makes a deadlock with: another session.
#[derive(Clone)]
pub(crate) struct Partner(Option<DatabaseConnection>);

#[inbox(on(Troubled), start = beginning, timeout = "5s", retry(max_attempts = 100, backoff = exponential, base = "5ms", max_wait = "500ms"))]
async fn swallowing(
    event: Event<TallyEvent>,
    txn: Txn<'_>,
    attempt: Attempt,
    State(partner): State<Partner>,
) -> InboxResult {
    let TallyEvent::Troubled { number, trouble } = event.event else { return skipped("not in trouble") };
    // What is written behind the end of the transaction must not stand alone either.
    let writes_first = dice(number, 22).bool();
    if writes_first {
        effects::write(&txn, "swallowing", number).await?;
    }
    if attempt.number == 1 {
        swallow(&txn, number, trouble, &partner).await;
    }
    if !writes_first {
        effects::write(&txn, "swallowing", number).await?;
    }
    handled()
}

/// An error that the handler does not heed.
async fn swallow(txn: &Txn<'_>, number: i64, trouble: Trouble, partner: &Partner) {
    match (trouble, dice(number, 20).u32(0..100)) {
        (Trouble::Common, 0..3) | (Trouble::Grave, 0..20) => drop(txn.savepoint(async |txn| clash(&txn).await).await),
        (Trouble::Grave, 20..40) => drop(clash(txn).await),
        (Trouble::Grave, 40..60) => drop(partner.deadlock(txn, number, true).await),
        (Trouble::Grave, 60..80) => drop(partner.deadlock(txn, number, false).await),
        _ => {}
    }
}

/// A statement that fails. On SQLite it ends the transaction, too.
async fn clash(txn: &Txn<'_>) -> Result<(), DbErr> {
    let text = match txn.get_database_backend() {
        DbBackend::Sqlite => format!("INSERT OR ROLLBACK INTO clash VALUES ({TAKEN})"),
        _ => format!("INSERT INTO clash VALUES ({TAKEN})"),
    };
    txn.execute_unprepared(&text).await.map(drop)
}

impl Partner {
    /// SQLite has no deadlocks.
    pub(super) async fn new(url: &str) -> Result<Self, DbErr> {
        if url.starts_with("sqlite:") {
            return Ok(Self(None));
        }
        Ok(Self(Some(database::connect(url, PARTNER_CONNECTIONS).await?)))
    }

    /// Locks a row that the partner wants, and wants one that the partner has locked. Which of the two transactions is ended
    /// is the database's choice; the partner has written more, and waits shorter.
    async fn deadlock(&self, txn: &Txn<'_>, number: i64, in_savepoint: bool) -> Result<(), DbErr> {
        let Some(db) = self.0.clone() else { return Ok(()) };
        let mut dice = dice(number, 21);
        let one = dice.i64(HANDLERS_KNOTS);
        let other =
            HANDLERS_KNOTS.start + (one - HANDLERS_KNOTS.start + 1) % (HANDLERS_KNOTS.end - HANDLERS_KNOTS.start);
        turn(txn, one).await?;
        let (has, had) = oneshot::channel();
        let partner = tokio::spawn(async move {
            let begun = db.begin().await?;
            let ballast = vec!["(?)"; BALLAST].join(", ");
            let numbers = std::iter::repeat_n(number.into(), BALLAST);
            sql::execute(&begun, &format!("INSERT INTO ballast VALUES {ballast}"), numbers).await?;
            turn(&begun, other).await?;
            let _ = has.send(());
            tokio::time::sleep(Duration::from_millis(100)).await;
            turn(&begun, one).await?;
            begun.rollback().await
        });
        // Without it there is no deadlock, and nothing to swallow. It may wait itself: for a partner of earlier whose session
        // the server has not ended yet.
        if !matches!(tokio::time::timeout(PARTNER_PATIENCE, had).await, Ok(Ok(()))) {
            partner.abort();
            return Ok(());
        }
        let knotted = match in_savepoint {
            true => txn.savepoint(async |txn| turn(&txn, other).await).await,
            false => turn(txn, other).await,
        };
        partner.abort();
        knotted
    }
}

async fn turn<C: sea_orm::ConnectionTrait>(conn: &C, id: i64) -> Result<(), DbErr> {
    sql::execute(conn, "UPDATE knots SET turns = turns + 1 WHERE id = ?", [id.into()]).await.map(drop)
}
