//! Compiled zones: what DNS answers, made ready when a snapshot is built.
//!
//! For: gathering what a zone holds, giving it a digest so that its serial grows only when an
//! answer changed, compiling it, answering packets from it, and knowing until when the addresses
//! that direct names gave out may be used. Not for: sockets (`dns`), choosing
//! serials (`control` keeps them in the journal), and zone transfers.
//!
//! ```text
//! Table, Positions ─┐
//! zone file ─master─┴─> contents ──digest──> (serial from the journal)
//!                           └───── compile ──────────┴──> Zones ──answer──> bytes
//!                                                           ^ packet ─query─┘
//! ```
//!
//! A zone holds its SOA and NS, the addresses of in-zone name servers without one of their own,
//! the hosts of sites (the proxy's addresses), the names that follow an active side, a `_flip` TXT
//! for each site it knows, and the records of its file. Where the table names no servers, those of
//! the file are taken, and an SOA of the file replaces the built-in one, but for its serial.
//!
//! Invariants: [`answer`] neither panics nor allocates, whatever the packet; a packet with QR=1 is
//! never answered; an answer is never longer than the client takes; a name in doubt is SERVFAIL;
//! equal digests mean equal answers. A crash leaves nothing behind: all of this is memory. Tests:
//! `zone`, `ferret` in `tests/it`, and those in the files here.

mod answer;
mod compiled;
mod contents;
mod digest;
mod draft;
mod lease;
mod master;
mod message;
mod name;
mod query;
mod record;
mod serial;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use answer::{Dropped, Reply, Transport, answer, answer_noting};
use compiled::{ByName, Keyed, Zone};
pub use contents::{Contents, Says, contents, contents_of, flip_names, touched, zones_of};
pub use lease::{AnswerLease, GRACE_MS, Given, Leases, Sending, Sent};
use name::Sought;
pub use query::{Rcode, UDP_PAYLOAD_MAX};
use record::Type;
pub use serial::Serial;

/// The compiled zones of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    /// Shared with the zones of other snapshots that say the same.
    zones: ByName<Arc<Zone>>,
    /// Labels of the zone name that has most of them.
    deepest: usize,
    leases: Arc<Leases>,
}

impl Zones {
    /// Compiles contents with their serials; `hash_key` is random per process.
    ///
    /// A zone that has no serial yet gets the one after its file's.
    pub fn compile(
        contents: &BTreeMap<String, Contents>,
        serials: &BTreeMap<String, Serial>,
        hash_key: u64,
    ) -> Self {
        Self::keyed(Keyed(hash_key), Arc::default()).with(contents, serials)
    }

    /// Compiles contents in the place of all that these zones have; what their direct names gave
    /// out is not forgotten.
    #[must_use]
    pub fn anew(
        &self,
        contents: &BTreeMap<String, Contents>,
        serials: &BTreeMap<String, Serial>,
    ) -> Self {
        Self::keyed(*self.zones.hasher(), Arc::clone(&self.leases)).with(contents, serials)
    }

    fn keyed(keyed: Keyed, leases: Arc<Leases>) -> Self {
        Self {
            zones: ByName::with_hasher(keyed),
            deepest: 0,
            leases,
        }
    }

    /// Shares what is known of the answers that direct names gave out.
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// Compiles contents in the place of what these zones have of the same names.
    #[must_use]
    pub fn with(
        mut self,
        contents: &BTreeMap<String, Contents>,
        serials: &BTreeMap<String, Serial>,
    ) -> Self {
        let keyed = *self.zones.hasher();
        for (name, contents) in contents {
            let serial = serials.get(name).copied();
            let serial = serial.unwrap_or_else(|| Serial::first(0, contents.file_serial));
            let zone = Zone::compile(contents, serial, keyed, &self.leases);
            self.deepest = self.deepest.max(zone.labels());
            self.zones.insert(contents.apex.folded(), Arc::new(zone));
        }
        self
    }

    /// Finds the innermost zone for a question (RFC 1034 §4.3.2, step 2).
    fn of(&self, name: &Sought, rtype: Type) -> Option<&Zone> {
        let mut apex: Option<&Zone> = None;
        for labels in (0..=self.deepest.min(name.labels())).rev() {
            let Some(zone) = self.zones.get(name.last(labels)) else {
                continue;
            };
            // RFC 4035 §3.1.4.1: the DS of a zone is in the zone above, if that is here too.
            if rtype == Type::DS && labels == name.labels() && labels > 0 {
                apex = Some(zone);
                continue;
            }
            return Some(zone);
        }
        apex
    }
}
