//! `freshness`: a flip to a side whose data are older than they may be is refused.

use std::fs;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::teller::Teller;
use crate::support::wait::until;

const NUMBER: &str = "{get: /newest, json: /id, kind: number, max_lag: 10}";

const ROUNDS: &str = "{get: /newest, json: /id, kind: number, max_lag: 10, every: 100ms}";
const TIMES: &str = "{get: /newest, json: /id, kind: time, max_lag: 1m, every: 100ms}";
const WENT: &str = "pointsman_freshness_went_backwards_total";

/// A daemon between two origins that say how new they are.
struct Compared {
    place: Place,
    live: Teller,
    backup: Teller,
    _daemon: Daemon,
}

fn compared(flip: &'static str, freshness: &str) -> Compared {
    let place = Place::new();
    place.write(&OneSite::flipping(flip));
    place.edit(&[(
        "preflight:",
        &format!("freshness: {freshness}\n    preflight:"),
    )]);
    let teller = |side| {
        let teller = Teller::start(&place.origin(side));
        teller.says("/", "200 OK", "", side);
        teller
    };
    let (live, backup) = (teller("live"), teller("backup"));
    let daemon = place.start();
    Compared {
        place,
        live,
        backup,
        _daemon: daemon,
    }
}

/// Looks at a daemon that shows a lag, once for each kind of marker that has one.
pub(crate) fn while_a_lag_shows(mut look: impl FnMut(&Place)) {
    for (freshness, unit) in [(ROUNDS, "count"), (TIMES, "seconds")] {
        let stage = compared("{during: page}", freshness);
        has(&stage.live, "120");
        has(&stage.backup, "109");
        stage.until_shown("backup", "lag", &json!({unit: 11}));
        look(&stage.place);
    }
}

