//! Every integration test, in one binary; each module is named after what it makes a claim about.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails"
)]

mod access;
mod certs;
mod checks;
mod cli;
mod copies;
mod demo;
mod deploy;
mod dns;
mod docs;
mod doubt;
mod down;
mod edits;
mod emergency;
mod fence;
mod ferret;
mod flip_counts;
mod flips;
mod freshness;
mod gate_loom;
mod groups;
mod guard;
mod h2;
mod hold;
mod hooks;
mod hosts;
mod house;
mod incident_2010;
mod increment;
mod invite;
mod kills;
mod lease;
mod linger;
mod load;
mod lost_journal;
mod metrics;
mod mistakes;
mod model;
mod past;
mod peers;
mod proxy;
mod proxy_gates;
mod quiet;
mod read_only;
mod recovery;
mod reload;
mod remote;
mod repair;
mod requests;
mod resumption;
mod rules;
mod sharing;
mod standby;
mod support;
mod systemd;
mod table;
mod tls;
mod trailers;
mod tunnels;
mod watch;
mod watching;
mod websockets;
mod words;
mod zone;
