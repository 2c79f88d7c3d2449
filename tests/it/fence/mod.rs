//! The fence at the origin: what requests tell it, how it can believe that, and what it refuses.
//!
//! `told` has what arrives at origins, `keys` the signatures and the rotation of their keys,
//! `role` the answer to "may I write?" at rest and through flips, `origins` the snippets that
//! `docs/fence.md` gives to nginx, Apache and PHP, each run by the real program.

mod keys;
mod origins;
mod role;
mod told;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::daemon::Place;
use crate::support::unprivileged::set_mode;

/// Two keys, as `openssl rand -hex 32` makes them.
const KEY_A: &str = "6f1ed002ab5595859014ebf0951522d96f1ed002ab5595859014ebf0951522d9";
const KEY_B: &str = "b2d1c0a98f7e6d5c4b3a291807f6e5d4b2d1c0a98f7e6d5c4b3a291807f6e5d4";

/// Writes a key beside the table.
fn put_key(place: &Place, name: &str, key: &str) {
    let file = place.file().with_file_name(name);
    fs::write(&file, format!("{key}\n")).unwrap();
    set_mode("600", &file);
}

/// Has the running daemon sign by keys, `keys:` as it is written.
fn sign_by(place: &Place, keys: &str) {
    let generation = place.generation();
    let mut text = place.text();
    if let Some(at) = text.find("fence:") {
        let end = at + text[at..].find('\n').unwrap() + 1;
        text.replace_range(at..end, "");
    }
    place.replace(&text.replace("sites:\n", &format!("fence: {{keys: {keys}}}\nsites:\n")));
    place.until_generation(generation + 1);
}

/// A signature taken apart, as an origin does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key: String,
    at_s: u64,
    mac: String,
}

fn taken_apart(signature: &str) -> Signature {
    let parts: Vec<_> = signature.split('.').collect();
    let [key, at_s, mac] = parts[..] else {
        panic!("{signature:?} has not three parts");
    };
    Signature {
        key: key.into(),
        at_s: at_s.parse().unwrap(),
        mac: mac.into(),
    }
}

/// What a key makes of a text, by openssl.
fn mac_by_openssl(key: &str, text: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-mac", "HMAC", "-macopt"]);
    command.arg(format!("key:{key}"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let said = child.wait_with_output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.trim().rsplit(' ').next().unwrap().to_owned()
}
