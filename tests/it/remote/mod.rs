//! The API from another host: who is let in, as whom, and for what.
//!
//! A real daemon with a TLS listener, asked by the real command line and by curl.

mod cli;
mod doors;
mod guard;
mod trust;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rcgen::{CertificateParams, DnType, KeyPair};

use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;

/// A daemon that other hosts may ask, with a token of each scope.
struct Remote {
    place: Place,
    daemon: Daemon,
    _origins: [Origin; 2],
}

const SCOPES: [&str; 3] = ["read", "guard", "operate"];

impl Remote {
    fn start() -> Self {
        let place = Place::new();
        prepare(&place);
        Self::at(place)
    }

    fn at(place: Place) -> Self {
        let origins = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
        let daemon = place.start();
        Self {
            place,
            daemon,
            _origins: origins,
        }
    }

    fn url(&self) -> String {
        format!("https://{}:9902", self.place.ip)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn secret(&self, scope: &str) -> String {
        fs::read_to_string(self.file(scope)).unwrap().trim().into()
    }

    /// A verb that has yet to be run, as on another host: with the token of a scope.
    fn command(&self, token: &str, verb: &[&str]) -> Command {
        let mut command = pointsman(&self.place, verb);
        command
            .args(["--url", &self.url(), "--token-file"])
            .arg(self.file(token))
            .arg("--ca")
            .arg(self.file("etc/tls/admin.pem"));
        command
    }

    /// Runs a verb; the exit code and all that it says.
    fn run(&self, token: &str, verb: &[&str]) -> (i32, String) {
        said(&self.command(token, verb).output().unwrap())
    }

    /// Asks by curl; the status, and the head and the body.
    fn curl(&self, path: &str, more: &[&str]) -> (u16, String) {
        let url = format!("{}{path}", self.url());
        let ca = self.file("etc/tls/admin.pem");
        let done = Command::new("curl")
            .args(["-s", "-i", "-m", "20", "-w", "\n%{http_code}", "--cacert"])
            .arg(ca)
            .args(more)
            .arg(url)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (code.parse().unwrap_or(0), body.into())
    }

    /// Asks by curl with a secret.
    fn bearer(&self, secret: &str, path: &str, more: &[&str]) -> (u16, String) {
        let header = format!("Authorization: Bearer {secret}");
        self.curl(path, &[&["-H", &header], more].concat())
    }
}

/// A verb without a terminal, and without what the environment of the test may say.
fn pointsman(place: &Place, verb: &[&str]) -> Command {
    let mut command = Command::new(POINTSMAN);
    for variable in ["URL", "TOKEN_FILE", "CA", "SOCKET"] {
        command.env_remove(format!("POINTSMAN_{variable}"));
    }
    command
        .args(verb)
        .current_dir(place.path())
        .stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

/// Writes the table, the certificate and the tokens.
fn prepare(place: &Place) {
    place.write(&OneSite::default());
    write_certificate(place, &place.ip.to_string(), |_| {});
    let lines: Vec<_> = SCOPES
        .iter()
        .map(|scope| token(place, scope, scope))
        .collect();
    let admin = format!("  admin: {}:9901\n", place.ip);
    let with_tls = format!("{admin}  admin_tls: [{}:9902]\n", place.ip);
    let text = place.text().replace(&admin, &with_tls);
    let tls = "tls: {cert: tls/admin.pem, key: tls/admin.key.pem}";
    let tokens = lines.concat();
    place.replace(&format!("{text}admin:\n  {tls}\n  tokens:\n{tokens}"));
}

/// Makes a token of a scope in a file of the same name; the line for the table.
fn token(place: &Place, name: &str, scope: &str) -> String {
    let made = pointsman(place, &["token", name, "--scope", scope, "--out", name]);
    let (code, line) = said(&{ made }.output().unwrap());
    assert_eq!(code, 0, "{line}");
    format!("    {line}")
}

/// Puts a certificate for a host in the place of that of the admin listener; it vouches for itself.
fn write_certificate(place: &Place, host: &str, change: impl FnOnce(&mut CertificateParams)) {
    let mut params = CertificateParams::new(vec![host.into()]).unwrap();
    // Each is its own authority, and these are told apart by their names.
    let authority = format!("authority of {host}");
    params
        .distinguished_name
        .push(DnType::CommonName, authority);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = place.path().join("etc/tls");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("admin.key.pem"), key.serialize_pem()).unwrap();
    fs::write(folder.join("admin.pem"), certificate.pem()).unwrap();
}
