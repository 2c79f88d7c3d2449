//! TLS and HTTP/2, by curl: who answers, certificates that change, origins behind TLS.

use std::fs;
use std::process::Command;

use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;
use crate::support::wait::until;

/// Writes a certificate and its key where the daemon looks for them; it vouches for itself.
fn write_certificate(place: &Place, name: &str, hosts: &[&str]) {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(hosts).unwrap();
    let folder = certs(place);
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join(format!("{name}.key.pem")),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
}

pub(crate) fn certs(place: &Place) -> std::path::PathBuf {
    place.path().join("etc/certs")
}

/// Makes a place listen for TLS, with a certificate for its site.
pub(crate) fn listen(place: &Place) {
    let http = format!("  http: [{}:8080]\n", place.ip);
    let https = format!("{http}  https: [{}:8443]\n", place.ip);
    fs::write(place.file(), place.text().replace(&http, &https)).unwrap();
    write_certificate(place, "site", &["www.ispot.example"]);
}

/// A daemon that listens for TLS, with a certificate for its site.
pub(crate) fn serve(more_of_the_site: &str) -> (Place, [Origin; 2], Daemon) {
    let place = Place::new();
    place.write(&OneSite::default());
    listen(&place);
    let hosts = "    hosts: [www.ispot.example]\n";
    let text = place
        .text()
        .replace(hosts, &format!("{hosts}{more_of_the_site}"));
    fs::write(place.file(), text).unwrap();
    let origins = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
    let daemon = place.start();
    (place, origins, daemon)
}

/// Asks over TLS for a host, believing only the certificate named; what curl's `-w` says, and the body.
pub(crate) fn curl(place: &Place, cert: &str, host: &str, more: &[&str]) -> (String, String) {
    let ca = certs(place).join(cert);
    let resolve = format!("{host}:8443:{}", place.ip);
    let done = Command::new("curl")
        .args([
            "-s",
            "-m",
            "20",
            "-w",
            "\n%{http_code} %{http_version}",
            "--resolve",
            &resolve,
        ])
        .arg("--cacert")
        .arg(ca)
        .args(more)
        .arg(format!("https://{host}:8443/"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, said) = text.rsplit_once('\n').unwrap();
    (said.into(), body.into())
}

pub(crate) const HOST: &str = "www.ispot.example";

#[test]
fn http_2_and_http_1_are_spoken_over_tls_1_3_and_1_2_and_h2_without_tls() {
    let (place, _origins, _daemon) = serve("");
    for (arguments, version) in [
        (&["--http2"][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--tls-max", "1.2", "--http2"], "2"),
    ] {
        let (said, body) = curl(&place, "site.pem", HOST, arguments);
        assert_eq!(
            (said.as_str(), body.as_str()),
            (format!("200 {version}").as_str(), "live")
        );
    }
    let (code, body) = place.curl("/", &["--http2-prior-knowledge"]);
    assert_eq!((code, body.as_str()), (200, "live"));
    let (old, _) = curl(&place, "site.pem", HOST, &["--tls-max", "1.1"]);
    assert!(old.starts_with("000"), "{old}");
}

#[test]
fn a_flip_over_tls_is_confirmed_and_moves_the_site() {
    let (place, _origins, _daemon) = serve("");
    let (code, said) = place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!(curl(&place, "site.pem", HOST, &[]).1, "backup");
}

#[test]
fn requests_without_tls_are_redirected_where_the_site_says_so() {
    let (place, _origins, _daemon) = serve("    redirect: https\n");
    let (code, _) = place.curl("/observations?page=2", &["-o", "/dev/null"]);
    assert_eq!(code, 308);
    let (_, head) = place.curl("/observations?page=2", &["-I"]);
    assert!(
        head.contains("location: https://www.ispot.example"),
        "{head}"
    );
    assert!(head.contains("/observations?page=2"), "{head}");
}

#[test]
fn a_new_certificate_answers_at_once_and_a_bad_one_keeps_the_last_good() {
    let (place, _origins, _daemon) = serve("");
    let old = certs(&place).join("old.crt");
    fs::copy(certs(&place).join("site.pem"), &old).unwrap();
    write_certificate(&place, "site", &[HOST]);
    until("the new one answers", || {
        curl(&place, "site.pem", HOST, &[])
            .0
            .starts_with("200")
            .then_some(())
    });
    assert!(
        curl(&place, "old.crt", HOST, &[]).0.starts_with("000"),
        "the old one is gone"
    );

    let good = certs(&place).join("good.crt");
    fs::copy(certs(&place).join("site.pem"), &good).unwrap();
    fs::write(certs(&place).join("site.pem"), "this is no certificate").unwrap();
    let reload = "pointsman_cert_last_reload_successful{cert=\"site\"}";
    until("it is noticed", || {
        (place.metric(reload)? == 0.0).then_some(())
    });
    assert_eq!(
        curl(&place, "good.crt", HOST, &[]).1,
        "live",
        "the last good one goes on"
    );
    let shown = place.status_json().unwrap()["certs"][0].clone();
    assert!(shown["problem"].is_string(), "{shown}");
}

#[test]
fn a_host_that_the_certificate_is_not_for_is_misdirected() {
    let (place, _origins, _daemon) = serve("");
    let (said, _) = curl(&place, "site.pem", HOST, &["-H", "Host: other.example"]);
    assert!(said.starts_with("421"), "{said}");
}

#[test]
fn an_origin_behind_tls_is_served_only_when_its_certificate_is_believed() {
    let (inner, _origins, _inner_daemon) = serve("");
    let outer = Place::new();
    outer.write(&OneSite {
        checks: "[]",
        ..OneSite::default()
    });
    let text = fs::read_to_string(outer.file()).unwrap();
    fs::copy(
        certs(&inner).join("site.pem"),
        outer.path().join("etc/inner.crt"),
    )
    .unwrap();
    let line = |name: &str| {
        format!(
            "{{web: [https://{}:8443], tls: {{ca: inner.crt, server_name: {name}}}, names:",
            inner.ip
        )
    };
    let plain = |side| format!("{{web: [http://{}], names:", outer.origin(side));
    let text = text.replace(&plain("live"), &line(HOST));
    fs::write(outer.file(), &text).unwrap();
    let _daemon = outer.start();
    assert_eq!(outer.curl("/", &[]), (200, "live".into()));
    fs::write(
        outer.file(),
        text.replace(&line(HOST), &line("other.example")),
    )
    .unwrap();
    until("another name is not believed", || {
        (outer.curl("/", &[]).0 == 502).then_some(())
    });
}
