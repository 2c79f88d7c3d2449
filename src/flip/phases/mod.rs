//! The phases: one struct each, with the moves that are legal there.
//!
//! ```text
//! before (rehearse, quiesce, hold) ─> drain ─> before (sync, check) ─> drain (close) ─> commit ─> ending
//! ```
//!
//! Each phase takes only what it asked for; whatever else comes is late, and passed over. Every way
//! back leads through `ending`, whose `restore` runs the hooks of the way back if one has begun.

mod before;
mod commit;
mod drain;
mod ending;

pub use before::{Checking, Holding, Quiescing, Rehearsing, Syncing};
pub use commit::{Aborting, Committing, Confirming, Publishing};
pub use drain::{Closing, Draining};
pub use ending::{Ended, Restoring, Settling};
