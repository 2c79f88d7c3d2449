//! Copies: what each side of a site has taken, and what of it the other sides have.
//!
//! For: knowing of every write that only one side has, and of every side onto which a copy did not
//! come to its end; and for not letting a flip leave the one behind, or go to the other, nor a copy
//! overwrite it. Not for: copying; the `sync` hooks of a flip and guarded jobs do that. Of sites whose sides share their storage nothing is
//! counted.
//!
//! ```text
//! proxy ─count─> Tally ──asks (the first since a copy)──> owner ──fsync──> journal (books)
//!                  └─────collected once a second────────>   │
//! flip ──rehearsal, checks──> rules <──── Book <────────────┘──> Shown ──> admin, metrics
//!      └─sync hooks─────────> begun, over ──^
//! guards ─ their jobs ──────> begun, over ──^
//! ```
//!
//! Invariants: a side is said to have writes, on disk, before the first byte of the first of them is
//! sent; what a copy was begun for is what had come before it began; a side is torn, on disk, before
//! a copy onto it begins, and until one has succeeded.
//!
//! A crash leaves books that lack at most the writes of the last second, and say so ("at least"),
//! and the target of a copy torn. Tests: `copies` and `repair` in `tests/it`, and in `book`.

mod book;
mod guarded;
mod owner;
mod rules;
mod shown;

pub(super) use book::CopyOnto;
pub use book::{Torn, Uncopied};
pub(super) use owner::{Copies, SitesRan};
pub(super) use rules::When;
pub(super) use shown::Shown;
pub use shown::{SiteCopies, TornSide};
