//! The books of sites: what each side has taken, and what of it was copied.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::site::SiteName;

use super::Journal;
use super::write::event;

/// Something about the data of a site that is to be found later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookEvent {
    /// The site.
    pub site: SiteName,
    /// What it is, in one word.
    pub what: &'static str,
    /// The same in all its words.
    pub detail: String,
}

impl Journal {
    /// Reads every book, as text.
    ///
    /// # Errors
    /// The disk's.
    pub fn books(&self) -> rusqlite::Result<Vec<(SiteName, String)>> {
        let mut query = self.db.prepare("SELECT site, book FROM books")?;
        let rows = query.query_map([], |row| {
            let site: String = row.get(0)?;
            Ok((SiteName::new(&site), row.get(1)?))
        })?;
        rows.collect()
    }

    /// Writes books, and what has happened to them, in one transaction.
    ///
    /// # Errors
    /// The disk's, and then nothing was written.
    pub fn write_books(
        &mut self,
        books: &[(SiteName, String)],
        events: &[BookEvent],
    ) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        put(&tx, books, events)?;
        tx.commit()
    }
}

/// Writes books, and what has happened to them.
pub(super) fn put(
    tx: &Transaction<'_>,
    books: &[(SiteName, String)],
    events: &[BookEvent],
) -> rusqlite::Result<()> {
    for (site, book) in books {
        tx.execute(
            "INSERT INTO books (site, book) VALUES (?1, ?2)
             ON CONFLICT (site) DO UPDATE SET book = excluded.book",
            params![site.as_str(), book],
        )?;
    }
    for BookEvent { site, what, detail } in events {
        event(tx, Timestamp::now(), Some(site), what, detail)?;
    }
    Ok(())
}
