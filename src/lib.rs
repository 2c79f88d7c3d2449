//! Pointsman: a reverse proxy and authoritative DNS in one binary, moved by one word.

pub mod admin;
pub mod app;
pub mod certs;
pub mod cli;
pub mod control;
pub mod dns;
pub mod flip;
pub mod journal;
pub mod probe;
pub mod processes;
pub mod proxy;
pub mod site;
pub mod switchboard;
mod sys;
pub mod table;
pub mod telemetry;
pub mod zone;
