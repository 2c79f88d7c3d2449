//! The one place with unsafe code: what the kernel offers and no crate wraps safely.
//!
//! For: UDP packets by the batch (`packets`), the share of a core that a thread takes (`thread`).
//! Not for: anything that a crate wraps safely.
//!
//! Invariant: every pointer handed to the kernel is made in the call that uses it, from buffers
//! that the same call borrows, so none outlives its buffer. Tests: `dns` in `tests/it`, and
//! `control::background`.

mod packets;
mod thread;

pub(crate) use packets::{Batch, tell_destination};
pub(crate) use thread::give_way;
