//! The standby watch: a side that does not serve and says that it does, or is written to by somebody
//! else, is told of everywhere; one that behaves is not.

use serde_json::Value;

use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::teller::Teller;
use crate::support::wait::until;

const EXPECTS: &str = "standby: {expect: {get: /direct, status: 503}, every: 100ms}";
const MARKER: &str =
    "freshness: {get: /newest, json: /id, kind: number, max_lag: 1000, every: 100ms}";

/// Hooks that last until they are told; a test that fails takes their folder away, which ends them.
const HOOKS: &str = "{hooks: {before: [[sh, -c, \"touch begun; until [ -e go -o ! -e begun ]; do \
                     sleep 0.01; done\"]], after: [[sh, -c, \"touch after; until [ -e gone -o ! -e \
                     after ]; do sleep 0.01; done\"]]}}";

/// A daemon between two origins that say what they are told to.
struct Watched {
    place: Place,
    live: Teller,
    backup: Option<Teller>,
    daemon: Daemon,
}

/// Starts it with some keys of the site; both origins answer their checks.
fn watched(flip: &'static str, keys: &str) -> Watched {
    let place = Place::new();
    place.write(&OneSite::flipping(flip).without_names().apart());
    place.edit(&[("preflight:", &format!("{keys}\n    preflight:"))]);
    let live = teller(&place, "live");
    let backup = Some(teller(&place, "backup"));
    Watched {
        daemon: place.start(),
        place,
        live,
        backup,
    }
}

fn teller(place: &Place, side: &str) -> Teller {
    let teller = Teller::start(&place.origin(side));
    teller.says("/", "200 OK", "", side);
    is_online(&teller, false);
    has(&teller, 100);
    teller
}

fn is_online(side: &Teller, online: bool) {
    let status = if online { "200 OK" } else { "503 Not here" };
    side.says("/direct", status, "", "");
}

