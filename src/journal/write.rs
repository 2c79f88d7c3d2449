//! The writing half: each function is one transaction, on disk when it returns `Ok`.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::site::{Access, Epoch, FlipId, Outcome, SideName, SiteName, Skipped};

use super::read::{ZoneRecord, uid_column};
use super::{CommitError, FlipEnd, Journal, LaneRecord, NewFlip, Place, SiteAdoption};

impl Journal {
    /// Adopts sites that are seen for the first time, each at epoch 1.
    ///
    /// # Errors
    /// The disk's, and then nothing was adopted.
    pub fn adopt(&mut self, sites: &[SiteAdoption], at: Timestamp) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        for adopted in sites {
            let (site, active) = (adopted.site.as_str(), adopted.active.as_str());
            tx.execute(
                "INSERT INTO sites (name, active, epoch, epoch_used, word, access)
                 VALUES (?1, ?2, 1, 1, ?2, ?3)",
                params![site, active, adopted.access.word()],
            )?;
            event(&tx, at, Some(&adopted.site), "adopted", active)?;
        }
        tx.commit()
    }

    /// Writes the intent of a flip, and tells the epoch that each move makes, in their order.
    ///
    /// What is on disk is looked at first: a flip must not be told of that the next start could not
    /// read.
    ///
    /// # Errors
    /// The disk's, or a site without a record; then nothing was written.
    pub fn intent(&mut self, id: FlipId, flip: &NewFlip) -> rusqlite::Result<Vec<Epoch>> {
        self.read_afresh()?;
        let tx = self.db.transaction()?;
        insert_flip(&tx, id, flip, "intent")?;
        let mut epochs = Vec::with_capacity(flip.moves.len());
        for planned in &flip.moves {
            let epoch: u64 = tx.query_row(
                "UPDATE sites SET epoch_used = epoch_used + 1 WHERE name = ?1
                 RETURNING epoch_used",
                [planned.site.as_str()],
                |row| row.get(0),
            )?;
            tx.execute(
                "UPDATE moves SET epoch = ?3,
                     from_epoch = (SELECT epoch FROM sites WHERE name = ?2)
                 WHERE flip = ?1 AND site = ?2",
                params![id.0, planned.site.as_str(), epoch],
            )?;
            epochs.push(Epoch(epoch));
        }
        tx.commit()?;
        Ok(epochs)
    }

    /// Writes the commit of a flip: the point of no return.
    ///
    /// The new sides and epochs, the words that the file is to be rewritten to, the serials of the
    /// zones that change, and what the old lanes recorded are one transaction.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(
        &mut self,
        id: FlipId,
        zones: &[ZoneRecord],
        lanes: &[LaneRecord],
        at: Timestamp,
    ) -> Result<(), CommitError> {
        let tx = self.db.transaction().map_err(CommitError::NotWritten)?;
        write_commit(&tx, id, zones, at).map_err(CommitError::NotWritten)?;
        write_lanes(&tx, id, lanes).map_err(CommitError::NotWritten)?;
        tx.commit().map_err(CommitError::Unknown)
    }

    /// Writes that the commit of a flip does not count, whether it is on disk or not; a full disk
    /// has space kept for this.
    ///
    /// # Errors
    /// The disk's; the outcome stays unknown.
    pub fn abort(&mut self, id: FlipId) -> rusqlite::Result<()> {
        if let Err(error) = self.reserve.give_up() {
            tracing::error!(%error, "the space kept for the journal could not be given up");
        }
        self.write_abort(id)?;
        if let Err(error) = self.reserve.keep() {
            tracing::error!(%error, "no space could be kept for the journal: make room");
        }
        Ok(())
    }

    fn write_abort(&mut self, id: FlipId) -> rusqlite::Result<()> {
        if !self.db.is_autocommit() {
            // The commit that failed may have left its transaction open.
            self.db.execute_batch("ROLLBACK")?;
        }
        let tx = self.db.transaction()?;
        let state: String =
            tx.query_row("SELECT state FROM flips WHERE id = ?1", [id.0], |row| {
                row.get(0)
            })?;
        if state == "committed" {
            tx.execute(
                "UPDATE sites SET active = m.from_side, epoch = m.from_epoch,
                        word = coalesce(rewrite_from, word),
                        rewrite_from = NULL, rewrite_to = NULL
                 FROM moves m WHERE m.flip = ?1 AND m.site = sites.name",
                [id.0],
            )?;
        }
        tx.execute("UPDATE flips SET state = 'aborted' WHERE id = ?1", [id.0])?;
        tx.commit()
    }

    /// Writes how a flip ended.
    ///
    /// # Errors
    /// The disk's; the flip's outcome is not touched by it.
    pub fn end(&mut self, id: FlipId, end: &FlipEnd) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        write_end(&tx, id, end)?;
        write_lanes(&tx, id, &end.lanes)?;
        if let Some(phase) = end.hooks_due {
            super::hooks::due(&tx, id, phase)?;
        }
        tx.commit()
    }

    /// Writes a flip that was refused before its intent.
    ///
    /// # Errors
    /// The disk's.
    pub fn refused(&mut self, id: FlipId, flip: &NewFlip, end: &FlipEnd) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        insert_flip(&tx, id, flip, Outcome::Refused.word())?;
        write_end(&tx, id, end)?;
        tx.commit()
    }

    /// Remembers the word of the file, when no flip carries it.
    ///
    /// # Errors
    /// The disk's.
    pub fn word_read(
        &mut self,
        site: &SiteName,
        word: Option<&SideName>,
        why: &str,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        tx.execute(
            "UPDATE sites SET word = ?2 WHERE name = ?1",
            params![site.as_str(), word.map(SideName::as_str)],
        )?;
        event(&tx, at, Some(site), "word read", why)?;
        tx.commit()
    }

    /// Remembers the access that the file says of sites, and notes that of their parts, which are
    /// served as the file says.
    ///
    /// # Errors
    /// The disk's, and then nothing was written.
    pub fn access_read(
        &mut self,
        sites: &[(SiteName, Access)],
        parts: &[(Place, Access)],
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        for (site, access) in sites {
            tx.execute(
                "UPDATE sites SET access = ?2 WHERE name = ?1",
                params![site.as_str(), access.word()],
            )?;
            event(&tx, at, Some(site), "access", access.word())?;
        }
        for (place, access) in parts {
            let detail = format!("{}: {access}", place.prefix);
            event(&tx, at, Some(&place.site), "access", &detail)?;
        }
        tx.commit()
    }

    /// Remembers that the file of a site says what it is to say.
    ///
    /// # Errors
    /// The disk's; the rewrite is looked at again at the next start, and found done.
    pub fn rewritten(&mut self, site: &SiteName) -> rusqlite::Result<()> {
        self.db.execute(
            "UPDATE sites SET rewrite_from = NULL, rewrite_to = NULL WHERE name = ?1",
            [site.as_str()],
        )?;
        Ok(())
    }

    /// Remembers how long answers of direct names may be used, before any is given.
    ///
    /// # Errors
    /// The disk's, and then nothing was written.
    pub fn answer_ttls(&mut self, sites: &[(SiteName, Option<u32>)]) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        for (site, ttl_s) in sites {
            tx.execute(
                "UPDATE sites SET answer_ttl_s = ?2 WHERE name = ?1",
                params![site.as_str(), ttl_s],
            )?;
        }
        tx.commit()
    }

    /// Writes the serials of zones that are about to be published.
    ///
    /// # Errors
    /// The disk's, and then they must not be published.
    pub fn zones_published(&mut self, zones: &[ZoneRecord]) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        write_zones(&tx, zones)?;
        tx.commit()
    }
}

