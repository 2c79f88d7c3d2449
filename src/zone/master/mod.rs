//! Zone files: the master-file text of RFC 1035 §5 becomes records, or every mistake at once.
//!
//! Not for: what a zone may hold (`contents` checks that), and `$INCLUDE`: nothing is read here.
//!
//! ```text
//! text -> lexer: entries of tokens -> entries: owner, TTL, class, type -> rdata: wire form
//! ```
//!
//! Invariant: a record given out has its owner and its RDATA in wire form within the limits of
//! RFC 1035 §2.3.4. The text of common types is read here; hickory reads that of the rarer ones.
//! Tests: in these files, and `ferret` in `tests/it`.

mod entries;
mod lexer;
mod rdata;

pub(super) use entries::{Placed, read};

/// A mistake in a zone file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// 1-based line.
    pub(super) line: usize,
    /// 1-based column, in characters.
    pub(super) column: usize,
    /// What is wrong.
    pub(super) message: String,
    /// What to write instead.
    pub(super) remedy: &'static str,
}
