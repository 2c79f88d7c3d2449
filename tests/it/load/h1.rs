//! A connection of HTTP/1.1 that is kept for as long as it may be.

use crate::support::client::Client;

use super::tally::Asked;
use super::{HOST, Load};

pub(super) fn client(load: &Load, number: usize) {
    let mut connection = Client::connect(load.http);
    for turn in 0.. {
        if load.is_over() {
            return;
        }
        let id = (turn % 4 == 0).then(|| format!("{number}-{turn}"));
        let asked = Asked::for_id(id.as_ref());
        let answer = match &id {
            Some(id) => connection.post(HOST, "/observations", id.as_bytes()),
            None => connection.get(HOST, "/size/1000"),
        };
        match answer {
            Ok(answer) => {
                // An answer of our own may have been given before the body was read.
                let is_last = answer.header("connection") == "close"
                    || (answer.status == 503 && id.is_some());
                load.answered(asked, &answer);
                if is_last {
                    connection = Client::connect(load.http);
                }
            }
            Err(error) => {
                load.tally.failed(format!("turn {turn}: {error}"));
                connection = Client::connect(load.http);
            }
        }
    }
}
