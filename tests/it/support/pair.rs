//! A daemon with two sites, each between two recording origins.

use std::fs;

use serde_json::Value;

use super::daemon::{Daemon, Place};
use super::origin::Origin;
use super::wait::until;

/// The host of `ispot`.
pub(crate) const ISPOT: &str = "www.ispot.example";
/// The host of `megalab`.
pub(crate) const MEGALAB: &str = "www.evolutionmegalab.example";

/// A running daemon with the sites `ispot` and `megalab`, both with `during: hold`.
pub(crate) struct Pair {
    pub(crate) place: Place,
    pub(crate) ispot: Sides,
    pub(crate) megalab: Sides,
    pub(crate) daemon: Daemon,
}

/// The two origins of a site.
pub(crate) struct Sides {
    pub(crate) live: Origin,
    pub(crate) backup: Origin,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        fs::write(place.file(), table(&place)).unwrap();
        let origin = |port: u16, side| Origin::start(&format!("{}:{port}", place.ip), side);
        let sides = |first| Sides {
            live: origin(first, "live"),
            backup: origin(first + 1, "backup"),
        };
        let (ispot, megalab) = (sides(9101), sides(9103));
        let daemon = place.start();
        Self {
            place,
            ispot,
            megalab,
            daemon,
        }
    }

    /// Both sites as the group `web`.
    pub(crate) fn grouped() -> Self {
        let pair = Self::new();
        let generation = pair.place.generation();
        let text = pair.place.text() + "groups: {web: [ispot, megalab]}\n";
        pair.place.replace(&text);
        pair.place.until_generation(generation + 1);
        pair
    }

    /// Runs `pointsman flip` to its end; its exit code and all that it said.
    pub(crate) fn flip(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let done = self
            .place
            .pointsman(&[&["flip", "--yes"], arguments].concat());
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// The active sides and the epochs of both sites, in one value of the status.
    pub(crate) fn positions(&self) -> [(String, u64); 2] {
        let status = self.place.get("/api/v1/status", &[]).body;
        [0, 1].map(|at| {
            let site = &status["sites"][at];
            let active = site["active"].as_str().unwrap_or("?").to_owned();
            (active, site["epoch"].as_u64().unwrap())
        })
    }

    /// The status of a site; null when there is none of that name.
    pub(crate) fn site(&self, name: &str) -> Value {
        let status = until("a status", || self.place.status_json());
        let sites = status["sites"].as_array().unwrap();
        let found = sites.iter().find(|site| site["name"] == name);
        found.cloned().unwrap_or_default()
    }
}

/// The table as it is at first.
fn table(place: &Place) -> String {
    let (ip, state) = (place.ip, place.state());
    let state = state.display();
    let mut text = format!(
        "version: 1\nlisten:\n  http: [{ip}:8080]\n  dns: [{ip}:8053]\n  admin: {ip}:9901\n\
         state: {state}\ndns:\n  addresses: [{ip}]\n  zones: {{ispot.example: {{}}}}\nsites:\n"
    );
    for (name, host, port) in [("ispot", ISPOT, 9101), ("megalab", MEGALAB, 9103)] {
        let other = port + 1;
        text += &format!(
            "  {name}:\n    hosts: [{host}]\n    active: live  # {name}\n    sides:\n      \
             live: {{web: [http://{ip}:{port}]}}\n      \
             backup: {{web: [http://{ip}:{other}]}}\n    \
             storage: shared\n    flip: {{during: hold, hold: {{for: 25s, requests: 10}}}}\n    \
             preflight: {{every: 1h, timeout: 2s, tries: 1, checks: [{{name: {name}, get: /{name}, \
             status: 200}}]}}\n"
        );
    }
    text
}
