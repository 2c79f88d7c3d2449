//! The answer lease: a flip waits until nobody may use an address that direct names gave out.

mod resolver;
mod starts;

use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use jiff::Timestamp;
use pointsman::site::{Answers, Position};
use pointsman::zone::{Says, Serial, Zones, contents_of};
use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::dns::{ask, at, ispot};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;

/// The TTL of the direct name in these tests, in seconds.
const TTL: i64 = 3;

const OLD: &str = "127.0.1.11";
const NEW: &str = "127.0.1.12";

/// A place whose direct name has the TTL of these tests.
fn place(flip: &'static str) -> Place {
    let place = Place::new();
    place.write(&OneSite::flipping(flip));
    let short = "{db.ispot.example: db}";
    let long = format!("{{db.ispot.example: {{from: db, ttl: {TTL}s}}}}");
    place.replace(&place.text().replace(short, &long));
    place
}

fn stage(flip: &'static str) -> Stage {
    stage_at(place(flip))
}

fn stage_at(place: Place) -> Stage {
    let live = Origin::start(&place.origin("live"), "live");
    let backup = Origin::start(&place.origin("backup"), "backup");
    let daemon = place.start();
    Stage {
        place,
        live,
        backup,
        daemon,
    }
}

/// Runs dig; everything it printed.
fn dig(place: &Place, question: &str) -> String {
    let mut dig = Command::new("dig");
    dig.args(["+norec", "+tries=3", "+time=5", "-p", "8053"]);
    dig.arg(format!("@{}", place.ip));
    let done = dig.args(question.split(' ')).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

/// Asks for the address of the direct name; it with its TTL, nothing when there is none.
fn db(place: &Place) -> Option<(i64, String)> {
    let said = dig(place, "db.ispot.example");
    assert!(said.contains("status: NOERROR"), "{said}");
    let line = said.lines().find(|line| line.contains("\tIN\tA\t"))?;
    let mut words = line.split_whitespace().skip(1);
    let ttl = words.next()?.parse().unwrap();
    Some((ttl, words.last()?.to_owned()))
}

fn old(ttl: i64) -> Option<(i64, String)> {
    Some((ttl, OLD.to_owned()))
}

/// Begins a flip by an edit of the word.
fn edit(place: &Place) {
    place.sed("s/active: live/active: backup/");
}

/// Waits until a flip waits for answers, in this phase; until when.
fn until_it_waits(place: &Place, phase: &str) -> Timestamp {
    until("the flip waits for answers", || {
        let flip = place.status_json()?["flips"][0].clone();
        (flip["phase"] == phase).then_some(())?;
        flip["lease_until"].as_str()?.parse().ok()
    })
}

fn entry(flip: &Value, phase: &str) -> Value {
    let timeline = flip["timeline"].as_array().unwrap();
    let found = timeline.iter().find(|entry| entry["phase"] == phase);
    found
        .unwrap_or_else(|| panic!("no {phase} in {flip}"))
        .clone()
}

/// When a flip entered a phase.
fn entered(flip: &Value, phase: &str) -> Timestamp {
    entry(flip, phase)["at"].as_str().unwrap().parse().unwrap()
}

/// Until when a flip waited for answers in a phase.
fn waited_until(flip: &Value, phase: &str) -> Option<Timestamp> {
    entry(flip, phase)["lease_until"].as_str()?.parse().ok()
}

fn cancel(place: &Place, id: &str) {
    let done = place.pointsman(&["flip", "--cancel", id]);
    assert!(done.status.success(), "{done:?}");
}

fn serial(place: &Place) -> u32 {
    let soa = dig(place, "ispot.example SOA");
    let line = soa.lines().find(|line| line.contains("\tSOA\t")).unwrap();
    line.split_whitespace().nth(6).unwrap().parse().unwrap()
}

#[test]
fn the_ttl_falls_then_no_address_is_given_then_the_new_one_with_the_ttl_as_it_was() {
    let stage = stage("{during: page, drain: {for: 60s}}");
    let place = &stage.place;
    let first = serial(place);
    let mut slow = stage.in_flight("POST");
    assert_eq!(db(place), old(TTL));
    edit(place);
    until_it_waits(place, "quiescing");
    assert_eq!(db(place), old(1));
    assert_eq!(place.curl("/", &[]).0, 200, "nobody is held yet");
    let short = serial(place);
    assert!(short > first, "{first} {short}");

    place.until_phase("draining");
    let held = dig(place, "db.ispot.example");
    assert!(
        held.contains("status: NOERROR") && held.contains("ANSWER: 0, AUTHORITY: 1"),
        "{held}"
    );
    // RFC 2308 §5: the lesser of the SOA's TTL and its minimum, which is its last number.
    let soa = held.lines().find(|line| line.contains("\tSOA\t")).unwrap();
    assert!(soa.contains("\t1\tIN\tSOA\t"), "{soa}");
    assert!(soa.ends_with(" 1209600 1"), "{soa}");
    assert_eq!(place.dig("www.ispot.example", "A"), place.ip.to_string());
    let withheld = serial(place);
    assert!(withheld > short, "{short} {withheld}");

    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    assert_eq!(db(place), Some((TTL, NEW.to_owned())));
    assert!(serial(place) > withheld);
    assert!(dig(place, "ispot.example SOA").contains(" 1209600 60"));
}

#[test]
fn a_flip_waits_as_long_as_an_answer_just_given_may_be_used() {
    let stage = stage("{during: page}");
    let place = &stage.place;
    let asked = Timestamp::now();
    assert_eq!(db(place), old(TTL));
    let answered = Timestamp::now();
    edit(place);
    let shown = until_it_waits(place, "quiescing");
    let status = place.pointsman(&["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("waits for DNS answers: "), "{status}");

    let flip = place.flip_ended(1);

    assert_eq!(flip["outcome"], "settled", "{flip}");
    let until = waited_until(&flip, "quiescing").unwrap();
    assert_eq!(until, shown);
    let ttl = Duration::from_secs(TTL.unsigned_abs());
    assert!(until >= asked + ttl, "{asked} {flip}");
    // What is added for clients that count whole seconds, and for the way.
    assert!(
        until <= answered + ttl + Duration::from_millis(1_300),
        "{answered} {flip}"
    );
    assert!(entered(&flip, "holding") >= asked + ttl, "{asked} {flip}");
    // Nobody has asked since.
    assert_eq!(waited_until(&flip, "draining"), None, "{flip}");
}

#[test]
fn with_keep_the_old_address_goes_on_and_users_are_let_in_when_it_has_run_out() {
    let stage = stage("{during: hold, on_hold: keep, hold: {for: 60s}, drain: {for: 60s}}");
    let place = &stage.place;
    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    let held = std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            let (code, side) = place.curl("/side", &["-d", "x"]);
            (code, side, Timestamp::now())
        });
        until("it is on hold", || {
            (place.site()["waiting"] == 1).then_some(())
        });
        let asked = Timestamp::now();
        assert_eq!(db(place), old(1), "it is not withheld");
        stage.live.let_go();
        assert_eq!(slow.answer("POST").unwrap().text(), "live");
        until_it_waits(place, "publishing");
        assert_eq!(db(place), Some((TTL, NEW.to_owned())));
        assert_eq!(stage.backup.seen_at("/side").len(), 0, "nobody is let in");
        assert_eq!(place.site()["waiting"], 1);
        let (code, side, let_in) = held.join().unwrap();
        assert!(let_in >= asked + Duration::from_secs(1), "{asked} {let_in}");
        (code, side)
    });
    assert_eq!(held, (200, "backup".to_owned()));
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    assert_eq!(waited_until(&flip, "draining"), None, "{flip}");
    assert_eq!(place.curl("/side", &[]), (200, "backup".to_owned()));
}

