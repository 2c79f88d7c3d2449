//! Checks: what each kind finds, shown all the time for both sides, and what a flip makes of it.

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::teller::Teller;
use crate::support::wait::until;

/// A daemon between two origins that say what they are told.
struct Checked {
    place: Place,
    live: Teller,
    backup: Teller,
    daemon: Daemon,
}

/// Begins with these checks, in which `IP` is the address of the place.
fn checked(every: &'static str, checks: &str) -> Checked {
    let place = Place::new();
    let site = OneSite {
        checks: "CHECKS",
        every,
        ..OneSite::default()
    };
    place.write(&site);
    let ip = place.ip.to_string();
    place.edit(&[
        ("CHECKS", &checks.replace('\n', " ")),
        ("127.0.1.11", "IP"),
        ("IP", &ip),
    ]);
    let teller = |side| {
        let teller = Teller::start(&place.origin(side));
        teller.says("/", "200 OK", &format!("X-Side: {side}\r\n"), side);
        teller.says("/quiz", "200 OK", "", "Question 1 of 3");
        teller
    };
    let (live, backup) = (teller("live"), teller("backup"));
    let daemon = place.start();
    Checked {
        place,
        live,
        backup,
        daemon,
    }
}

impl Checked {
    /// What a check found last on a side, once it has found something that is so.
    fn found(&self, side: &str, check: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{side} {check} is as it should be"), || {
            let site = self.place.status_json()?["sites"][0].clone();
            let of = |list: &Value, key: &str, name: &str| {
                let mut items = list.as_array()?.iter();
                items.find(|item| item[key] == name).cloned()
            };
            let found = of(&of(&site["checks"], "side", side)?["checks"], "name", check)?;
            is_so(&found).then_some(found)
        })
    }

    fn until_ok(&self, side: &str, check: &str) -> Value {
        self.found(side, check, |found| found["ok"] == true)
    }

    /// The words of a check that fails.
    fn until_red(&self, side: &str, check: &str) -> String {
        let found = self.found(side, check, |found| found["ok"] == false);
        found["words"].as_str().unwrap().into()
    }

    fn flip(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let all = [&["flip", "ispot", "--to", "backup", "--yes"], arguments].concat();
        let done = self.place.pointsman(&all);
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (done.status.code(), said)
    }
}

const EVERY_KIND: &str = r#"[
  {name: status, get: /old, status: [204, 3xx]},
  {name: head, head: /},
  {name: field, get: /, header: {x-side: live, content-length: {matches: "^[0-9]$"}}},
  {name: body, get: /, body: live},
  {name: pattern, get: /quiz, body_regex: "^Question [0-9]+ of [1-9]"},
  {name: json, get: /health, json: {pointer: /db/state, equals: up}},
  {name: port, tcp: "db:9101"},
  {name: origin, tcp: origin},
  {name: name, dns: {name: db.ispot.example, type: A, server: "IP:8053", answer: IP}},
  {name: no name, dns: {name: no.ispot.example, type: A, server: "IP:8053"}},
  {name: program, command: [sh, -c, "test $POINTSMAN_SIDE = live || { echo no $POINTSMAN_SITE; exit 7; }"]},
  {name: slow, get: /slow, timeout: 300ms, tries: 2}]"#;

