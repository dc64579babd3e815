//! Who an event is about and who did it, as columns: kind and id in a shared log, foreign keys in a table of an enum's own.

use sea_orm::{ConnectionTrait, DbErr};

use crate::backend::{Dialect, dialect};
use crate::own_table::{self, OwnKey, OwnTable};

/// What stands in a log's DDL for its subject and actor, in SQL that all databases have in common.
pub(crate) struct Who {
    /// The columns, each line with a comma at its end.
    pub(crate) columns: String,
    /// Constraints, each with a comma at its beginning.
    pub(crate) constraints: String,
    /// What the index of a subject's events begins with, and that of an actor's.
    pub(crate) subject_index: &'static str,
    pub(crate) actor_index: &'static str,
}

const BY_NAME: &str = "actor_type varchar(64) NULL,\n    actor_id varchar(128) NULL,";
const BOTH_OR_NONE: &str = "CHECK ((actor_type IS NULL) = (actor_id IS NULL))";

impl Who {
    /// A shared log's.
    pub(crate) fn shared(log: &str, dialect: &dyn Dialect) -> Self {
        Self {
            columns: format!(
                "subject_type varchar(64) NOT NULL,\n    subject_id varchar(128) NOT NULL,\n    {BY_NAME}"
            ),
            constraints: who_check(log, dialect),
            subject_index: "subject_type, subject_id",
            actor_index: "actor_type, actor_id",
        }
    }

    /// Of the log of that name, as the linked enums have it.
    pub(crate) async fn of<C: ConnectionTrait>(log: &str, conn: &C) -> Result<Self, DbErr> {
        let dialect = dialect(conn.get_database_backend())?;
        match own_table::of(log) {
            Some(table) => Self::own(log, table, conn, dialect).await,
            None => Ok(Self::shared(log, dialect)),
        }
    }

    async fn own<C: ConnectionTrait>(
        log: &str,
        table: &OwnTable,
        conn: &C,
        dialect: &dyn Dialect,
    ) -> Result<Self, DbErr> {
        let key = |name: &str, short: &str, own: &OwnKey| {
            let target = own.target();
            let constraint = dialect.quoted(&format!("{log}_{short}_fk"));
            let column = dialect.quoted(target.column);
            // RESTRICT is the default everywhere, and said, since the others are no way out: an event can't be changed.
            table.foreign_keys.then(|| {
                format!(
                    ",\n    CONSTRAINT {constraint} FOREIGN KEY ({name}_id) REFERENCES {} ({column}) ON UPDATE RESTRICT ON DELETE \
                     RESTRICT",
                    target.quoted(dialect)
                )
            })
        };
        let subject_type = column_type(log, &table.subject, conn, dialect).await?;
        let subject = format!("subject_id {subject_type} NOT NULL");
        let mut constraints = key("subject", "subj", &table.subject).unwrap_or_default();
        let (actor, actor_index) = match &table.actor {
            Some(own) => {
                constraints.push_str(&key("actor", "act", own).unwrap_or_default());
                (format!("actor_id {} NULL,", column_type(log, own, conn, dialect).await?), "actor_id")
            }
            None => {
                constraints.push_str(&who_check(log, dialect));
                (BY_NAME.to_owned(), "actor_type, actor_id")
            }
        };
        Ok(Self { columns: format!("{subject},\n    {actor}"), constraints, subject_index: "subject_id", actor_index })
    }
}

fn who_check(log: &str, dialect: &dyn Dialect) -> String {
    format!(",\n    CONSTRAINT {} {BOTH_OR_NONE}", dialect.quoted(&format!("{log}_who")))
}

/// The type of the column that a foreign key points to, as the database itself has it.
async fn column_type<C: ConnectionTrait>(
    log: &str,
    own: &OwnKey,
    conn: &C,
    dialect: &dyn Dialect,
) -> Result<String, DbErr> {
    let target = own.target();
    let row = conn.query_one_raw(dialect.column_type(&target)).await?;
    match row {
        Some(row) => row.try_get("", "type"),
        None => Err(DbErr::Migration(format!(
            "the table `{log}` refers to `{}` ({}), which is not in this database: run that table's migration first, and this \
             one after it",
            target.table, target.column
        ))),
    }
}
