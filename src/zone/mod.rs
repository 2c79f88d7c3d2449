//! Compiled zones: what DNS answers, made ready when a snapshot is built.

use std::collections::BTreeMap;

use crate::site::Positions;
use crate::table::{Diagnostic, Table};

/// The compiled zones of a snapshot.
#[derive(Debug, Default)]
pub struct Zones {}

/// A zone's serial (RFC 1982 arithmetic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serial(pub u32);

impl Serial {
    /// The serial of a zone's first published content: max(unix time, the zone file's + 1).
    pub fn first(unix_time: u64, file: Option<Self>) -> Self {
        let _ = (unix_time, file);
        Self(1)
    }
    /// One further, wrapping (RFC 1982 §3.1).
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What a zone holds, apart from its serial.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Stable over restarts: equal digests mean equal answers.
    pub digest: u64,
    /// SOA serial of the zone file, if it has one.
    pub file_serial: Option<Serial>,
}

/// Gathers what each zone of a table holds at these positions; by zone name.
///
/// # Errors
/// Mistakes in zone files, and names that a zone file and the table both claim.
pub fn contents(
    table: &Table,
    positions: &Positions,
) -> Result<BTreeMap<String, Contents>, Vec<Diagnostic>> {
    let _ = (table, positions);
    Ok(BTreeMap::new())
}

impl Zones {
    /// Compiles contents with their serials; `hash_key` is random per process.
    pub fn compile(
        contents: &BTreeMap<String, Contents>,
        serials: &BTreeMap<String, Serial>,
        hash_key: u64,
    ) -> Self {
        let _ = (contents, serials, hash_key);
        Self {}
    }
}
