//! The primitives the gate is built on; the loom test puts loom's in their place.

pub(super) use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
pub(super) use std::sync::{Arc, Mutex, MutexGuard};
