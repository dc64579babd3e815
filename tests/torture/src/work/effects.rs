//! The effects of transactional inboxes: a row for each event, and a sum that has to agree with the rows.

use event_sea_orm::Txn;
use sea_orm::DbErr;

use crate::sql;

/// The inboxes that count their effects in `totals`, too.
pub(crate) const TOTALLED: [&str; 3] = ["stumbling", "swallowing", "ordered_projection"];

/// One effect of this inbox for this event.
pub(super) async fn write(txn: &Txn<'_>, inbox: &'static str, number: i64) -> Result<(), DbErr> {
    sql::execute(txn, "INSERT INTO effects (inbox, number) VALUES (?, ?)", [inbox.into(), number.into()]).await?;
    if TOTALLED.contains(&inbox) {
        sql::execute(txn, "UPDATE totals SET effects = effects + 1 WHERE inbox = ?", [inbox.into()]).await?;
    }
    Ok(())
}