#[test]
fn with_keep_and_read_only_those_who_write_are_told_to_wait_until_it_has_run_out() {
    let stage = stage("{during: read-only, on_hold: keep}");
    let place = &stage.place;
    assert_eq!(db(place), old(TTL));
    edit(place);
    until_it_waits(place, "quiescing");
    // Asked until the new address comes, so that the old one was given out to the last.
    until("the new address", || (db(place)?.1 == NEW).then_some(()));
    let (code, said) = place.curl("/side", &["-d", "x"]);
    assert_eq!(code, 503, "{said}");
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    assert!(waited_until(&flip, "publishing").is_some(), "{flip}");
    assert_eq!(
        place.curl("/side", &["-d", "x"]),
        (200, "backup".to_owned())
    );
}

#[test]
fn nobody_waits_when_nobody_has_asked() {
    let stage = stage("{during: page}");
    assert_eq!(
        stage.place.dig("www.ispot.example", "A"),
        stage.place.ip.to_string()
    );
    assert_eq!(stage.place.flip("backup").0, 0);
    let flip = stage.place.flip_ended(1);
    for phase in ["quiescing", "draining"] {
        assert_eq!(waited_until(&flip, phase), None, "{flip}");
    }
}

#[test]
fn a_flip_waits_while_it_holds_for_an_answer_given_just_before() {
    let stage = stage("{during: page, drain: {for: 60s}}");
    let place = &stage.place;
    assert_eq!(db(place), old(TTL));
    edit(place);
    until_it_waits(place, "quiescing");
    // Asked without an end until no address comes any more.
    let mut last = Timestamp::now();
    until("the address is withheld", || {
        let asking = Timestamp::now();
        match db(place) {
            Some(given) => {
                assert_eq!(given, (1, OLD.to_owned()));
                last = asking;
                None
            }
            None => Some(()),
        }
    });
    let flip = place.flip_ended(1);
    let ttl = Duration::from_secs(1);
    assert!(entered(&flip, "syncing") >= last + ttl, "{last} {flip}");
    assert!(waited_until(&flip, "draining").is_some(), "{flip}");
}

