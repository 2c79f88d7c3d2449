//! Pointsman: a reverse proxy and authoritative DNS in one binary, moved by one word.

pub mod control;
pub mod probe;
pub mod proxy;
pub mod site;
pub mod switchboard;
pub mod table;
pub mod telemetry;
pub mod zone;
