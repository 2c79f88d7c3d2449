//! Clients that open a connection for every request, as scripts and health checks do.

use std::io::Result;
use std::time::Duration;

use crate::support::client::{Answer, Client};

use super::tally::Asked;
use super::{HOST, Load};

/// How long a client thinks between two requests; without it there would be little else.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) fn client(load: &Load, number: usize) {
    for turn in 0.. {
        if load.is_over() {
            return;
        }
        let id = (turn % 2 == 0).then(|| format!("fresh-{number}-{turn}"));
        let asked = Asked::for_id(id.as_ref());
        match ask(load, id.as_deref()) {
            Ok(answer) => load.answered(asked, &answer),
            Err(error) => {
                let failed = format!("new connection {number}, turn {turn}: {error}");
                load.tally.failed(failed);
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn ask(load: &Load, id: Option<&str>) -> Result<Answer> {
    let mut connection = Client::connect(load.http);
    match id {
        Some(id) => connection.post(HOST, "/observations", id.as_bytes()),
        None => connection.get(HOST, "/size/1000"),
    }
}
