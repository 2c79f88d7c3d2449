//! The route table: what `routes.yaml` says, checked and resolved.
//!
//! It is for turning a text into a [`Table`] or into every mistake at once, for telling what one
//! table changes against another, and for rewriting the one word that moves a site. It is not for
//! deciding anything: which side is active, and what becomes of a request, is said elsewhere.
//!
//! ```text
//!                keys
//!                  v
//! text -> tree -> schema -> resolve -> Table -> matcher   host -> site
//!        (places)  (keys)  (meaning)     |   -> diff      what a reload changes
//!            \________\________\_________|   increment   what an edit did not touch
//!                      v
//!               Vec<Diagnostic>          text + side -> edit -> text with one word changed
//! ```
//!
//! Invariants:
//! - A table that loads has no doubt in it: each host and name has one owner, each word names a
//!   side that exists, each side has an origin. An unknown key is a mistake, never passed over.
//! - Nothing here reads a clock, a socket or a file: the files that a table names (pages, zone
//!   files) are read through the [`ReadFile`] that the caller passes in.
//! - A file costs time and memory in proportion to its length: aliases are refused, nesting is
//!   bounded, and no text makes this panic.
//!
//! A crash leaves nothing behind, as nothing is written here.
//!
//! Proved by `tests/it/mistakes.rs` (each kind of mistake at its exact place), `tests/it/table.rs`
//! (the example, size, random texts, the edit of one word) and the tests beside the code.

mod check;
mod chunks;
mod diagnostic;
mod diff;
mod edit;
mod fence;
mod freshness;
mod hooks;
mod increment;
mod keys;
mod matcher;
mod model;
mod path;
mod resolve;
mod scalar;
mod schema;
mod standby;
mod tree;

pub use check::{Ask, Check, DnsAsk, HttpAsk, Pattern, Peer, Preflight, Wanted};
pub use chunks::Chunks;
pub use diagnostic::Diagnostic;
pub use diff::{Diff, Misfit, place};
pub use edit::{EditError, active_word, splice_active};
pub use fence::{FenceKey, Secret};
pub use freshness::{Freshness, MarkerKind, MarkerPlace};
pub use hooks::{Hook, HookCommand, Hooks};
pub use increment::{Change, Loader, Source, Text};
pub use keys::KeyRow;
pub use matcher::Matcher;
pub use model::{
    Admin, CertFiles, Dns, FlipPolicy, FollowingName, Listen, LoadedFile, Maintenance, Network,
    OriginAddr, OriginTls, PathRule, ReadFile, Redirect, Side, Site, Table, Timeouts, Token, Words,
    ZoneTable,
};
pub use standby::Standby;

use std::sync::Arc;

use crate::site::SiteName;

impl Table {
    /// Loads a table from its text; `path` is shown in mistakes, and relative paths begin in its
    /// folder.
    ///
    /// # Errors
    /// Every mistake in the file, in the order of their places.
    pub fn load(
        path: &std::path::Path,
        text: &str,
        files: &dyn ReadFile,
    ) -> Result<Self, Vec<Diagnostic>> {
        let last = increment::load(path, text, files, increment::PART)?;
        Ok(Arc::unwrap_or_clone(last.table))
    }

    /// Lists every key that a table may have, as `docs/routes.md` explains them.
    pub fn keys() -> Vec<KeyRow> {
        keys::rows()
    }

    /// Writes the keys as a JSON Schema (draft 2020-12), for editors.
    pub fn json_schema() -> serde_json::Value {
        keys::json_schema()
    }

    /// Looks up a site by name.
    pub fn site(&self, name: &str) -> Option<&Arc<Site>> {
        let at = self
            .sites
            .binary_search_by(|site| site.name.as_str().cmp(name));
        at.ok().map(|at| &self.sites[at])
    }

    /// Finds the place of a site in `sites`.
    pub fn place_of(&self, name: &SiteName) -> Option<usize> {
        self.sites.binary_search_by(|site| site.name.cmp(name)).ok()
    }

    /// Finds the site of a host name; the index counts in `sites`. Without a host of that name it
    /// is the default site, if there is one.
    ///
    /// The host is taken in any case; a port or a final dot is not part of it.
    pub fn route(&self, host: &str) -> Option<usize> {
        self.matcher.find(host)
    }
}
