//! kill -9 at random moments of flips under load: never two sides, never a lost acknowledged flip,
//! and the site is served again within a second.

mod past;
mod users;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::daemon::{OneSite, POINTSMAN, Place};
use crate::support::origin::{Origin, Seen};
use crate::support::records::{self, Span, overlaps};
use crate::support::seed::Seed;
use crate::support::stage::Stage;
use crate::support::wait::until;

use past::Past;
use users::{Users, side_that_answers};

/// How long after its beginning a flip may still be hit: under this load it takes some 60 ms.
const HIT_WITHIN: Duration = Duration::from_millis(60);

/// How soon the site is to be served again, as a rule: somebody else may have the machine just then.
const SERVED_WITHIN: Duration = Duration::from_secs(1);

fn rounds() -> usize {
    if std::env::var_os("POINTSMAN_SOAK").is_some() {
        200
    } else {
        20
    }
}

/// One life of the daemon, from a kill to the next.
struct Life {
    /// When the one before was killed, and when this one was started.
    killed: Instant,
    started: Instant,
    served_after: Duration,
    /// The site rests at this side from then on, until somebody asks for the next flip.
    side: String,
    rests: Instant,
    next_asked: Instant,
}

/// How a flip was asked for.
enum Asked {
    Edit,
    Command(Child),
}

