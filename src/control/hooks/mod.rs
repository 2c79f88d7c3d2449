//! Hooks: the commands that run at a flip.
//!
//! For: running them one after the other, each in a process group of its own, with a time limit,
//! their output bounded and kept; and for leaving no process of them behind, whatever happens. Not
//! for: what follows from their results, which `flip` decides, nor for when they run.
//!
//! ```text
//! drive ─ RunHooks ─> owner ── Work ──> runner (a thread) ──> process ──> output
//!       <─ HooksDone ─┘  ^ └─> journal     │ begins, runs, prints, ended, over
//!                        └──── Event ──────┘
//! start ─> survivors (what a killed daemon left) ─> owner (hooks that are due)
//! ```
//!
//! Invariants: a hook is in the journal before it is started; a flip goes on, or back, only when no
//! process of its hooks is left; no output blocks a hook or costs more than a fixed memory; what
//! runs after the end of a flip never changes its side, and no planned flip of the same sites
//! begins meanwhile.
//!
//! A crash leaves a row without an end, and perhaps a process: the next start ends that first, by
//! the mark in its environment or by its group, then serves, and then runs what is due. Tests:
//! `hooks` in `tests/it`, and beside the code.

mod environment;
mod heard;
mod output;
mod owner;
mod process;
mod programs;
mod runner;
mod show;
mod survivors;
mod work;

pub use programs::missing_programs;
pub use show::{HookEnded, HookStatus};

pub(super) use owner::{HookRun, phase_of};
pub(super) use programs::all_found;
pub(super) use runner::Said;
pub(super) use survivors::end_survivors;
