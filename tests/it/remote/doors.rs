//! What the listeners let whom do.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::wait::until;

use super::{Remote, SCOPES, pointsman, said};

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];
const FLIP: [&str; 2] = ["-d", r#"{"moves": [{"site": "ispot", "to": "backup"}]}"#];

#[test]
fn each_scope_may_do_what_it_is_for_and_no_more() {
    let remote = Remote::start();
    let change = ["access", "ispot", "read-only", "--yes"];
    let flip = ["flip", "ispot", "--yes", "--reason", "disk failure"];
    let undo = ["undo", "--yes"];

    for (scope, looks, history) in [("read", 0, 0), ("guard", 0, 3)] {
        let codes = [&["status"][..], &["history"], &change, &flip, &undo];
        let codes = codes.map(|verb| remote.run(scope, verb));
        let all: Vec<_> = codes.iter().map(|(code, _)| *code).collect();
        assert_eq!(all[..2], [looks, history], "{scope}: {codes:?}");
        assert_eq!(all[2..4], [3, 3], "{scope}: {codes:?}");
        assert_ne!(all[4], 0, "{scope}: {codes:?}");
        assert!(
            codes[3].1.contains("scope `operate`"),
            "{scope}: {}",
            codes[3].1
        );
    }
    assert_eq!(remote.place.site()["active"], "live");
    assert_eq!(remote.place.site()["access"], "open");

    let done = [&change[..], &flip].map(|verb| remote.run("operate", verb));
    assert_eq!(done.each_ref().map(|(code, _)| *code), [0, 0], "{done:?}");
    assert_eq!(remote.place.site()["active"], "backup");
    assert_eq!(remote.place.site()["access"], "read-only");
}

#[test]
fn the_journal_says_that_it_was_the_token_also_after_a_restart() {
    let mut remote = Remote::start();
    remote.run("operate", &["access", "ispot", "read-only", "--yes"]);
    let flip = ["flip", "ispot", "--yes", "--reason", "disk failure"];
    assert_eq!(remote.run("operate", &flip).0, 0);

    remote.daemon.signal("TERM");
    remote.daemon.wait();
    remote.daemon = remote.place.start();

    let who = serde_json::json!({"name": "operate", "via": "token"});
    let past = remote.place.get("/api/v1/history", &[]).body;
    assert_eq!(past[0]["who"], who, "{past}");
    let site = remote.place.site();
    assert_eq!(site["access_said"]["who"], who, "{site}");
    let history = remote.run("read", &["history"]).1;
    assert!(history.contains("operate"), "{history}");
}

#[test]
fn who_has_no_token_is_told_by_tls_only_that_the_daemon_is_alive() {
    let remote = Remote::start();
    let wrong = format!("pm_{}", "A".repeat(43));
    let (alive, head) = remote.curl("/-/healthy", &[]);
    let mut refused = Vec::new();

    for path in ["/", "/metrics", "/api/v1/status", "/nosuch", "/-/ready"] {
        refused.push(remote.curl(path, &[]));
    }
    refused.push(remote.curl("/api/v1/flips", &[JSON, FLIP].concat()));
    for header in [
        "Basic cG06cG0=",
        "Bearer",
        "Bearer ",
        "pm_nothing",
        &format!("Bearer {wrong}"),
    ] {
        let header = format!("Authorization: {header}");
        refused.push(remote.curl("/api/v1/status", &["-H", &header]));
    }

    assert_eq!(alive, 200, "{head}");
    for (code, said) in &refused {
        assert_eq!(*code, 401, "{said}");
        let challenge = "www-authenticate: bearer realm=\"pointsman\"";
        assert!(said.to_lowercase().contains(challenge), "{said}");
        assert!(
            !said.contains("ispot") && !said.contains(&wrong[3..]),
            "{said}"
        );
    }
    assert_eq!(remote.place.flips(), 0);
    let metric = "pointsman_admin_refused_total{reason=\"missing\"}";
    assert!(remote.place.metric(metric).unwrap() >= 6.0);
}

#[test]
fn plain_tcp_reads_as_before_and_changes_only_with_a_token() {
    let remote = Remote::start();
    let url = |path: &str| format!("http://{}:9901{path}", remote.place.ip);
    let curl = |path: &str, more: &[&str]| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
        said(&curl.args(more).arg(url(path)).output().unwrap()).1
    };
    let bearer = |scope: &str| format!("Authorization: Bearer {}", remote.secret(scope));
    let flip = |header: &[&str]| curl("/api/v1/flips", &[&JSON[..], &FLIP, header].concat());

    assert_eq!(curl("/api/v1/status", &[]), "200");
    assert_eq!(curl("/api/v1/status", &["-I"]), "200");
    assert_eq!(curl("/nosuch", &[]), "404");
    assert_eq!(
        curl("/api/v1/status", &["-H", "Authorization: Bearer x"]),
        "401"
    );
    assert_eq!(flip(&[]), "401");
    assert_eq!(flip(&["-H", &bearer("read")]), "403");
    assert_eq!(flip(&["-H", &bearer("guard")]), "403");
    assert_eq!(remote.place.flips(), 0);
    assert_eq!(flip(&["-H", &bearer("operate")]), "202");
}

