//! Every integration test, in one binary; each module is named after what it makes a claim about.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails"
)]

mod gate_loom;
mod proxy;
mod proxy_gates;
mod support;
