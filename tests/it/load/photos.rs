//! Clients that send photos: bodies of 1 MB, far more than a socket holds.

use std::io::{Result, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::support::client::{Answer, Client};
use crate::support::origin::{Seen, pattern};

use super::tally::Asked;
use super::{HOST, Load};

const PHOTO_BYTES: usize = 1_000_000;

/// Where photos are sent to: the origin answers with their length and the sum of their bytes.
const PATH: &str = "/echo";

/// The field that tells one photo from another.
const ID: &str = "x-photo";

/// How long a client takes to pick the next photo.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn client(load: &Load, number: usize) {
    let photo: Arc<[u8]> = pattern(PHOTO_BYTES).into();
    let sum: u64 = photo.iter().map(|&byte| u64::from(byte)).sum();
    let receipt = format!("{PHOTO_BYTES} {sum}");
    let mut connection = Client::connect(load.http);
    for turn in 0.. {
        if load.is_over() {
            return;
        }
        let id = format!("photo-{number}-{turn}");
        let asked = Asked::for_id(Some(&id));
        let is_last = match send(&mut connection, &id, &photo) {
            Ok(answer) => {
                if answer.status == 200 && answer.text() != receipt {
                    load.tally.failed(format!("{id}: {}", answer.text()));
                }
                load.answered(asked, &answer);
                answer.status != 200 || answer.header("connection") == "close"
            }
            Err(error) => {
                load.tally.failed(format!("{id}: {error}"));
                true
            }
        };
        if is_last {
            connection = Client::connect(load.http);
        }
        std::thread::sleep(PAUSE);
    }
}

fn send(connection: &mut Client, id: &str, photo: &[u8]) -> Result<Answer> {
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\n{ID}: {id}\r\nContent-Length: {}\r\n\r\n",
        photo.len()
    );
    connection.stream.write_all(head.as_bytes())?;
    // Who is refused in the middle of a body is told so before the connection is closed.
    let _ = connection.stream.write_all(photo);
    connection.answer("POST")
}

/// The ids of the photos that came whole to a side.
pub(super) fn kept(seen: &[Seen]) -> Vec<String> {
    let photos = seen
        .iter()
        .filter(|seen| seen.path == PATH && seen.ended.is_some());
    photos.map(|seen| seen.header(ID)).collect()
}
