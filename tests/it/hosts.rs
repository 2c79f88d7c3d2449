//! Which site a host belongs to, by curl and dig, and what its users are told in which form.

use std::fs;

use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;

/// A daemon whose one site has more than one host, and more to say.
fn serve(edits: &[(&str, &str)]) -> (Place, [Origin; 2], Daemon) {
    let place = Place::new();
    place.write(&OneSite::default());
    let mut text = place.text();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::write(place.file(), text).unwrap();
    let origins = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
    let daemon = place.start();
    (place, origins, daemon)
}

const HOSTS: &str = "hosts: [www.ispot.example]";

/// Asks for a host and path as somebody who accepts this.
fn ask(place: &Place, host: &str, path: &str, accept: &str) -> Answer {
    let mut client = Client::connect(place.http().parse().unwrap());
    client.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n"
    ));
    client.answer("GET").unwrap()
}

/// What is said of the site to who accepts this: its status, its type, and the text.
fn page(place: &Place, path: &str, accept: &str) -> (u16, String, String) {
    let answer = ask(place, "www.ispot.example", path, accept);
    (answer.status, answer.header("content-type"), answer.text())
}

fn get(place: &Place, host: &str) -> (u16, String) {
    let answer = ask(place, host, "/", "*/*");
    (answer.status, answer.text())
}

#[test]
fn a_wildcard_host_is_served_and_answered_by_dns_and_shadows_nothing() {
    let wild = "hosts: [www.ispot.example, \"*.ispot.example\"]";
    let (place, _origins, _daemon) = serve(&[(HOSTS, wild)]);
    for host in ["any.ispot.example", "one.more.ispot.example"] {
        assert_eq!(get(&place, host), (200, "live".into()));
        assert_eq!(place.dig(host, "A"), place.ip.to_string(), "{host}");
    }
    assert_eq!(get(&place, "ispot.example").0, 404);
    assert_eq!(place.dig("ispot.example", "A"), "");
    assert_eq!(place.dig("db.ispot.example", "A"), "127.0.1.11");
    let (code, said) = place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!(get(&place, "any.ispot.example"), (200, "backup".into()));
}

#[test]
fn a_default_site_answers_for_hosts_of_nobody_and_comes_and_goes_by_a_reload() {
    let (place, _origins, _daemon) = serve(&[]);
    let other = "other.example";
    assert_eq!(get(&place, other).0, 404);
    place.edit(&[("sites:\n", "default_site: ispot\nsites:\n")]);
    place.until_generation(2);
    assert_eq!(get(&place, other), (200, "live".into()));
    assert_eq!(get(&place, "").0, 400, "a host is needed");
    place.edit(&[("default_site: ispot\n", "")]);
    place.until_generation(3);
    assert_eq!(get(&place, other).0, 404);
}

#[test]
fn maintenance_is_told_in_the_form_that_the_client_prefers() {
    let access = "hosts: [www.ispot.example]\n    access: maintenance\n    \
                  maintenance: {retry_after: 90s}";
    let (place, _origins, _daemon) = serve(&[(HOSTS, access)]);
    let (code, kind, text) = page(&place, "/", "application/json, */*;q=0.1");
    assert_eq!((code, kind.as_str()), (503, "application/problem+json"));
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["status"], 503);
    assert_eq!(problem["site"], "ispot");
    assert_eq!(problem["retry_after"], 90);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("Back in a moment")
    );
    let (_, kind, html) = page(&place, "/", "text/html,application/json;q=0.9");
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(html.starts_with("<!doctype html>"), "{html}");
    let (_, kind, text) = page(&place, "/", "*/*");
    assert_eq!(kind, "text/plain; charset=utf-8");
    assert!(text.ends_with("Please try again in 90 s.\n"), "{text}");
}

#[test]
fn other_errors_are_problems_too_for_who_prefers_json() {
    let (place, origins, _daemon) = serve(&[]);
    drop(origins);
    let (code, kind, text) = page(&place, "/", "application/json");
    assert_eq!((code, kind.as_str()), (502, "application/problem+json"));
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["title"], "Bad Gateway");
    assert!(
        !text.contains(&place.ip.to_string()),
        "nothing from inside: {text}"
    );
    let (code, kind, _) = page(&place, "/", "*/*");
    assert_eq!((code, kind.as_str()), (502, "text/plain; charset=utf-8"));
}

#[test]
fn a_part_of_a_site_is_in_maintenance_by_every_spelling_of_its_path() {
    let paths = "hosts: [www.ispot.example]\n    paths: {/quiz: {access: maintenance}}";
    let (place, origins, _daemon) = serve(&[(HOSTS, paths)]);
    let as_is = ["--path-as-is"];
    for path in [
        "/quiz",
        "/quiz/1",
        "//quiz",
        "/%71uiz",
        "/a/../quiz",
        "/a/%2e%2e/quiz?x",
    ] {
        assert_eq!(place.curl(path, &as_is).0, 503, "{path}");
    }
    assert_eq!(place.curl("/quizz", &as_is).0, 200);
    assert_eq!(place.curl("/a/%2E/b", &as_is).0, 200);
    let seen = origins[0].seen_at("/a/%2E/b");
    assert_eq!(seen.len(), 1, "what is forwarded is what the client wrote");
}

#[test]
fn a_page_of_the_sites_own_is_filled_in_when_it_is_shown() {
    let place = Place::new();
    fs::write(
        place.path().join("etc/page.html"),
        "<h1>{{title}}</h1> {{host}}, {{retry_after}}",
    )
    .unwrap();
    place.write(&OneSite::default());
    place.edit(&[(
        "    names: {",
        "    maintenance: {page: page.html, retry_after: 7s}\n    access: maintenance\n    names: {",
    )]);
    let _daemon = place.start();
    let (code, _, text) = page(&place, "/", "text/html");
    assert_eq!(code, 503);
    assert_eq!(text, "<h1>Back in a moment</h1> www.ispot.example, 7");
}