#[test]
fn a_token_that_is_taken_out_opens_nothing_more_and_ends_what_it_follows() {
    let remote = Remote::start();
    let mut watch = Daemon::spawn(&mut remote.command("read", &["watch", "--plain"]));
    watch.until_said("Watching");
    remote.run("operate", &["access", "ispot", "read-only", "--yes"]);
    watch.until_said("ispot is read-only");

    remote.place.sed("/name: read,/d");
    until("the token is gone", || {
        (remote.run("read", &["status"]).0 == 3).then_some(())
    });

    remote.run("operate", &["access", "ispot", "maintenance", "--yes"]);
    assert_eq!(watch.wait(), Some(3), "{}", watch.said());
    assert!(!watch.said().contains("maintenance"), "{}", watch.said());
    assert!(watch.said().contains("pointsman token"), "{}", watch.said());
    assert_eq!(remote.run("guard", &["status"]).0, 0);
}

#[test]
fn an_address_with_many_wrong_tokens_waits_and_nobody_else() {
    let remote = Remote::start();
    let codes: Vec<_> = (0..12)
        .map(|_| remote.bearer("pm_wrong", "/api/v1/status", &[]).0)
        .collect();

    let (code, limited) = remote.bearer(&remote.secret("read"), "/api/v1/status", &[]);

    assert_eq!(codes[..10], [401; 10]);
    assert_eq!(codes[10..], [429; 2]);
    assert_eq!(code, 429, "{limited}");
    assert!(
        limited.to_lowercase().contains("retry-after: "),
        "{limited}"
    );
    let (exit, words) = remote.run("operate", &["status"]);
    assert_eq!(exit, 3, "{words}");
    assert_eq!(remote.curl("/-/healthy", &[]).0, 200);
    let elsewhere = ["--interface", "127.0.0.9"];
    let (elsewhere, said) = remote.bearer(&remote.secret("read"), "/api/v1/status", &elsewhere);
    assert_eq!(elsewhere, 200, "{said}");
    assert!(remote.place.status_json().is_some());
    let metric = "pointsman_admin_refused_total{reason=\"limited\"}";
    assert!(remote.place.metric(metric).unwrap() >= 3.0);
}

#[test]
fn slow_handshakes_are_dropped_and_disturb_nobody_on_the_machine() {
    let remote = Remote::start();
    let address = SocketAddr::new(remote.place.ip.into(), 9902);
    let begun = Instant::now();
    // More than have a place.
    let silent: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();

    assert!(remote.place.status_json().is_some());
    assert_eq!(remote.place.curl("/", &[]).0, 200);
    assert_eq!(remote.place.flip("backup").0, 0);
    assert!(begun.elapsed() < Duration::from_secs(9), "too slow to tell");

    until("another host is let in", || {
        (remote.run("read", &["status"]).0 == 0).then_some(())
    });
    let metric = "pointsman_admin_refused_total{reason=\"handshake\"}";
    assert!(remote.place.metric(metric).unwrap() >= 100.0);
    drop(silent);
}

#[test]
fn no_secret_is_shown_anywhere() {
    let remote = Remote::start();
    let mut shown = String::new();
    for scope in SCOPES {
        for verb in [
            &["status", "-o", "json"][..],
            &["history", "-o", "json"],
            &["flip", "ispot", "--to", "nosuch", "--yes"],
            &["access", "ispot", "open", "--yes"],
        ] {
            shown += &remote.run(scope, verb).1;
        }
        shown += &remote.bearer(&remote.secret(scope), "/metrics", &[]).1;
        // A secret where its digest belongs, and one with a letter too many.
        let secret = remote.secret(scope);
        shown += &remote.bearer(&format!("{secret}x"), "/", &[]).1;
        remote.place.sed(&format!(
            "s/{scope}, sha256: [0-9a-f]*/{scope}, sha256: {secret}/"
        ));
        remote.place.until_not_taken("no SHA-256");
        for output in ["table", "json"] {
            let check = &["check", "-o", output, "etc/routes.yaml"];
            let check = pointsman(&remote.place, check).output();
            shown += &said(&check.unwrap()).1;
        }
    }
    shown += &remote.daemon.said();
    shown += &remote.place.status_json().unwrap().to_string();

    assert!(shown.contains("never the secret"), "{shown}");
    for scope in SCOPES {
        assert!(!shown.contains(&remote.secret(scope)[3..]), "{shown}");
    }
}
