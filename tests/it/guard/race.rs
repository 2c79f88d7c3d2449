//! Jobs and flips at the same instants: never both at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::*;

/// Flips that are raced against; more in `tests/soak`.
fn races() -> usize {
    if std::env::var_os("POINTSMAN_SOAK").is_some() {
        1_000
    } else {
        50
    }
}

/// From when to when, by the clock of this machine.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

/// What a job saw.
#[derive(Clone, Debug)]
struct Seen {
    span: Span,
    active: String,
}

#[test]
fn a_job_and_a_flip_never_run_at_once() {
    let stage = guarded("{guard_wait: 30s, drain: {for: 1s, then: cut}}");
    let over = AtomicBool::new(false);

    let (flips, refused) = std::thread::scope(|scope| {
        for job in 0..3 {
            scope.spawn({
                let (stage, over) = (&stage, &over);
                move || run_jobs(stage, over, job)
            });
        }
        let flips = run_flips(&stage);
        over.store(true, Ordering::Relaxed);
        flips
    });

    let jobs = jobs(&stage);
    assert!(
        jobs.len() > races() / 2,
        "{} jobs, {refused} flips refused",
        jobs.len()
    );
    for flip in &flips {
        let meets = |job: &&Seen| job.span.from < flip.to && flip.from < job.span.to;
        let met = jobs.iter().find(meets);
        assert!(met.is_none(), "{flip:?} and {met:?}");
    }
    for side in ["live", "backup"] {
        assert!(
            jobs.iter().any(|job| job.active == side),
            "no job on {side}"
        );
    }
    stage.until_no_lease();
}

/// Runs one job after the other, as many schedulers at once would.
fn run_jobs(stage: &Guarded, over: &AtomicBool, number: usize) {
    let script = format!(
        "b=$(date +%s%N); sleep 0.0$(($$ % 5)); echo $b $(date +%s%N) $POINTSMAN_FROM >> jobs.{number}"
    );
    while !over.load(Ordering::Relaxed) {
        let (code, said) = stage.script(REPORT, &script);
        assert!(matches!(code, Some(0 | 75)), "{code:?}: {said}");
    }
}

/// Flips to and fro; the spans in which users were held, and how many were refused.
fn run_flips(stage: &Guarded) -> (Vec<Span>, usize) {
    let (mut spans, mut refused) = (Vec::new(), 0);
    for race in 0..races() {
        let to = if race % 2 == 0 { "backup" } else { "live" };
        let body = format!(r#"{{"moves": [{{"site": "ispot", "to": "{to}"}}]}}"#);
        let begun = stage.place.post_flip(&[], &body);
        assert_eq!(begun.status, 202, "{begun:?}");
        let id = begun.body["id"].as_u64().unwrap();
        let flip = until("the flip ends", || {
            let flip = stage.place.get(&format!("/api/v1/flips/{id}"), &[]).body;
            (!flip["outcome"].is_null()).then_some(flip)
        });
        refused += usize::from(flip["outcome"] != "settled");
        assert_eq!(flip["outcome"], "settled", "{flip}");
        spans.extend(held(&flip));
        std::thread::sleep(Duration::from_millis(20 + 7 * (race as u64 % 9)));
    }
    (spans, refused)
}

/// From the hold to the end of a flip.
fn held(flip: &Value) -> Option<Span> {
    let at = |entry: &Value| entry["at"].as_str().unwrap().parse().unwrap();
    let timeline = flip["timeline"].as_array().unwrap();
    let from = timeline.iter().find(|entry| entry["phase"] == "holding")?;
    Some(Span {
        from: at(from),
        to: at(timeline.last()?),
    })
}

fn jobs(stage: &Guarded) -> Vec<Seen> {
    let files = (0..3).map(|number| stage.place.path().join(format!("jobs.{number}")));
    let text: String = files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let moment = |ns: &str| Timestamp::from_nanosecond(ns.parse().unwrap()).unwrap();
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap();
            Seen {
                span: Span {
                    from: moment(next()),
                    to: moment(next()),
                },
                active: next().to_owned(),
            }
        })
        .collect()
}
