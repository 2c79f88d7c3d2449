//! Pointsman: a reverse proxy and authoritative DNS in one binary, moved by one word.

pub mod control;
pub mod dns;
pub mod site;
pub mod switchboard;
mod sys;
pub mod table;
pub mod telemetry;
pub mod zone;
