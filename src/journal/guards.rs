//! The leases of guarded jobs: one row for each that is out.

use rusqlite::params;

use crate::site::{GuardId, SiteName};

use super::books::put;
use super::{BookEvent, Journal};

/// What changes with a lease, in the same transaction: the books of its sites, and what is to be
/// found of it later.
#[derive(Clone, Debug, Default)]
pub struct WithLease {
    /// The books, as text.
    pub books: Vec<(SiteName, String)>,
    /// What has happened.
    pub events: Vec<BookEvent>,
}

impl Journal {
    /// Reads every lease that is out, as text.
    ///
    /// # Errors
    /// The disk's.
    pub fn leases(&self) -> rusqlite::Result<Vec<(GuardId, String)>> {
        let mut query = self
            .db
            .prepare("SELECT id, lease FROM guards ORDER BY id")?;
        let rows = query.query_map([], |row| Ok((GuardId(row.get(0)?), row.get(1)?)))?;
        rows.collect()
    }

    /// Writes a new lease; its number.
    ///
    /// # Errors
    /// The disk's, and then there is no lease.
    pub fn lease_granted(&mut self, lease: &str, with: &WithLease) -> rusqlite::Result<GuardId> {
        let tx = self.db.transaction()?;
        put(&tx, &with.books, &with.events)?;
        tx.execute("INSERT INTO guards (lease) VALUES (?1)", [lease])?;
        let id = GuardId(u64::try_from(tx.last_insert_rowid()).unwrap_or(0));
        tx.commit()?;
        Ok(id)
    }

    /// Writes what has become of a lease.
    ///
    /// # Errors
    /// The disk's, and then it is as it was.
    pub fn lease_changed(
        &mut self,
        id: GuardId,
        lease: &str,
        with: &WithLease,
    ) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        put(&tx, &with.books, &with.events)?;
        let query = "UPDATE guards SET lease = ?2 WHERE id = ?1";
        tx.execute(query, params![id.0, lease])?;
        tx.commit()
    }

    /// Takes leases off the list.
    ///
    /// # Errors
    /// The disk's, and then they are out still.
    pub fn leases_over(&mut self, ids: &[GuardId], with: &WithLease) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        put(&tx, &with.books, &with.events)?;
        for id in ids {
            tx.execute("DELETE FROM guards WHERE id = ?1", [id.0])?;
        }
        tx.commit()
    }
}
