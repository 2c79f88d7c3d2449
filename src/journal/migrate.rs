//! Older journals: each step brings the tables one version further.
//!
//! All steps and the new version are one transaction: a crash leaves the old journal or the new.

use rusqlite::{Connection, Transaction};

use super::VERSION;

/// Brings the journal of a version to [`VERSION`]; nothing is done to one that is there.
///
/// # Errors
/// The disk's, and then the journal is as it was.
pub(super) fn migrate(db: &mut Connection, from_version: i64) -> rusqlite::Result<()> {
    if from_version >= VERSION {
        return Ok(());
    }
    let tx = db.transaction()?;
    for version in from_version + 1..=VERSION {
        step_to(version, &tx)?;
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    tracing::info!(
        from_version,
        to_version = VERSION,
        "the journal was brought up to date"
    );
    Ok(())
}

fn step_to(version: i64, tx: &Transaction<'_>) -> rusqlite::Result<()> {
    match version {
        2 => tx.execute_batch(ACCESS),
        3 => tx.execute_batch(EMERGENCIES),
        4 => {
            tx.execute_batch(EVIDENCE)?;
            tx.execute_batch(ANSWERS)?;
            tx.execute_batch(HOOKS)
        }
        5 => tx.execute_batch(BOOKS),
        6 => tx.execute_batch(GUARDS),
        _ => Ok(()),
    }
}

/// Version 2: what operators have said of `access`.
const ACCESS: &str = "
CREATE TABLE access (
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
) STRICT;
";

/// Version 3: what an emergency flip skipped and cut.
const EMERGENCIES: &str = "
ALTER TABLE flips ADD COLUMN skipped TEXT;
ALTER TABLE moves ADD COLUMN cut_reads INTEGER;
ALTER TABLE moves ADD COLUMN cut_writes INTEGER;
";

/// Version 4: what shows that a lane that was closed stayed so.
const EVIDENCE: &str = "
ALTER TABLE moves ADD COLUMN held INTEGER;
ALTER TABLE moves ADD COLUMN shed INTEGER;
ALTER TABLE moves ADD COLUMN abandoned INTEGER;
ALTER TABLE moves ADD COLUMN closed_ms INTEGER;
ALTER TABLE moves ADD COLUMN late INTEGER;
ALTER TABLE moves ADD COLUMN late_answers INTEGER;
CREATE INDEX moves_site ON moves (site, flip);
";

/// Version 4: what the direct names of a lane gave out, and for how long those of a site may be
/// used.
const ANSWERS: &str = "
ALTER TABLE moves ADD COLUMN answers INTEGER;
ALTER TABLE moves ADD COLUMN last_answer_ms INTEGER;
ALTER TABLE sites ADD COLUMN answer_ttl_s INTEGER;
";

/// Version 4: the hooks of flips.
const HOOKS: &str = "
CREATE TABLE hooks (
    flip     INTEGER NOT NULL REFERENCES flips (id),
    number   INTEGER NOT NULL,
    site     TEXT NOT NULL,
    phase    TEXT NOT NULL,
    name     TEXT NOT NULL,
    mark     TEXT NOT NULL,
    leader   INTEGER,
    started  INTEGER,
    boot     TEXT,
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    result   TEXT,
    detail   TEXT,
    output   TEXT,
    PRIMARY KEY (flip, number)
) STRICT;
CREATE TABLE hooks_due (
    flip  INTEGER PRIMARY KEY REFERENCES flips (id),
    phase TEXT NOT NULL
) STRICT;
";

/// Version 5: what each side has taken, and what of it was copied.
const BOOKS: &str = "
CREATE TABLE books (
    site TEXT PRIMARY KEY,
    book TEXT NOT NULL
) STRICT;
";

/// Version 6: the leases of guarded jobs. A number is never given twice: a job that comes back late
/// must not find another's lease under its own.
const GUARDS: &str = "
CREATE TABLE guards (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    lease TEXT NOT NULL
) STRICT;
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Journal, OpenError, StateLock, connect};
    use super::*;

    /// The tables as version 1 made them.
    const VERSION_1: &str = include_str!("schema_v1.sql");

    /// A flip of `ispot` from `live` to `backup`, as version 1 journalled it.
    const A_FLIP: &str = "
        INSERT INTO sites (name, active, epoch, epoch_used, word, access)
            VALUES ('ispot', 'backup', 2, 2, 'backup', 'open');
        INSERT INTO flips (id, state, during, who, uid, via, began_ms)
            VALUES (1, 'settled', 'page', 'ada', 1000, 'socket', 7);
        INSERT INTO moves (flip, site, from_side, to_side, from_epoch, epoch, forwarded)
            VALUES (1, 'ispot', 'live', 'backup', 1, 2, 9);";

    fn version_1(directory: &Path, more: &str) {
        let db = connect(&directory.join("journal.db")).expect("made");
        let all = format!("BEGIN; {VERSION_1} {A_FLIP} {more} PRAGMA user_version = 1; COMMIT;");
        db.execute_batch(&all).expect("written");
    }

    fn open(directory: &Path) -> Result<Journal, OpenError> {
        let lock = StateLock::take(directory).expect("the lock is free");
        Ok(Journal::open(&lock)?.journal)
    }

    /// Table by table, the columns in the order of their names.
    fn columns(db: &Connection) -> Vec<String> {
        let query = "SELECT t.name || '.' || c.name || ' ' || c.type
                     FROM pragma_table_list t JOIN pragma_table_info(t.name) c
                     WHERE t.schema = 'main' ORDER BY 1";
        let mut query = db.prepare(query).expect("a query");
        let rows = query.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("columns")
    }

    #[test]
    fn a_journal_of_version_1_is_brought_up_to_date_with_all_that_is_in_it() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
        std::fs::create_dir(&old).expect("made");
        version_1(&old, "");

        let migrated = open(&old).expect("it is migrated");
        let flips = migrated.recent(10).expect("read");
        assert_eq!((flips.len(), flips[0].state.as_str()), (1, "settled"));
        assert_eq!(flips[0].skipped, []);
        assert_eq!(migrated.emergencies().expect("read"), []);
        let fresh = open(&new).expect("a first start");
        assert_eq!(columns(&migrated.db), columns(&fresh.db));
        drop(migrated);

        let again = open(&old).expect("and opens as it is");
        assert_eq!(super::super::inspect(&again.db).expect("read"), VERSION);
    }

    #[test]
    fn a_journal_that_cannot_be_brought_up_to_date_is_left_as_it_was() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        // The last of the steps finds its column there already.
        version_1(
            scratch.path(),
            "ALTER TABLE moves ADD COLUMN cut_writes INTEGER;",
        );
        let look = || connect(&scratch.path().join("journal.db")).expect("opened");
        let before = columns(&look());

        let error = open(scratch.path()).expect_err("a column is there twice");

        assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
        assert_eq!(columns(&look()), before);
        assert_eq!(super::super::inspect(&look()).expect("read"), 1);
    }
}
