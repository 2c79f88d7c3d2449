//! What the tests share: real daemons, recording origins, and waiting for conditions.

pub(crate) mod api;
pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod dns;
pub(crate) mod h2_frames;
pub(crate) mod nginx;
pub(crate) mod origin;
pub(crate) mod pair;
pub(crate) mod records;
pub(crate) mod seed;
pub(crate) mod stage;
pub(crate) mod table;
pub(crate) mod teller;
pub(crate) mod terminal;
pub(crate) mod track;
pub(crate) mod unprivileged;
pub(crate) mod wait;
pub(crate) mod yaml;