fn insert_flip(
    tx: &Transaction<'_>,
    id: FlipId,
    flip: &NewFlip,
    state: &str,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO flips (id, state, during, who, uid, via, reason, began_ms, skipped)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            id.0,
            state,
            flip.during.word(),
            flip.who.name,
            uid_column(&flip.who),
            flip.who.via.word(),
            flip.reason,
            flip.began.as_millisecond(),
            skipped_words(flip),
        ],
    )?;
    for planned in &flip.moves {
        tx.execute(
            "INSERT INTO moves (flip, site, from_side, to_side) VALUES (?1, ?2, ?3, ?4)",
            params![
                id.0,
                planned.site.as_str(),
                planned.from.as_str(),
                planned.to.as_str()
            ],
        )?;
    }
    for (site, word) in &flip.words {
        tx.execute(
            "UPDATE sites SET word = ?2 WHERE name = ?1",
            params![site.as_str(), word.as_ref().map(SideName::as_str)],
        )?;
    }
    Ok(())
}

/// `drain sync`, `check:home%20page`; nothing for a planned flip that leaves nothing out.
fn skipped_words(flip: &NewFlip) -> Option<String> {
    let word = |skipped: &Skipped| skipped.to_string().replace('%', "%25").replace(' ', "%20");
    let words: Vec<_> = flip.skipped.iter().map(word).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn write_commit(
    tx: &Transaction<'_>,
    id: FlipId,
    zones: &[ZoneRecord],
    at: Timestamp,
) -> rusqlite::Result<()> {
    tx.execute("UPDATE flips SET state = 'committed' WHERE id = ?1", [id.0])?;
    // A word that is left out stays out; one that says otherwise is rewritten in the file, and
    // counts as read already, so that the rewrite is never a request.
    tx.execute(
        "UPDATE sites SET
             active = m.to_side,
             epoch = m.epoch,
             rewrite_from = CASE WHEN word <> m.to_side THEN word END,
             rewrite_to = CASE WHEN word <> m.to_side THEN m.to_side END,
             word = CASE WHEN word IS NULL THEN NULL ELSE m.to_side END
         FROM moves m WHERE m.flip = ?1 AND m.site = sites.name",
        [id.0],
    )?;
    write_zones(tx, zones)?;
    event(tx, at, None, "committed", &format!("flip {id}"))
}

fn write_end(tx: &Transaction<'_>, id: FlipId, end: &FlipEnd) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE flips SET state = ?2, message = ?3, ended_ms = ?4, timeline = ?5 WHERE id = ?1",
        params![
            id.0,
            end.outcome.word(),
            end.message,
            end.ended.as_millisecond(),
            end.timeline
        ],
    )?;
    Ok(())
}

