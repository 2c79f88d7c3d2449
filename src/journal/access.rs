//! What operators have said of `access`.

use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::site::{Access, SiteName, Via, Who};

use super::Journal;
use super::read::{foreign, uid, uid_column, word};
use super::write::event;

/// What is open, read-only or in maintenance: a site, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The site.
    pub site: SiteName,
    /// The prefix of the part's paths; empty for the whole site.
    pub prefix: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.site, self.prefix)
    }
}

/// What an operator has said of a place; it holds until the file says something else of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// What the file said then.
    pub word: Access,
    /// What holds instead.
    pub access: Access,
    /// Why.
    pub reason: Option<String>,
    /// When users are told to come back.
    pub back_at: Option<Timestamp>,
    /// Who said it.
    pub who: Who,
    /// When.
    pub at: Timestamp,
}

impl Journal {
    /// Reads what operators have said.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn accesses(&self) -> rusqlite::Result<Vec<(Place, AccessRecord)>> {
        let mut query = self.db.prepare(
            "SELECT site, prefix, word, access, reason, back_at_ms, who, uid, via, at_ms
             FROM access",
        )?;
        let rows = query.query_map([], record)?;
        rows.collect()
    }

    /// Writes what an operator says of a place.
    ///
    /// # Errors
    /// The disk's, and then nothing has changed.
    pub fn access_said(&mut self, place: &Place, said: &AccessRecord) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        tx.execute(
            "INSERT OR REPLACE INTO access
             (site, prefix, word, access, reason, back_at_ms, who, uid, via, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                place.site.as_str(),
                place.prefix,
                said.word.word(),
                said.access.word(),
                said.reason,
                said.back_at.map(Timestamp::as_millisecond),
                said.who.name,
                uid_column(&said.who),
                said.who.via.word(),
                said.at.as_millisecond(),
            ],
        )?;
        let because = said.reason.as_deref().unwrap_or("no reason given");
        let detail = format!("{} by {}: {because}", said.access, said.who.name);
        event(
            &tx,
            said.at,
            Some(&place.site),
            "access said",
            &in_place(place, &detail),
        )?;
        tx.commit()
    }

    /// Writes that what the file says of a place holds again, and why.
    ///
    /// # Errors
    /// The disk's, and then nothing has changed.
    pub fn access_unsaid(
        &mut self,
        place: &Place,
        why: &str,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        tx.execute(
            "DELETE FROM access WHERE site = ?1 AND prefix = ?2",
            params![place.site.as_str(), place.prefix],
        )?;
        event(
            &tx,
            at,
            Some(&place.site),
            "access as in the file",
            &in_place(place, why),
        )?;
        tx.commit()
    }

    /// Notes who may hand out a link behind the page of a site, and until when it is good; the link
    /// itself is written nowhere.
    ///
    /// # Errors
    /// The disk's, and then nobody is to be invited.
    pub fn invited(
        &mut self,
        site: &SiteName,
        who: &Who,
        until: Timestamp,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        let detail = format!("by {} until {until}", who.name);
        event(&tx, at, Some(site), "invited", &detail)?;
        tx.commit()
    }
}

fn in_place(place: &Place, detail: &str) -> String {
    if place.prefix.is_empty() {
        detail.into()
    } else {
        format!("{}: {detail}", place.prefix)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<(Place, AccessRecord)> {
    let time =
        |at: usize, ms: i64| Timestamp::from_millisecond(ms).map_err(|error| foreign(at, error));
    let back_at: Option<i64> = row.get(5)?;
    let via: Via = word(row, 8)?;
    let place = Place {
        site: SiteName::new(&row.get::<_, String>(0)?),
        prefix: row.get(1)?,
    };
    let said = AccessRecord {
        word: word(row, 2)?,
        access: word(row, 3)?,
        reason: row.get(4)?,
        back_at: back_at.map(|ms| time(5, ms)).transpose()?,
        who: Who {
            name: row.get(6)?,
            uid: uid(row, 7)?,
            via,
        },
        at: time(9, row.get(9)?)?,
    };
    Ok((place, said))
}
