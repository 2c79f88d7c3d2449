//! HTTP/2 from clients, by hyper's connection-level API.
//!
//! For: streams of a connection to our own heads and bodies, and back. Not for: origins, which are
//! spoken to in HTTP/1.1, or deciding anything: every stream goes through the same service and the
//! same gates as a request of HTTP/1.1. No type of hyper's leaves this folder.
//!
//! ```text
//! client connection ─> server ──(a task per stream) RequestHead, Body──> service
//!                        │ <──────────────────── ResponseHead, Body ───────
//!           meter, patience (how much, how long)    convert, both ways
//! ```
//!
//! Invariants: a connection has at most so many streams, and so many bytes waiting on each; a
//! client that takes or sends nothing for too long, resets more than it lets be answered, or sends
//! much that carries nothing, loses its connection; a stream that is reset ends its exchange with
//! the origin. A crash leaves nothing behind. Tests: `h2` in `tests/it`.

mod convert;
mod meter;
mod patience;
pub(super) mod server;