#[test]
fn a_cancel_while_it_waits_brings_the_ttl_back_and_nobody_was_held() {
    let stage = stage("{during: page}");
    let place = &stage.place;
    assert_eq!(db(place), old(TTL));
    edit(place);
    until_it_waits(place, "quiescing");
    assert_eq!(db(place), old(1));
    cancel(place, "1");
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "restored-unheld", "{flip}");
    assert_eq!(db(place), old(TTL));
    assert_eq!(place.site()["active"], "live");
}

#[test]
fn a_flip_that_goes_back_brings_the_old_answer_back() {
    let stage = stage("{during: page, drain: {for: 60s}}");
    let place = &stage.place;
    let _slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    assert_eq!(db(place), None);
    cancel(place, "1");
    assert_eq!(place.flip_ended(1)["outcome"], "restored");
    assert_eq!(db(place), old(TTL));
    assert!(dig(place, "ispot.example SOA").contains(" 1209600 60"));
}

#[test]
fn flips_side_by_side_in_one_zone_and_a_reload_leave_each_other_their_answers() {
    let place = place("{during: page, drain: {for: 60s}}");
    let ip = place.ip;
    let other = format!(
        "  other:\n    hosts: [other.ispot.example]\n    active: live  # other\n    sides:\n      \
         live: {{web: [http://{ip}:9103], names: {{db: 127.0.2.11}}}}\n      \
         backup: {{web: [http://{ip}:9104], names: {{db: 127.0.2.12}}}}\n    \
         names: {{db2.ispot.example: db}}\n"
    );
    place.replace(&(place.text() + &other));
    let live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let _daemon = place.start();
    let mut slow = Client::connect(place.http().parse().unwrap());
    slow.send("POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 0\r\n\r\n");
    until("it is at the origin", || {
        (!live.seen_at("/wait").is_empty()).then_some(())
    });
    place.sed("s/active: live  # the word/active: backup/");
    place.until_phase("draining");
    assert_eq!(db(&place), None);
    assert_eq!(place.dig("db2.ispot.example", "A"), "127.0.2.11");

    let done = place.pointsman(&["flip", "other", "--yes"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(place.dig("db2.ispot.example", "A"), "127.0.2.12");
    assert_eq!(db(&place), None, "the other flip still holds");
    let generation = place.generation();
    place.edit(&[(
        "[other.ispot.example]",
        "[other.ispot.example, more.ispot.example]",
    )]);
    place.until_generation(generation + 1);
    assert_eq!(place.dig("more.ispot.example", "A"), ip.to_string());
    assert_eq!(db(&place), None, "the other flip still holds");

    cancel(&place, "1");
    assert_eq!(place.flip_ended(1)["outcome"], "restored");
    assert_eq!(db(&place), old(TTL));
    assert_eq!(place.dig("db2.ispot.example", "A"), "127.0.2.12");
}

#[test]
fn an_emergency_does_not_wait_and_says_so() {
    let stage = stage("{during: page}");
    let place = &stage.place;
    let now = |to: &str| {
        let arguments = [
            "flip", "ispot", "--to", to, "--now", "--reason", "dead", "--yes",
        ];
        assert!(place.pointsman(&arguments).status.success());
    };
    now("backup");
    assert_eq!(
        place.flip_ended(1)["skipped"].to_string(),
        r#"["drain","sync"]"#
    );
    assert_eq!(db(place), Some((TTL, NEW.to_owned())));
    let began = Instant::now();
    now("live");
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let flip = place.flip_ended(2);
    assert_eq!(flip["skipped"].to_string(), r#"["drain","sync","lease"]"#);
    assert_eq!(waited_until(&flip, "quiescing"), None, "{flip}");
    let journal = place.journal();
    let read = "SELECT skipped FROM flips WHERE id = 2";
    let skipped: String = journal.query_row(read, [], |row| row.get(0)).unwrap();
    assert_eq!(skipped, "drain sync lease");
}

#[test]
fn the_journal_has_the_count_and_the_time_of_the_answers_of_the_lane_that_was_left() {
    let stage = stage("{during: page}");
    let place = &stage.place;
    for _ in 0..2 {
        assert_eq!(db(place), old(TTL));
    }
    // Over TCP, and what gives out no address.
    assert_eq!(place.dig("db.ispot.example", "A"), OLD);
    let before = Timestamp::now().as_millisecond();
    assert_eq!(dig(place, "+tcp +short db.ispot.example").trim(), OLD);
    let after = Timestamp::now().as_millisecond();
    assert_eq!(place.dig("db.ispot.example", "TXT"), "");
    assert_eq!(place.flip("backup").0, 0);
    assert_eq!(db(place), Some((TTL, NEW.to_owned())));
    let journal = place.journal();
    let read = "SELECT answers, last_answer_ms FROM moves WHERE flip = 1";
    let (answers, last): (i64, i64) = journal
        .query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(answers, 4);
    assert!((before..=after).contains(&last), "{before} {last} {after}");
}

#[test]
fn the_countdown_is_exported_and_is_never_shorter_than_the_truth() {
    let stage = stage("{during: page}");
    let place = &stage.place;
    let line = "pointsman_dns_answer_lease_expiry_seconds{site=\"ispot\"}";
    assert_eq!(place.metric(line), Some(0.0));
    let asked = Instant::now();
    assert_eq!(db(place), old(TTL));
    let ttl = Duration::from_secs(TTL.unsigned_abs());
    until("the lease is over", || {
        let left = place.metric(line).unwrap();
        // Seen after it was read, so what was left then is at most what is left here.
        let usable = ttl.saturating_sub(asked.elapsed());
        assert!(left >= usable.as_secs_f64(), "{left} {usable:?}");
        (left == 0.0).then_some(())
    });
    assert!(asked.elapsed() >= ttl);
}

#[test]
fn doubt_wins_over_what_a_flip_has_the_names_answer() {
    let table = ispot(None);
    let zones = ["ispot.example"].into();
    for answers in [Answers::Usual, Answers::Short, Answers::Withheld] {
        let asked = |position: Option<Position>| {
            let says = Says { position, answers };
            let contents = contents_of(&table, &zones, |_| says.clone()).unwrap();
            let serials = [("ispot.example".to_owned(), Serial(7))].into();
            let zones = Zones::compile(&contents, &serials, 1);
            ask(&zones, "db.ispot.example.", RecordType::A)
        };
        let position = at(Some("live"), 1).of(&table.sites[0].name).cloned();
        let given = asked(position).answers;
        assert_eq!(given.is_empty(), answers == Answers::Withheld);
        let doubt = at(None, 1).of(&table.sites[0].name).cloned();
        let code = asked(doubt).metadata.response_code;
        assert_eq!(code, ResponseCode::ServFail, "{answers:?}");
    }
}
