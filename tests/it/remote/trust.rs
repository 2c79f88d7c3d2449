//! Whom the command line believes to be the daemon, and with what certificate the daemon answers.

use std::fs;

use rcgen::date_time_ymd;

use crate::support::wait::until;
use crate::tls;

use super::{Remote, pointsman, prepare, said, write_certificate};
use crate::support::daemon::Place;

/// Keeps the certificate that is there as the one that clients believe.
fn ask(remote: &Remote, ca: &str) -> (i32, String) {
    let mut command = pointsman(&remote.place, &["status", "--url", &remote.url()]);
    let token = remote.file("read");
    command.arg("--token-file").arg(token);
    said(&command.args(["--ca", ca]).output().unwrap())
}

#[test]
fn a_daemon_with_a_certificate_that_is_not_believed_is_not_asked() {
    let other_name = Place::new();
    prepare(&other_name);
    write_certificate(&other_name, "elsewhere.example", |_| {});
    let expired = Place::new();
    prepare(&expired);
    let ip = expired.ip.to_string();
    write_certificate(&expired, &ip, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let good = Remote::start();
    let (other_name, expired) = (Remote::at(other_name), Remote::at(expired));
    fs::copy(
        expired.file("etc/tls/admin.pem"),
        good.file("somebody-else.pem"),
    )
    .unwrap();

    let asked = [
        ask(&good, "etc/tls/admin.pem"),
        ask(&good, "somebody-else.pem"),
        ask(&other_name, "etc/tls/admin.pem"),
        ask(&expired, "etc/tls/admin.pem"),
    ];

    let codes = asked.each_ref().map(|(code, _)| *code);
    assert_eq!(codes, [0, 7, 7, 7], "{asked:#?}");
    for ((_, words), part) in asked[1..].iter().zip(["Issuer", "name", "xpired"]) {
        assert!(
            words.contains(part) && words.contains("--ca"),
            "{part}: {words}"
        );
    }
    for remote in [&good, &other_name, &expired] {
        until("the broken handshake is counted", || {
            let metric = "pointsman_admin_refused_total{reason=\"handshake\"}";
            (remote.place.metric(metric)? >= 1.0).then_some(())
        });
    }
}

#[test]
fn a_renewed_certificate_answers_without_a_restart_and_its_end_is_in_the_metrics() {
    let remote = Remote::start();
    let metric = "pointsman_cert_expiry_timestamp_seconds{cert=\"admin.tls\"}";
    let before = remote.place.metric(metric).unwrap();

    let ip = remote.place.ip.to_string();
    write_certificate(&remote.place, &ip, |params| {
        params.not_after = date_time_ymd(2090, 1, 1);
    });

    until("the new one is believed", || {
        (ask(&remote, "etc/tls/admin.pem").0 == 0).then_some(())
    });
    assert_ne!(remote.place.metric(metric), Some(before));
}

#[test]
fn the_certificate_of_the_admin_listener_answers_there_and_nowhere_else() {
    let place = Place::new();
    prepare(&place);
    tls::listen(&place);
    let remote = Remote::at(place);
    let site = fs::read(tls::certs(&remote.place).join("site.pem")).unwrap();
    fs::copy(
        remote.file("etc/tls/admin.pem"),
        tls::certs(&remote.place).join("admin.ca"),
    )
    .unwrap();

    let users = tls::curl(&remote.place, "site.pem", tls::HOST, &[]).0;
    // An address is no name that is asked for (RFC 6066 §3), so the default answers.
    let ip = remote.place.ip.to_string();
    let nobody = tls::curl(&remote.place, "admin.ca", &ip, &[]).0;

    assert!(users.starts_with("200"), "{users}");
    assert!(nobody.starts_with("000"), "{nobody}");
    fs::write(remote.file("site.pem"), site).unwrap();
    assert_eq!(ask(&remote, "etc/tls/admin.pem").0, 0);
    assert_eq!(ask(&remote, "site.pem").0, 7);
}

#[test]
fn without_one_of_its_own_the_listener_answers_with_one_of_the_folder_or_does_not_start() {
    let place = Place::new();
    prepare(&place);
    place.sed("/tls: {cert/d");
    let mut refused = place.spawn("run", &[]);
    assert_eq!(refused.wait(), Some(2), "{}", refused.said());
    refused.until_said("listen.admin_tls: no certificate can be used");
    let (code, check) = said(
        &pointsman(&place, &["check", "etc/routes.yaml"])
            .output()
            .unwrap(),
    );
    assert!(
        code == 0 && check.contains("listen.admin_tls: no certificate"),
        "{check}"
    );

    fs::rename(place.path().join("etc/tls"), place.path().join("etc/certs")).unwrap();
    let remote = Remote::at(place);

    assert_eq!(ask(&remote, "etc/certs/admin.pem").0, 0);
}
