//! What a journal says, read from a copy: to open it would do the daemon's recovery for it.

use rusqlite::Connection;

use crate::support::daemon::Place;

/// What was on disk when the daemon was killed.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) active: String,
    pub(super) epoch: u64,
    /// The word of the file, as it was last read.
    word: String,
    /// A rewrite of the file that is still to be made.
    rewrite_from: Option<String>,
}

impl Past {
    pub(super) fn of(place: &Place) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in ["journal.db", "journal.db-wal"] {
            let (from, to) = (place.state().join(file), copy.path().join(file));
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
        let journal = Connection::open(copy.path().join("journal.db")).unwrap();
        let query = "SELECT active, epoch, word, rewrite_from FROM sites WHERE name = 'ispot'";
        let read = journal.query_row(query, [], |row| {
            Ok(Self {
                active: row.get(0)?,
                epoch: row.get(1)?,
                word: row.get(2)?,
                rewrite_from: row.get(3)?,
            })
        });
        read.unwrap()
    }

    /// Tells whether the word of the file asks for a flip at the next start.
    pub(super) fn is_asked_by(&self, word: &str) -> bool {
        let is_due = self.rewrite_from.as_deref() == Some(word);
        word != self.word && !is_due && word != self.active
    }
}