fn has(side: &Teller, id: &str) {
    side.says("/newest", "200 OK", "", &format!(r#"{{"id": {id}}}"#));
}

impl Compared {
    fn flip(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let all = [&["flip", "ispot", "--to", "backup", "--yes"], arguments].concat();
        let done = self.place.pointsman(&all);
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (done.status.code(), said.replace('\n', " "))
    }

    /// What the rounds read of a side.
    fn shown(&self, side: &str) -> Value {
        let site = self.place.site();
        let sides = site["freshness"].as_array().cloned().unwrap_or_default();
        let found = sides.into_iter().find(|found| found["side"] == side);
        found.unwrap_or(Value::Null)
    }

    fn until_shown(&self, side: &str, key: &str, value: &Value) {
        until(&format!("{side} shows {key} {value}"), || {
            (self.shown(side)[key] == *value).then_some(())
        });
    }

    fn metric(&self, name: &str, side: &str) -> Option<f64> {
        let labels = format!("{{side=\"{side}\",site=\"ispot\"}}");
        self.place.metric(&format!("{name}{labels}"))
    }

    fn status(&self) -> String {
        let done = self.place.pointsman(&["status", "ispot"]);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_target_that_is_too_old_is_refused_with_both_values_and_a_newer_one_is_not() {
    let stage = compared("{during: page}", NUMBER);
    has(&stage.live, "120");
    has(&stage.backup, "109");
    let (code, said) = stage.flip(&[]);
    assert_eq!(code, Some(3), "{said}");
    for part in ["backup has 109", "live has 120", "--force-check freshness"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(stage.place.site()["active"], "live");

    has(&stage.backup, "110");
    assert_eq!(stage.flip(&[]).0, Some(0), "it is asked afresh");
}

#[test]
fn a_marker_that_cannot_be_read_refuses_a_flip_on_either_side() {
    let stage = compared("{during: page}", NUMBER);
    has(&stage.live, "120");
    let huge = "x".repeat(2 * 1024 * 1024);
    let hostile = [huge.as_str(), "", "{}", r#"{"id": "\u001b[2J"}"#];
    for body in hostile {
        stage.backup.says("/newest", "200 OK", "", body);
        let (code, said) = stage.flip(&[]);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("cannot be read from side backup"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    has(&stage.backup, "120");
    stage.live.says("/newest", "500 Oh", "", "");
    let (code, said) = stage.flip(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("its active side live"), "{said}");
    assert!(said.contains("answered 500 instead of 200"), "{said}");
}

#[test]
fn what_is_older_is_taken_with_a_reason_and_in_an_emergency_and_that_is_journalled() {
    let forced = &["--force-check", "freshness", "--reason", "they may go"][..];
    for arguments in [forced, &["--now", "--reason", "disk failure"]] {
        let stage = compared("{during: page}", NUMBER);
        has(&stage.live, "120");
        has(&stage.backup, "1");
        until("the first round is over", || {
            let shown = stage.shown("backup");
            (shown["read"].is_string() || shown["problem"].is_string()).then_some(())
        });
        let (code, said) = stage.flip(arguments);
        assert_eq!(code, Some(0), "{said}");
        let skipped = stage.place.flip_ended(1)["skipped"].to_string();
        assert!(skipped.contains("check:freshness"), "{skipped}");
        assert_eq!(stage.live.asked("/newest"), 1, "nobody had to ask again");
    }
}

#[test]
fn a_copy_that_brings_the_data_lets_a_flip_go_on_and_one_that_does_not_takes_it_back() {
    let sync =
        "{during: page, hooks: {sync: [{shell: 'until test -e ../copied; do sleep 0.05; done'}]}}";
    let stage = compared(sync, NUMBER);
    has(&stage.live, "120");
    has(&stage.backup, "1");
    let copied = stage.place.path().join("copied");
    fs::write(&copied, "").unwrap();
    let (code, said) = stage.flip(&[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("backup has 1, live has 120"), "{said}");
    assert_eq!(stage.place.site()["active"], "live");

    fs::remove_file(&copied).unwrap();
    stage.place.sed("s/active: live/active: backup/");
    stage.place.until_phase("syncing");
    has(&stage.backup, "120");
    fs::write(&copied, "").unwrap();
    let flip = until("it ends", || {
        let flip = stage.place.flip_ended(2);
        flip["outcome"].is_string().then_some(flip)
    });
    assert_eq!(flip["outcome"], "settled", "{flip}");
}

#[test]
fn what_each_side_has_and_by_how_much_a_standby_lags_is_shown_all_the_time() {
    let stage = compared("{during: page}", ROUNDS);
    has(&stage.live, "120");
    has(&stage.backup, "109");
    stage.until_shown("backup", "lag", &json!({"count": 11}));
    stage.until_shown("live", "marker", &json!("120"));
    assert_eq!(
        stage.metric("pointsman_freshness_lag", "backup"),
        Some(11.0)
    );
    assert_eq!(stage.metric("pointsman_freshness_lag", "live"), None);
    assert_eq!(stage.metric(WENT, "live"), Some(0.0));
    let text = stage.status();
    assert!(text.contains("backup has 109, 11 behind, read"), "{text}");

    has(&stage.backup, "130");
    stage.until_shown("backup", "lag", &json!({"count": 0}));
    stage.backup.says("/newest", "500 Oh", "", "");
    stage.until_shown("backup", "lag", &Value::Null);
    let text = stage.status();
    assert!(text.contains("backup has 130, read"), "{text}");
    assert!(text.contains("answered 500 instead of 200"), "{text}");
    assert_eq!(stage.metric("pointsman_freshness_lag", "backup"), None);

    stage
        .place
        .sed("s/kind: number, max_lag: 10/kind: time, max_lag: 1m/");
    has(&stage.live, "1000");
    has(&stage.backup, "940");
    stage.until_shown("backup", "lag", &json!({"seconds": 60}));
    let lag = stage.metric("pointsman_freshness_lag_seconds", "backup");
    assert_eq!(lag, Some(60.0));

    stage.place.sed("/freshness:/d");
    until("a site without a marker shows none", || {
        stage.place.site()["freshness"].is_null().then_some(())
    });
    assert_eq!(stage.metric(WENT, "live"), None);
    let asked = stage.live.asked("/newest");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(
        stage.live.asked("/newest") <= asked + 1,
        "one may have been under way"
    );
}

#[test]
fn data_of_the_active_side_that_go_backwards_raise_the_alarm_at_once() {
    for (freshness, older, newer) in [(ROUNDS, "119", "121"), (TIMES, "1000", "2000")] {
        let stage = compared("{during: page}", freshness);
        has(&stage.live, "120");
        if freshness == TIMES {
            has(&stage.live, "1500");
        }
        has(&stage.backup, "100");
        until("it is read", || {
            (stage.metric(WENT, "live") == Some(0.0)).then_some(())
        });
        has(&stage.backup, "1");
        stage.until_shown("backup", "marker", &json!(shown("1", freshness)));

        has(&stage.live, older);
        until("it is noticed", || {
            (stage.metric(WENT, "live") == Some(1.0)).then_some(())
        });
        let text = stage.status();
        assert!(text.contains("THE DATA OF ispot WENT BACKWARDS"), "{text}");
        assert!(text.contains(&shown(older, freshness)), "{text}");
        let rounds = stage.live.asked("/newest");
        until("more rounds", || {
            (stage.live.asked("/newest") > rounds + 2).then_some(())
        });
        assert_eq!(stage.metric(WENT, "live"), Some(1.0), "it is told once");
        assert_eq!(stage.metric(WENT, "backup"), Some(0.0), "no standby alarms");

        has(&stage.live, newer);
        until("it is as new as it was", || {
            stage.shown("live")["backwards"].is_null().then_some(())
        });
        assert!(!stage.status().contains("WENT BACKWARDS"));
    }
}

fn shown(id: &str, freshness: &str) -> String {
    if freshness == TIMES {
        let seconds: i64 = id.parse().unwrap();
        return jiff::Timestamp::from_second(seconds).unwrap().to_string();
    }
    id.into()
}

#[test]
fn a_flip_to_a_side_that_is_older_is_no_alarm_and_the_epoch_begins_anew() {
    let stage = compared("{during: page}", ROUNDS);
    has(&stage.live, "120");
    has(&stage.backup, "115");
    stage.until_shown("backup", "lag", &json!({"count": 5}));
    assert_eq!(stage.flip(&[]).0, Some(0));
    stage.until_shown("live", "lag", &json!({"count": 0}));
    stage.until_shown("backup", "marker", &json!("115"));
    for side in ["live", "backup"] {
        assert_eq!(stage.metric(WENT, side), Some(0.0), "{side}");
    }
    has(&stage.backup, "114");
    until("it is noticed", || {
        (stage.metric(WENT, "backup") == Some(1.0)).then_some(())
    });
}
