//! Recorded batches whose events are all gone.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use event_core::storage::StorageError;

use crate::storage::SeaStorage;

/// How many are looked at together.
const CHUNK: i64 = 500;

impl SeaStorage {
    /// Removes those that began before, and that no event and no other batch names; how many.
    pub(super) async fn remove_batches(&self, before: DateTime<Utc>) -> Result<u64, StorageError> {
        let db = self.own().await?;
        let mut sql = self.sql()?;
        // Of any program: one that is not linked here has events too.
        sql.push(self.known_dialect()?.logs_and_archives());
        let rows = self.query(&db, sql).await?;
        let logs = rows.iter().map(|row| self.text(row, "name")).collect::<Result<Vec<_>, _>>()?;
        let (mut removed, mut below) = (0, None::<String>);
        loop {
            let mut sql = self.sql()?;
            sql.push("SELECT id FROM event_batches WHERE created_at <= ").bind(before);
            if let Some(below) = below.take() {
                sql.push(" AND id < ").bind(below);
            }
            // The newest first: what is nested in a batch began after it.
            sql.push(" ORDER BY id DESC LIMIT ").bind(CHUNK);
            let rows = self.query(&db, sql).await?;
            let found = rows.iter().map(|row| self.text(row, "id")).collect::<Result<Vec<_>, _>>()?;
            let Some(last) = found.last() else { return Ok(removed) };
            below = Some(last.clone());
            let mut gone: BTreeSet<_> = found.into_iter().collect();
            for log in &logs {
                if !gone.is_empty() {
                    let mut sql = self.sql()?;
                    sql.push("SELECT DISTINCT batch_id AS id FROM ").name(log).push(" WHERE batch_id IN ");
                    sql.set(gone.iter().map(String::as_str));
                    for row in self.query(&db, sql).await? {
                        gone.remove(&self.text(&row, "id")?);
                    }
                }
            }
            self.keep_outer(&mut gone).await?;
            if !gone.is_empty() {
                let mut sql = self.sql()?;
                sql.push("DELETE FROM event_batches WHERE id IN ").set(gone.iter().map(String::as_str));
                removed += self.execute(&db, sql).await?;
            }
        }
    }

    /// Takes out the batches in which one is nested that stays.
    async fn keep_outer(&self, gone: &mut BTreeSet<String>) -> Result<(), StorageError> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut sql = self.sql()?;
        sql.push("SELECT id, parent_id FROM event_batches WHERE parent_id IN ");
        sql.set(gone.iter().map(String::as_str));
        let mut nested = Vec::new();
        for row in self.query(&self.own().await?, sql).await? {
            nested.push((self.text(&row, "id")?, self.text(&row, "parent_id")?));
        }
        // One that stays has the one around it stay.
        while let Some((_, outer)) = nested.iter().find(|(inner, outer)| !gone.contains(inner) && gone.contains(outer))
        {
            gone.remove(outer);
        }
        Ok(())
    }
}
