//! Sessions of TLS that are resumed, by openssl, which offers them to whatever name it is told.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::wait::until;
use crate::tls::{self, certs};

const HOSTS: [&str; 2] = ["a.ispot.example", "b.ispot.example"];

/// What a connection was like: of an old session or not, whose certificate, and the answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    is_resumed: bool,
    subject: String,
    status: String,
}

/// Asks for a host, with a session of before or none, and keeps the session.
fn ask(address: &str, version: &str, host: &str, old: Option<&Path>, new: &Path) -> Seen {
    let mut openssl = Command::new("/usr/bin/openssl");
    openssl.args(["s_client", version, "-ign_eof", "-connect", address]);
    openssl.args(["-servername", host, "-sess_out"]).arg(new);
    if let Some(old) = old {
        openssl.arg("-sess_in").arg(old);
    }
    let piped = openssl.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    // A handshake that failed is seen by what is not said.
    let _ = input.write_all(request.as_bytes());
    let done = child.wait_with_output().unwrap();
    drop(input);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let after = |begins: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(begins));
        line.unwrap_or_default().to_owned()
    };
    Seen {
        is_resumed: said.lines().any(|line| line.starts_with("Reused, ")),
        subject: after("subject=CN = "),
        status: after("HTTP/1.1 "),
    }
}

/// A certificate for a host, with a subject that tells it from others.
fn install(folder: &Path, host: &str, subject: &str) {
    let mut params = rcgen::CertificateParams::new(vec![host.into()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = rcgen::DnType::CommonName;
    params.distinguished_name.push(name, subject);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let path = |end: &str| folder.join(format!("{host}.{end}"));
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(path("pem"), certificate).unwrap();
}

#[test]
fn a_session_is_resumed_for_its_own_name_only_and_outlives_the_renewal_of_its_certificate() {
    let (place, _origins, _daemon) = tls::serve("");
    place.edit(&[("[www.ispot.example]", &format!("[{}]", HOSTS.join(", ")))]);
    for host in HOSTS {
        install(&certs(&place), host, host);
    }
    let address = format!("{}:8443", place.ip);
    let file = |name: &str| place.path().join(name);
    let seen = |is_resumed, subject: &str| Seen {
        is_resumed,
        subject: subject.into(),
        status: "200 OK".into(),
    };
    let [a, b] = HOSTS;
    until("both certificates are there", || {
        let get = |host| ask(&address, "-tls1_3", host, None, &file("first"));
        (get(a) == seen(false, a) && get(b) == seen(false, b)).then_some(())
    });

    let versions = ["-tls1_3", "-tls1_2"];
    for version in versions {
        let ask = |host, old: Option<&str>, new: &str| {
            let old = old.map(file);
            ask(&address, version, host, old.as_deref(), &file(new))
        };
        assert_eq!(ask(a, None, version), seen(false, a), "{version}");
        assert_eq!(ask(a, Some(version), "again"), seen(true, a), "{version}");
        assert_eq!(ask(b, Some(version), "other"), seen(false, b), "{version}");
    }

    install(&certs(&place), a, "renewed");
    until("the new one answers", || {
        let get = ask(&address, "-tls1_3", a, None, &file("fresh"));
        (get == seen(false, "renewed")).then_some(())
    });
    for version in versions {
        let old = file(version);
        let got = ask(&address, version, a, Some(&old), &file("last"));
        assert!(
            got.is_resumed && got.status == "200 OK",
            "{version} {got:?}"
        );
    }
}
