//! The control plane: the one actor that may change anything.

mod handle;
pub mod standin;
mod status;

pub use crate::site::{Outcome, Via, Who};
pub use handle::{CancelError, FlipError, FlipRequest, Handle};
pub use status::{FlipStatus, PhaseEntry, SiteStatus, Status, ZoneStatus};