fn has(side: &Teller, id: u64) {
    side.says("/newest", "200 OK", "", &format!(r#"{{"id": {id}}}"#));
}

impl Watched {
    fn backup(&self) -> &Teller {
        self.backup.as_ref().unwrap()
    }

    fn contradictions(&self) -> Vec<Value> {
        let site = self.place.site();
        site["contradictions"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    fn until_raised(&self, kind: &str) -> Value {
        until(&format!("{kind} is raised"), || {
            let mut all = self.contradictions().into_iter();
            all.find(|raised| raised["kind"] == kind)
        })
    }

    fn until_over(&self) {
        until("it is over", || {
            self.contradictions().is_empty().then_some(())
        });
    }

    /// Waits until a side was asked so many more times.
    fn until_asked(&self, side: &Teller, path: &str, times: usize) {
        let count = || side.asked(path);
        let before = count();
        until(&format!("{path} is asked {times} times"), || {
            (count() >= before + times).then_some(())
        });
    }

    fn journalled(&self) -> Vec<String> {
        let journal = self.place.journal();
        let query = "SELECT detail FROM events WHERE site = 'ispot' AND what = 'contradiction'";
        let mut query = journal.prepare(query).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn metric(&self, side: &str, kind: &str) -> Option<f64> {
        let labels = format!("{{kind=\"{kind}\",side=\"{side}\",site=\"ispot\"}}");
        self.place
            .metric(&format!("pointsman_contradiction{labels}"))
    }

    fn flip(&self, to: &str) {
        self.flip_with(to, &[]);
    }

    fn flip_with(&self, to: &str, arguments: &[&str]) {
        let flip = [&["flip", "ispot", "--to", to, "--yes"], arguments].concat();
        let done = self.place.pointsman(&flip);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
    }
}

/// Looks at a daemon that shows a contradiction.
pub(crate) fn while_a_contradiction_shows(look: impl FnOnce(&Place)) {
    let stage = watched("{}", EXPECTS);
    is_online(stage.backup(), true);
    stage.until_raised("standby-online");
    look(&stage.place);
}

#[test]
fn a_standby_that_says_it_is_online_is_told_of_everywhere_until_it_behaves() {
    let stage = watched("{}", EXPECTS);
    stage.until_asked(stage.backup(), "/direct", 3);
    assert_eq!(stage.contradictions(), [] as [Value; 0]);

    is_online(stage.backup(), true);

    let raised = stage.until_raised("standby-online");
    assert_eq!(raised["side"], "backup");
    let why = raised["why"].as_str().unwrap();
    assert!(why.contains("answered 200 instead of 503"), "{why}");
    assert!(why.contains("put it in maintenance"), "{why}");
    assert_eq!(stage.metric("backup", "standby-online"), Some(1.0));
    let status = stage.place.pointsman(&["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.contains("A STANDBY OF ispot DOES NOT BEHAVE AS ONE"),
        "{status}"
    );
    let page = std::process::Command::new("curl")
        .args(["-s", &format!("http://{}:9901/", stage.place.ip)])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&page.stdout).contains("Contradiction since"));
    stage.daemon.until_said("contradiction");
    assert_eq!(stage.journalled().len(), 1, "{:?}", stage.journalled());

    is_online(stage.backup(), false);

    stage.until_over();
    assert_eq!(stage.metric("backup", "standby-online"), None);
    assert_eq!(stage.journalled().len(), 1, "once each time");
}

#[test]
fn watch_and_the_stream_of_events_tell_of_a_contradiction() {
    let stage = watched("{}", EXPECTS);
    let mut watch = std::process::Command::new(POINTSMAN);
    watch
        .env("POINTSMAN_SOCKET", stage.place.state().join("admin.sock"))
        .args(["watch", "-o", "json"]);
    let watch = Daemon::spawn(&mut watch);
    is_online(stage.backup(), true);
    watch.until_said("standby-online");
}

#[test]
fn a_standby_that_does_not_answer_takes_no_users_and_raises_nothing() {
    let mut stage = watched("{}", EXPECTS);
    is_online(stage.backup(), true);
    stage.until_raised("standby-online");

    stage.backup = None;

    stage.until_over();
}

#[test]
fn after_a_flip_the_side_that_was_left_is_watched_and_the_new_one_is_not() {
    let stage = watched("{}", EXPECTS);
    is_online(stage.backup(), true);
    is_online(&stage.live, true);
    stage.until_raised("standby-online");

    stage.flip("backup");

    let raised = until("live is raised", || {
        let all = stage.contradictions();
        all.into_iter().find(|raised| raised["side"] == "live")
    });
    assert_eq!(raised["kind"], "standby-online");
    assert_eq!(stage.contradictions().len(), 1, "the new one serves");
    is_online(&stage.live, false);
    stage.until_over();
}

#[test]
fn nobody_is_judged_while_the_hooks_of_a_flip_change_who_is_online() {
    let stage = watched(HOOKS, EXPECTS);
    stage.until_asked(stage.backup(), "/direct", 2);
    let beside = |name: &str| stage.place.file().with_file_name(name);
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| stage.flip("backup"));
        until("it has begun", || beside("begun").exists().then_some(()));
        // As a hook would before users come.
        is_online(stage.backup(), true);
        stage.until_asked(stage.backup(), "/direct", 4);
        let raised = stage.contradictions();
        is_online(&stage.live, true);
        std::fs::write(beside("go"), "").unwrap();
        flip.join().unwrap();
        assert_eq!(raised, [] as [Value; 0]);
    });
    until("its last hook runs", || {
        beside("after").exists().then_some(())
    });
    stage.until_asked(&stage.live, "/direct", 4);
    assert_eq!(
        stage.contradictions(),
        [] as [Value; 0],
        "it is being put to rest"
    );

    std::fs::write(beside("gone"), "").unwrap();

    assert_eq!(stage.until_raised("standby-online")["side"], "live");
}

#[test]
fn a_marker_that_is_newer_than_that_of_the_active_side_was_written_on_the_standby() {
    let stage = watched("{}", MARKER);
    has(stage.backup(), 100);
    stage.until_asked(stage.backup(), "/newest", 3);
    assert_eq!(
        stage.contradictions(),
        [] as [Value; 0],
        "as new is a whole copy"
    );

    has(stage.backup(), 101);

    let raised = stage.until_raised("standby-written");
    let why = raised["why"].as_str().unwrap();
    assert!(
        why.contains("its marker is 101, and the active side has 100"),
        "{why}"
    );
    assert_eq!(stage.metric("backup", "standby-written"), Some(1.0));
    assert!(stage.journalled()[0].starts_with("standby-written: backup of ispot"));
    has(&stage.live, 101);
    stage.until_over();
}

#[test]
fn a_marker_that_moves_is_explained_by_a_guarded_copy_and_by_nothing_else() {
    let stage = watched("{}", MARKER);
    has(stage.backup(), 50);
    let copy = |script: &str| {
        let guard = [
            "guard", "--site", "ispot", "--from", "live", "--to", "backup", "--",
        ];
        let done = stage
            .place
            .pointsman(&[&guard[..], &["sh", "-c", script]].concat());
        assert_eq!(done.status.code(), Some(0), "{done:?}");
    };
    // Nothing is known of copies yet: it may be a replication.
    stage.until_asked(stage.backup(), "/newest", 2);
    has(stage.backup(), 60);
    stage.until_asked(stage.backup(), "/newest", 3);
    assert_eq!(stage.contradictions(), [] as [Value; 0]);
    copy("true");
    let file = |name: &str| stage.place.path().join(name);
    let script = format!(
        "touch {0}; until [ -e {1} ]; do sleep 0.02; done",
        file("copies").display(),
        file("copied").display()
    );
    std::thread::scope(|scope| {
        let copied = scope.spawn(|| copy(&script));
        until("it copies", || file("copies").exists().then_some(()));
        has(stage.backup(), 70);
        stage.until_asked(stage.backup(), "/newest", 3);
        std::fs::write(file("copied"), "").unwrap();
        copied.join().unwrap();
    });
    stage.until_asked(stage.backup(), "/newest", 3);
    assert_eq!(stage.contradictions(), [] as [Value; 0], "a copy has run");

    has(stage.backup(), 71);

    let raised = stage.until_raised("standby-written");
    let why = raised["why"].as_str().unwrap();
    assert!(
        why.contains("went from 70 to 71, and no copy has run"),
        "{why}"
    );
    copy("true");
    stage.until_over();
}

#[test]
fn a_side_that_was_left_with_newer_data_was_not_written_to_by_somebody_else() {
    for arguments in [&[][..], &["--now", "--reason", "the disk of live failed"]] {
        let stage = watched("{}", MARKER);
        has(&stage.live, 120);
        stage.until_asked(&stage.live, "/newest", 2);

        stage.flip_with("backup", arguments);

        stage.until_asked(&stage.live, "/newest", 4);
        assert_eq!(stage.contradictions(), [] as [Value; 0], "{arguments:?}");
        has(&stage.live, 121);
        assert_eq!(stage.until_raised("standby-written")["side"], "live");
        has(stage.backup(), 121);
        stage.until_over();
    }
}

#[test]
fn a_copy_between_the_readings_of_both_sides_is_no_write_on_the_standby() {
    let stage = watched("{}", MARKER);
    stage.until_asked(stage.backup(), "/newest", 2);
    let says = |id| format!(r#"{{"id": {id}}}"#);
    let (old, new) = (says(100), says(101));
    // The active side has it when it is read once more, also by a round that has begun.
    stage
        .live
        .says_in_turn("/newest", &[("200 OK", &new), ("200 OK", &old)]);
    has(stage.backup(), 101);
    stage.until_asked(stage.backup(), "/newest", 6);
    assert_eq!(stage.contradictions(), [] as [Value; 0]);
    // Then it cannot be read, and nobody knows.
    stage
        .live
        .says_in_turn("/newest", &[("500 Oh", ""), ("200 OK", &old)]);
    stage.until_asked(stage.backup(), "/newest", 6);
    assert_eq!(stage.contradictions(), [] as [Value; 0]);

    has(&stage.live, 100);

    stage.until_raised("standby-written");
}

#[test]
fn a_write_on_a_standby_is_not_over_because_its_marker_cannot_be_read() {
    let stage = watched("{}", MARKER);
    stage.until_asked(stage.backup(), "/newest", 2);
    has(stage.backup(), 101);
    stage.until_raised("standby-written");

    stage.backup().says("/newest", "500 Oh", "", "");

    stage.until_asked(stage.backup(), "/newest", 4);
    assert_eq!(stage.contradictions().len(), 1, "it was taken offline");
    assert_eq!(stage.journalled().len(), 1, "{:?}", stage.journalled());
    has(stage.backup(), 100);
    stage.until_over();
}

#[test]
fn nobody_is_judged_by_markers_while_a_flip_and_its_hooks_run() {
    let stage = watched(HOOKS, MARKER);
    stage.until_asked(stage.backup(), "/newest", 2);
    let beside = |name: &str| stage.place.file().with_file_name(name);
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| stage.flip("backup"));
        until("it has begun", || beside("begun").exists().then_some(()));
        has(stage.backup(), 101);
        stage.until_asked(stage.backup(), "/newest", 4);
        let raised = stage.contradictions();
        std::fs::write(beside("go"), "").unwrap();
        flip.join().unwrap();
        assert_eq!(raised, [] as [Value; 0]);
    });
    until("its last hook runs", || {
        beside("after").exists().then_some(())
    });
    stage.until_asked(&stage.live, "/newest", 2);
    has(&stage.live, 102);
    stage.until_asked(&stage.live, "/newest", 4);
    assert_eq!(stage.contradictions(), [] as [Value; 0]);

    std::fs::write(beside("gone"), "").unwrap();

    assert_eq!(stage.until_raised("standby-written")["side"], "live");
}
