//! The control plane: the one actor that may change anything.

mod handle;
mod status;
mod watch;

pub use handle::{CancelError, FlipError, FlipRequest, Handle};
pub use status::{FlipStatus, Outcome, PhaseEntry, SiteStatus, Status, Via, Who, ZoneStatus};
pub use watch::{Watch, watch};