#[test]
fn each_kind_of_check_passes_on_one_side_and_says_on_the_other_what_is_wrong() {
    let checked = checked("200ms", EVERY_KIND);
    let (live, backup) = (&checked.live, &checked.backup);
    live.says("/old", "301 Moved", "Location: /new\r\n", "");
    backup.says("/old", "500 Oh", "", "");
    live.says("/health", "200 OK", "", r#"{"db": {"state": "up"}}"#);
    backup.says("/health", "200 OK", "", r#"{"db": {"state": "down"}}"#);
    backup.says("/quiz", "200 OK", "", "no question");
    live.says("/slow", "200 OK", "", "");
    backup.is_silent_at("/slow");

    let passes = "status head field body pattern json port origin name program slow";
    for check in passes.split(' ') {
        checked.until_ok("live", check);
    }
    let ip = checked.place.ip;
    for (check, words) in [
        ("status", "answered 500 instead of 204 or 3xx"),
        ("field", r#"the field x-side is "backup" instead of "live""#),
        ("body", r#"the body does not hold "live""#),
        (
            "pattern",
            "the body does not match ^Question [0-9]+ of [1-9]",
        ),
        ("json", r#"/db/state is "down" instead of "up""#),
        ("port", "connection refused"),
        ("no name", "answered Non-Existent Domain"),
        ("program", r#"ended with exit status 7: "no ispot""#),
        ("slow", "no answer within 300ms"),
    ] {
        checked.found("backup", check, |found| found["words"] == words);
    }
    for check in ["head", "origin", "name"] {
        checked.until_ok("backup", check);
    }
    assert!(backup.asked("/slow") >= 2, "as often as it says itself");
    let found = checked.until_ok("live", "name");
    assert!(found["since"].is_string() && found["last_run"].is_string());

    let named = checked.place.pointsman(&["status", "ispot"]);
    let text = String::from_utf8_lossy(&named.stdout).into_owned();
    for part in [
        "Checks of ispot live (active):\n  status: ok, for ",
        "Checks of ispot backup (standby):\n  status: answered 500 instead of 204 or 3xx, for ",
        "backup: slow: no answer within 300ms, for ",
        "a check fails",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let none = checked.place.pointsman(&["status", "ipsot"]);
    assert_eq!(none.status.code(), Some(2));
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(said.contains("the table has: ispot"), "{said}");
    let page = std::process::Command::new("curl")
        .args(["-s", "-m", "20", &format!("http://{ip}:9901/")])
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(
        page.contains("Check of backup: status: answered 500"),
        "{page}"
    );
}

#[test]
fn a_check_is_news_when_it_begins_to_fail_and_when_it_passes_again_and_is_a_metric() {
    let checked = checked("200ms", "[{name: home, get: /}, {name: quiz, get: /quiz}]");
    let quiz = |side| {
        let line = format!("pointsman_check_ok{{check=\"quiz\",side=\"{side}\",site=\"ispot\"}}");
        checked.place.metric(&line)
    };
    let until_metric = |side, value| {
        until("the metric", || (quiz(side) == Some(value)).then_some(()));
    };
    until_metric("live", 1.0);
    until_metric("backup", 1.0);
    assert!(
        !checked.daemon.said().contains("a check"),
        "nothing is news"
    );

    checked.backup.says("/quiz", "500 Oh", "", "");
    until_metric("backup", 0.0);
    assert_eq!(quiz("live"), Some(1.0));
    let asked = checked.backup.asked("/quiz");
    until("it is asked again", || {
        (checked.backup.asked("/quiz") > asked + 2).then_some(())
    });
    checked.backup.says("/quiz", "200 OK", "", "");
    checked.daemon.until_said("a check passes again");

    let said = checked.daemon.said();
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.contains("a check"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("answered 500 instead of 200"),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("quiz") && lines[0].contains("backup"),
        "{lines:?}"
    );
    until_metric("backup", 1.0);
    assert!(checked.place.metric("pointsman_checks_in_flight").is_some());
}

#[test]
fn a_check_that_fails_on_the_target_refuses_the_flip_in_its_words_though_it_passed_before() {
    let checked = checked("1h", "[{name: home, get: /}, {name: quiz, get: /quiz}]");
    checked.until_ok("backup", "quiz");
    checked.backup.says("/quiz", "500 Oh", "", "");

    let (code, said) = checked.flip(&[]);

    assert_eq!(code, Some(3), "{said}");
    let place = format!("http://{}/quiz", checked.place.origin("backup"));
    let words = format!(
        "check \"quiz\" of ispot side backup at {place} failed: answered 500 instead of 200"
    );
    assert!(said.contains(&words), "{said}");
    assert!(
        said.contains("--force-check quiz"),
        "the way over it: {said}"
    );
    assert_eq!(checked.place.site()["active"], "live");
    assert_eq!(checked.place.site()["epoch"], 1, "nothing happened");

    checked.live.says("/quiz", "500 Oh", "", "");
    checked.backup.says("/quiz", "200 OK", "", "");
    assert_eq!(
        checked.flip(&[]).0,
        Some(0),
        "the side that is left may fail"
    );
}

#[test]
fn one_named_check_is_gone_over_with_a_reason_and_every_other_counts() {
    let checks = "[{name: home, get: /}, {name: the quiz, get: /quiz}, {name: news, get: /news}]";
    let checked = checked("1h", checks);
    let place = &checked.place;
    for (arguments, words) in [
        (&["--force-check", "the quiz"][..], "--reason"),
        (&["--force-check", "the quiz", "--reason", " "], "reason"),
        (
            &["--force-check", "qiuz", "--reason", "x"],
            "check \"qiuz\"; there are: home, news, the quiz",
        ),
        (&["--force-check", "--reason", "x"], "--now"),
    ] {
        let (code, said) = checked.flip(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(place.flips(), 0);
    checked.backup.says("/quiz", "500 Oh", "", "");

    let over_one = ["--force-check", "the quiz", "--reason", "quiz is off"];
    let (code, said) = checked.flip(&over_one);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("check \"news\""), "another one fails: {said}");
    checked.backup.says("/news", "200 OK", "", "");
    let (code, said) = checked.flip(&over_one);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("whatever \"the quiz\" says"), "{said}");
    assert!(!said.contains("What was cut"), "it is no emergency: {said}");

    let flip = place.flip_ended(2);
    assert_eq!(flip["skipped"], json!(["check:the quiz"]), "{flip}");
    assert_eq!(place.site()["emergency"], Value::Null, "it is none");
    let row = "SELECT skipped, reason FROM flips WHERE id = 2";
    let row: (String, String) = place
        .journal()
        .query_row(row, [], |row| row.try_into())
        .unwrap();
    assert_eq!(row, ("check:the%20quiz".into(), "quiz is off".into()));
    let Checked {
        place,
        live,
        backup,
        daemon,
    } = checked;
    daemon.kill();
    let daemon = place.start();
    assert_eq!(place.flip_ended(2)["skipped"], json!(["check:the quiz"]));
    assert_eq!(place.site()["emergency"], Value::Null);
    drop((live, backup, daemon));
}

#[test]
fn over_the_api_checks_are_named_in_a_list_and_an_emergency_may_name_some_too() {
    let checked = checked("1h", "[{name: home, get: /home}, {name: news, get: /news}]");
    let place = &checked.place;
    let ask = |more: &str| {
        let body = format!(r#"{{"moves": [{{"site": "ispot", "to": "backup"}}], {more}}}"#);
        place.post_flip(&[], &body)
    };
    for (more, status, code) in [
        (r#""force_check": ["news"]"#, 422, "reason-needed"),
        (
            r#""force_check": ["old"], "reason": "x""#,
            422,
            "unknown-check",
        ),
        (r#""force_check": "news", "reason": "x""#, 422, "bad-body"),
        (
            r#""force_check": true, "reason": "x""#,
            422,
            "force-without-now",
        ),
    ] {
        let refused = ask(more);
        let got = (refused.status, refused.body["code"].as_str());
        assert_eq!(got, (status, Some(code)), "{more}: {}", refused.body);
    }

    let now = r#""now": true, "reason": "x", "force_check": ["news"]"#;
    assert_eq!(ask(now).status, 202);
    let refused = place.flip_ended(1);
    assert_eq!(refused["outcome"], "refused", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("\"home\""), "{message}");
    checked.backup.says("/home", "200 OK", "", "");
    assert_eq!(ask(now).status, 202);
    assert_eq!(place.flip_ended(2)["outcome"], "settled");
    let skipped = &place.site()["emergency"]["skipped"];
    assert_eq!(*skipped, json!(["drain", "sync", "check:news"]));
}

#[test]
fn a_check_that_hangs_is_made_once_at_a_time_and_holds_up_no_other() {
    let checks = "[{name: home, get: /}, {name: hangs, get: /hangs, timeout: 5m}]";
    let checked = checked("100ms", checks);
    checked.live.is_silent_at("/hangs");
    checked.backup.is_silent_at("/hangs");

    for teller in [&checked.live, &checked.backup] {
        until("it hangs", || (teller.hanging() == 1).then_some(()));
        let asked = teller.asked("/");
        until("the other goes on", || {
            (teller.asked("/") > asked + 10).then_some(())
        });
        assert_eq!(teller.hanging(), 1);
    }
    // Which takes the connection with it.
    checked.place.edit(&[(
        "{name: hangs, get: /hangs, timeout: 5m}",
        "{name: b, get: /}",
    )]);
    until("it is given up", || {
        (checked.live.hanging() == 0).then_some(())
    });
    checked.until_ok("live", "b");
}

#[test]
fn a_reload_keeps_the_results_of_what_it_does_not_touch() {
    let checked = checked("1h", "[{name: home, get: /}, {name: quiz, get: /quiz}]");
    let (home, quiz) = (
        checked.until_ok("live", "home"),
        checked.until_ok("live", "quiz"),
    );
    let on_backup = checked.until_ok("backup", "quiz");

    checked.place.edit(&[
        ("timeout: 2s", "every: 1h, timeout: 2s"),
        ("every: 1h, every", "every"),
    ]);
    checked
        .place
        .edit(&[("{name: home, get: /}", "{name: home, get: /, body: live}")]);
    let red = checked.until_red("backup", "home");

    assert!(red.contains("does not hold"), "{red}");
    assert_ne!(checked.until_ok("live", "home"), home, "it was made anew");
    assert_eq!(checked.until_ok("live", "quiz"), quiz, "it was not");
    assert_eq!(checked.until_ok("backup", "quiz"), on_backup);
    assert_eq!(checked.live.asked("/quiz"), 1);

    let other = format!("{}:9103", checked.place.ip);
    let elsewhere = Teller::start(&other);
    elsewhere.says("/", "200 OK", "", "live");
    checked
        .place
        .edit(&[(&checked.place.origin("backup"), &other)]);
    assert!(checked.until_red("backup", "quiz").contains("404"));
    checked.until_ok("backup", "home");
    assert_eq!(checked.until_ok("live", "quiz"), quiz);

    checked.place.edit(&[("{name: quiz, get: /quiz}", "")]);
    until("it is gone", || {
        let checks = checked.place.site()["checks"].to_string();
        (!checks.contains("quiz")).then_some(())
    });
}
