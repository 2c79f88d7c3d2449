//! The API over the unix socket, asked byte by byte.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::client::PATIENCE;
use super::daemon::Place;

/// An answer of the API.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    head: String,
    /// Null when there is no body.
    pub(crate) body: Value,
}

impl Said {
    /// The value of a header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

impl Place {
    /// Asks for a document, with header lines as they are sent.
    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Said {
        self.ask("GET", path, headers, "")
    }

    /// Asks for a flip.
    pub(crate) fn post_flip(&self, headers: &[&str], body: &str) -> Said {
        self.ask("POST", "/api/v1/flips", headers, body)
    }

    /// Sends a request to the API.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Said {
        let mut socket = UnixStream::connect(self.state().join("admin.sock")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{more}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Said {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.replace("\r\n", "\n"),
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }
}
