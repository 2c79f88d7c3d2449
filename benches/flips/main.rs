//! What a flip costs: `cargo bench --bench flips --profile dist`.
//!
//! First two figures of Pointsman alone ([`own`]). Then Pointsman, nginx and HAProxy from Debian move
//! the same site between the same two origins under the same load, in turns, and what their users
//! and their origins saw is printed side by side ([`contest`]). Nothing is asserted;
//! docs/performance.md keeps the results.
//!
//! `FLIPS=100` and `CLIENTS=64` in the environment change how much of it there is.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops where it fails, prints, and uses a part of what the tests share"
)]

mod clients;
mod contest;
mod counts;
mod machine;
mod origins;
mod own;
mod proxies;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod table;

fn main() {
    machine::describe();
    own::measure();
    contest::run();
    machine::tell_load("at the end");
}
