//! Bringing a journal of an earlier version up to this one.

use rusqlite::Connection;

/// What each version added to the one before; the first step makes version 2 of version 1.
const STEPS: [&str; 1] = ["CREATE TABLE access (
         site       TEXT NOT NULL,
         prefix     TEXT NOT NULL,
         word       TEXT NOT NULL,
         access     TEXT NOT NULL,
         reason     TEXT,
         back_at_ms INTEGER,
         who        TEXT NOT NULL,
         uid        INTEGER NOT NULL,
         via        TEXT NOT NULL,
         at_ms      INTEGER NOT NULL,
         PRIMARY KEY (site, prefix)
     ) STRICT;"];

/// Takes the steps from a version on, all in one transaction.
///
/// # Errors
/// The disk's, and then the journal is as it was.
pub(super) fn migrate(db: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from - 1).unwrap_or(0);
    let Some(steps) = STEPS.get(done..).filter(|steps| !steps.is_empty()) else {
        return Ok(());
    };
    let tx = db.transaction()?;
    for step in steps {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", super::VERSION)?;
    tx.commit()?;
    tracing::info!(
        from,
        to = super::VERSION,
        "the journal was brought up to date"
    );
    Ok(())
}
