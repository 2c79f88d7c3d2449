//! A model of one site, held against the real process: random edits, flips, access, mistakes,
//! cancels, kills and restarts, and after each what users and operators see.

mod process;
mod reference;

use std::time::{Duration, Instant};

use crate::support::seed::Seed;
use crate::support::wait::PATIENCE;

use process::Process;
use reference::{By, Mistake, SIDES, Seen, Site, Step};

fn steps() -> usize {
    if std::env::var_os("POINTSMAN_SOAK").is_some() {
        500
    } else {
        25
    }
}

/// Draws steps until one may be taken as things stand.
fn next(site: &Site, seed: &mut Seed) -> Step {
    loop {
        let side = seed.pick(&SIDES);
        let by = seed.pick(&[By::Edit, By::Command]);
        let access = seed.pick(&["open", "open", "read-only", "maintenance"]);
        let mistake = seed.pick(&[Mistake::Key, Mistake::Syntax]);
        let is_fit = seed.below(3) > 0;
        let step = seed.pick(&[
            Step::Word(side),
            Step::Word(site.other()),
            Step::Flip(side),
            Step::Flip(site.other()),
            Step::Access(access),
            Step::Fit(is_fit),
            Step::Break(mistake),
            Step::Repair,
            Step::Cancel(by),
            Step::EditBack,
            Step::Hup,
            Step::Kill,
            Step::KillAndEdit(side),
            Step::KillInFlip(by),
        ]);
        if site.may(step) {
            return step;
        }
    }
}

/// Waits until the process shows what the model says; else what it shows, in words.
fn settle(process: &Process, expected: &Seen) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = process.seen();
        if seen.as_ref() == Some(expected) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{seen:?}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_process_does_what_the_model_says_whatever_happens_to_it() {
    let mut seed = Seed::take("model");
    let mut process = Process::start();
    let mut site = Site::first();
    let mut taken: Vec<Step> = Vec::new();
    for _ in 0..steps() {
        let step = next(&site, &mut seed);
        taken.push(step);
        let exit = process.take(step, &site);
        let expected_exit = site.take(step);
        assert_eq!(exit, expected_exit, "exit code after {taken:?}");
        if let Err(seen) = settle(&process, &site.seen()) {
            panic!(
                "after {taken:?}\n  the model: {:?}\nthe process: {seen}",
                site.seen()
            );
        }
    }
    println!("{} steps: {taken:?}", taken.len());
    assert!(
        !process.daemon().said().contains("panicked"),
        "the daemon panicked"
    );
}