fn write_lanes(tx: &Transaction<'_>, id: FlipId, lanes: &[LaneRecord]) -> rusqlite::Result<()> {
    for lane in lanes {
        tx.execute(
            "UPDATE moves SET forwarded = ?3, last_forwarded_ms = ?4,
                 cut_reads = ?5, cut_writes = ?6, held = ?7, closed_ms = ?8, late = ?9,
                 answers = ?10, last_answer_ms = ?11, shed = ?12, abandoned = ?13
             WHERE flip = ?1 AND site = ?2",
            params![
                id.0,
                lane.site.as_str(),
                lane.forwarded,
                lane.last_forwarded_ms,
                lane.cut.map(|cut| cut.reads),
                lane.cut.map(|cut| cut.writes),
                lane.held,
                lane.closed.map(Timestamp::as_millisecond),
                lane.late,
                lane.answers.map(|answers| answers.count),
                lane.answers.map(|answers| answers.last_ms),
                lane.shed,
                lane.abandoned
            ],
        )?;
    }
    Ok(())
}

fn write_zones(tx: &Transaction<'_>, zones: &[ZoneRecord]) -> rusqlite::Result<()> {
    for zone in zones {
        tx.execute(
            "INSERT INTO zones (name, serial, digest) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET serial = ?2, digest = ?3",
            // SQLite's integers are signed; the digest's bits are kept as they are.
            params![zone.name, zone.serial, zone.digest.cast_signed()],
        )?;
    }
    Ok(())
}

pub(super) fn event(
    tx: &Transaction<'_>,
    at: Timestamp,
    site: Option<&SiteName>,
    what: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO events (at_ms, site, what, detail) VALUES (?1, ?2, ?3, ?4)",
        params![
            at.as_millisecond(),
            site.map(SiteName::as_str),
            what,
            detail
        ],
    )?;
    Ok(())
}
