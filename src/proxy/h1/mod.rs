//! HTTP/1.1 on both sides, by hyper's connection-level API.
//!
//! For: bytes on a socket to our own heads and bodies, and back. Not for: deciding anything, or
//! pooling. No type of hyper's leaves this folder, so that another codec can take its place.
//!
//! ```text
//! client socket ─> server ──RequestHead, Body──> service ──> client ─> origin socket
//!                    <─────ResponseHead, Body──────           (Line, Wire)
//!                          convert, both ways
//! ```
//!
//! On 101 a connection leaves this folder, at both ends, as the socket it was.
//!
//! Invariants: a [`client::Line`] closes its socket before it lets go of the permit that rides
//! with it; a body is read only when somebody asks for its next chunk. A crash leaves nothing
//! behind. Tests: `proxy` in `tests/it`.

pub(super) mod client;
pub(super) mod convert;
mod patience;
pub(super) mod server;
pub(super) mod wire;
