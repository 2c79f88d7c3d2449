//! Processes of this machine: those of a command found again, and ended.
//!
//! For: hooks and guarded jobs, of which nothing may be left when they are said to be over. Not for:
//! starting them.
//!
//! ```text
//! /proc/N/stat ────> Stat ───┬─> Leader (a process, known again)
//! /proc/N/environ ─> marked ─┴─> Family (all of one command) ─> members, signal, end
//! ```
//!
//! They are those of a process group, and those with a mark in their environment, which they
//! inherit: so one that left the group is found as well, and after a crash so is one whose number
//! was not noted. The number of a group is gone by only while that of its first process cannot have
//! been given to another.
//!
//! Invariant: what is not known to be gone is not gone. A crash leaves nothing. Tests: `hooks` and
//! `guard` in `tests/it`, and in `stat`.

mod family;
mod stat;
mod wait;

pub use family::{Family, Found, end, named};
pub use stat::{Leader, can_look, group_of, is_of_another_boot, leader, still_leads};
pub use wait::{await_exit, in_words};