impl Asked {
    /// Asks for it, and does not wait for the answer.
    fn ask(place: &Place, round: usize, to: &str) -> Self {
        if round % 2 == 1 {
            edit(place, to);
            return Self::Edit;
        }
        let mut flip = Command::new(POINTSMAN);
        flip.args(["flip", "ispot", "--yes", "--to", to, "--socket"])
            .arg(place.state().join("admin.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self::Command(flip.spawn().unwrap())
    }

    /// Tells whether somebody was told that the flip is done.
    fn acknowledged(self) -> bool {
        match self {
            Self::Edit => false,
            Self::Command(mut child) => child.wait().unwrap().code() == Some(0),
        }
    }
}

/// Edits the word; one that a kill has left diverged is set right before.
fn edit(place: &Place, to: &str) {
    let from = if to == "live" { "backup" } else { "live" };
    if place.word() == to {
        place.sed(&format!("s/active: {to}/active: {from}/"));
        until("the word that is set right is read", || {
            (place.site()["desired"] == from).then_some(())
        });
    }
    place.sed(&format!("s/active: {from}/active: {to}/"));
}

/// Kills the daemon in a flip to the other side, and starts it again; its new life.
fn round(stage: &mut Stage, number: usize, from: &str, seed: &mut Seed) -> Life {
    let to = if from == "live" { "backup" } else { "live" };
    let place = &stage.place;
    let asked = Asked::ask(place, number, to);
    // Now and then before it has begun at all.
    if number % 4 < 3 {
        stage.daemon.until_said("flip rehearsing");
    }
    std::thread::sleep(seed.time_below(HIT_WITHIN));
    stage.daemon.signal("KILL");
    stage.daemon.wait();
    let killed = Instant::now();
    let acknowledged = asked.acknowledged();
    let (past, word) = (Past::of(place), place.word());
    assert!(
        !acknowledged || past.active == to,
        "round {number}: acknowledged, and lost: {past:?}"
    );

    let started = Instant::now();
    stage.daemon = place.spawn("run", &[]);
    let http = place.http().parse().unwrap();
    let first = until("the site is served", || side_that_answers(http));
    let served_after = started.elapsed();
    let is_asked = past.is_asked_by(&word);
    assert!(
        first == past.active || is_asked,
        "round {number}: {first} answers first: {past:?}"
    );
    let side = if is_asked {
        to.into()
    } else {
        past.active.clone()
    };
    assert_rests(place, number, &side, &past);
    println!(
        "round {number}: to {to}, acknowledged {acknowledged}, asked again {is_asked}: {side}"
    );
    Life {
        killed,
        started,
        served_after,
        side,
        rests: Instant::now(),
        next_asked: Instant::now(),
    }
}

/// Waits until nothing is under way, and looks at what is shown.
fn assert_rests(place: &Place, round: usize, side: &str, past: &Past) {
    let status = until("the site rests where it is to be", || {
        let status = place.status_json()?;
        let site = &status["sites"][0];
        let flips = status["flips"].as_array()?;
        let is_over = flips.iter().all(|flip| !flip["outcome"].is_null());
        (is_over && site["flip"].is_null() && site["active"] == side).then_some(status)
    });
    let site = &status["sites"][0];
    assert!(site["epoch"].as_u64().unwrap() >= past.epoch, "{site}");
    until(
        "the word of the file agrees, or the site is diverged",
        || {
            let is_diverged = place.site()["diverged"] == true;
            (is_diverged != (place.word() == side)).then_some(())
        },
    );
    let http = place.http().parse().unwrap();
    let answers = side_that_answers(http);
    assert_eq!(answers.as_deref(), Some(side), "round {round}");
}

/// The spans of an origin's requests. A kill ends what is in work, whatever its origin still does
/// with it, and what is read from a connection of the dead was sent before it died.
fn spans(origin: &Origin, lives: &[Life]) -> Vec<Span> {
    let now = Instant::now();
    let of = |seen: Seen| {
        let began = seen.began;
        let ended = seen.ended.unwrap_or(now);
        let of_the_dead = lives
            .iter()
            .find(|life| (life.killed..life.started).contains(&began));
        if let Some(life) = of_the_dead {
            return (life.killed, life.killed);
        }
        let cut = lives
            .iter()
            .map(|life| life.killed)
            .find(|killed| *killed > began);
        (began, cut.map_or(ended, |killed| ended.min(killed)))
    };
    records::users(origin).into_iter().map(of).collect()
}

/// While the site rests, every request goes to the one side.
fn assert_one_side(stage: &Stage, lives: &[Life]) {
    let (live, backup) = (spans(&stage.live, lives), spans(&stage.backup, lives));
    let enough = 20 * lives.len();
    assert!(
        live.len() + backup.len() > enough,
        "too little load to show anything"
    );
    assert_eq!(overlaps(&live, &backup), 0, "both sides in work at once");
    for (number, life) in lives.iter().enumerate() {
        let other = if life.side == "live" { &backup } else { &live };
        let rest = life.rests..life.next_asked;
        let stray = other
            .iter()
            .filter(|(began, _)| rest.contains(began))
            .count();
        assert_eq!(
            stray, 0,
            "after round {number}: not all go to {}",
            life.side
        );
    }
}

fn print_figures(lives: &[Life]) {
    let mut served: Vec<_> = lives.iter().map(|life| life.served_after).collect();
    served.sort();
    let (median, most) = (served[served.len() / 2], served[served.len() - 1]);
    println!(
        "{} kills: served again after {median:?} (median), {most:?} (most)",
        lives.len()
    );
    assert!(median < SERVED_WITHIN, "served again only after {median:?}");
}

#[test]
fn killed_at_random_moments_of_flips_under_load_a_site_is_on_one_side_and_nothing_told_is_lost() {
    let mut seed = Seed::take("kills");
    let mut stage =
        Stage::with(&OneSite::flipping("{during: hold, drain: {for: 10s}}").without_names());
    let users = Users::start(stage.place.http().parse().unwrap());
    let mut lives: Vec<Life> = Vec::new();
    for number in 0..rounds() {
        let from = lives
            .last()
            .map_or("live", |life| life.side.as_str())
            .to_owned();
        let served = stage.live.count() + stage.backup.count();
        until("there is load", || {
            (stage.live.count() + stage.backup.count() > served + 20).then_some(())
        });
        if let Some(last) = lives.last_mut() {
            last.next_asked = Instant::now();
        }
        let life = round(&mut stage, number, &from, &mut seed);
        lives.push(life);
    }
    lives.last_mut().unwrap().next_asked = Instant::now();
    let written = users.end();
    assert_one_side(&stage, &lives);
    let kept = [stage.live.observations(), stage.backup.observations()].concat();
    let once: BTreeSet<String> = kept.iter().cloned().collect();
    assert_eq!(kept.len(), once.len(), "a write arrived twice");
    assert!(
        written.is_subset(&once),
        "an answered write is at neither side"
    );
    print_figures(&lives);
}
