//! The rules of a site: how soon it may move again, and that a flip has a reason.

use crate::support::daemon::{OneSite, Place};
use crate::support::stage::Stage;
use crate::support::wait::until;

fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let done = place.pointsman(arguments);
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (done.status.code(), said)
}

#[test]
fn a_site_stays_for_a_while_after_a_flip_but_its_way_back_and_an_emergency_need_not_wait() {
    let stage = Stage::with(&OneSite::flipping("{during: page, min_interval: 1h}"));
    let place = &stage.place;
    assert_eq!(place.flip("backup").0, 0, "the first is soon after nothing");

    let (code, said) = place.flip("live");
    assert_eq!(code, 3, "{said}");
    for part in [
        "has moved in flip 1",
        "flip.min_interval",
        "--force-interval",
        "undo",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(place.site()["active"], "backup");
    let (code, said) = run(place, &["plan", "ispot"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("flip.min_interval"), "{said}");
    // An edit is no other way around it.
    place.sed("s/active: backup/active: live/");
    let refused = place.flip_ended(3);
    assert_eq!(refused["outcome"], "refused", "{refused}");
    assert_eq!(place.site()["diverged"], true);
    place.sed("s/active: live/active: backup/");
    until("the word is what is", || {
        (place.site()["diverged"] == false).then_some(())
    });

    let forced = ["flip", "ispot", "--to", "live", "--force-interval", "--yes"];
    let (code, said) = run(place, &forced);
    assert_eq!(code, Some(2), "without a reason: {said}");
    let (code, said) = run(
        place,
        &[&forced[..], &["--reason", "backup burns"]].concat(),
    );
    assert_eq!(code, Some(0), "{said}");
    let journalled: String = place
        .journal()
        .query_row(
            "SELECT skipped FROM flips WHERE state = 'settled' AND id > 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(journalled, "interval");

    let (code, said) = run(place, &["undo", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let emergency = [
        "flip",
        "ispot",
        "--now",
        "--reason",
        "backup is dead",
        "--yes",
    ];
    let (code, said) = run(place, &emergency);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_site_may_want_to_know_why_it_is_moved() {
    let stage = Stage::with(&OneSite::flipping("{during: page, require_reason: true}"));
    let place = &stage.place;
    let (code, said) = run(place, &["flip", "ispot", "--yes"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("add --reason"), "{said}");
    let (code, said) = run(place, &["flip", "ispot", "--yes", "--reason", "  "]);
    assert_eq!(code, Some(3), "blanks are no reason: {said}");
    place.sed("s/active: live/active: backup/");
    assert_eq!(place.flip_ended(3)["outcome"], "refused");
    place.sed("s/active: backup/active: live/");
    until("the word is what is", || {
        (place.site()["diverged"] == false).then_some(())
    });
    place.sed("s/active: live .*/active: backup\\n    reason: new disks/");
    let flip = place.flip_ended(4);
    assert_eq!(
        (&flip["outcome"], &flip["reason"]),
        (&"settled".into(), &"new disks".into()),
        "{flip}"
    );
}
