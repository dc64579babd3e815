//! Delivery with ten thousand open holes, which a recorder that idles in its transaction keeps open, against none.

use event_sea_orm::prelude::*;
use sea_orm::TransactionTrait;

use super::Rows;
use super::deliver::{deliver, fill, rewind};
use crate::Fallible;
use crate::ground::{Ground, Kind, connect};
use crate::models::small;
use crate::report::Row;
use crate::sample::in_turns;

const HOLES: i64 = 10_000;
const EVENTS: i64 = 100_000;

/// Ids that are drawn and rolled back, one between every two events.
const PIERCE: &str = "DO $$ BEGIN FOR n IN 1..10000 LOOP
    INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at)
        VALUES ('issue', '1', 'commented', 1, '{\"comment_id\": 1}', now());
    BEGIN
        INSERT INTO events (subject_type, subject_id, action, version, metadata, occurred_at)
            VALUES ('issue', '1', 'commented', 1, '{\"comment_id\": 1}', now());
        RAISE EXCEPTION 'undone on purpose';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
END LOOP; END $$";

pub(super) async fn run(rows: &mut Rows<'_>) -> Fallible<()> {
    if !rows.wants("holes") {
        return Ok(());
    }
    let (Some(pierced), Some(whole)) =
        (Ground::migrated(rows.options, Kind::Postgres).await?, Ground::migrated(rows.options, Kind::Postgres).await?)
    else {
        rows.no_server(Kind::Postgres, &["holes"]);
        return Ok(());
    };
    // It idles from before the first hole was drawn, so each may be its.
    let idler = connect(&pierced.url, 1).await?;
    let idling = idler.begin().await?;
    small(0).save(&idling).await?;
    pierced.run(PIERCE).await?;
    fill(&pierced, EVENTS, |n| small(n).into()).await?;
    fill(&whole, EVENTS + HOLES, |n| small(n).into()).await?;
    let events = EVENTS + HOLES;
    let sides = in_turns(
        rows.options.rounds,
        async || {
            rewind(&pierced).await?;
            deliver(&pierced.db, &["idle_a"], events).await
        },
        async || {
            rewind(&whole).await?;
            deliver(&whole.db, &["idle_a"], events).await
        },
    )
    .await?;
    let (ours, beside) = sides.medians();
    let row = Row::time("holes", "s", ours, beside, 1.2);
    rows.add(row.note(format!("{events} events, {HOLES} holes open, and none; {}", sides.spread())));
    idling.rollback().await?;
    idler.close().await?;
    pierced.drop().await?;
    whole.drop().await
}
