//! The figures side by side, in the form that docs/performance.md has them in.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contest::Tally;

pub(crate) fn print(tallies: &[Tally]) {
    println!();
    row("", tallies, |tally| tally.name.into());
    row("---", tallies, |_| "---".into());
    row("flips", tallies, |tally| tally.took.len().to_string());
    row("requests", tallies, |tally| {
        (tally.saw.waited.len() + tally.saw.failed.len()).to_string()
    });
    row("failed", tallies, |tally| {
        tally.saw.failed.len().to_string()
    });
    row(
        "stale: begun at the old side after done",
        tallies,
        |tally| tally.stale.to_string(),
    );
    row("still in work there when done", tallies, |tally| {
        tally.still_in_work.to_string()
    });
    row("double: both sides in work", tallies, |tally| {
        tally.double.to_string()
    });
    row(
        "the same, work taken to end with its connection",
        tallies,
        |tally| tally.double_until_cut.to_string(),
    );
    row("time to done, median", tallies, |tally| {
        at(&tally.took, 0.5)
    });
    row("time to done, max", tallies, |tally| at(&tally.took, 1.0));
    row("an answer took, median", tallies, |tally| {
        at(&tally.saw.waited, 0.5)
    });
    row("an answer took, p99.9", tallies, |tally| {
        at(&tally.saw.waited, 0.999)
    });
    row("an answer took, max", tallies, |tally| {
        at(&tally.saw.waited, 1.0)
    });
    println!();
    for tally in tallies {
        print_later(tally);
        print_failures(tally);
    }
    warn_of_ourselves(&tallies[0]);
}

fn row(what: &str, tallies: &[Tally], cell: impl Fn(&Tally) -> String) {
    let cells: Vec<_> = tallies.iter().map(cell).collect();
    println!("| {what} | {} |", cells.join(" | "));
}

fn at(durations: &[Duration], share: f64) -> String {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let Some(last) = sorted.len().checked_sub(1) else {
        return "not seen".into();
    };
    let found = sorted[(last as f64 * share) as usize];
    format!("{:.1} ms", found.as_secs_f64() * 1e3)
}

fn print_later(tally: &Tally) {
    for (what, later) in &tally.later {
        println!(
            "{}: {what} after {} (max {}), seen in {} of {} flips; stale from then on: {}",
            tally.name,
            at(&later.took, 0.5),
            at(&later.took, 1.0),
            later.took.len(),
            tally.took.len(),
            later.stale
        );
    }
}

fn print_failures(tally: &Tally) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for what in &tally.saw.failed {
        *kinds.entry(what).or_default() += 1;
    }
    for (what, count) in kinds {
        println!("{}: failed {count} times: {what}", tally.name);
    }
}

/// What must be 0 here is a fault of Pointsman, and is not to be overlooked.
fn warn_of_ourselves(ours: &Tally) {
    let faults = [
        ("failed", ours.saw.failed.len()),
        ("stale", ours.stale),
        ("still in work", ours.still_in_work),
        ("double", ours.double),
    ];
    for (what, count) in faults.into_iter().filter(|(_, count)| *count > 0) {
        println!("FAULT OF POINTSMAN: {what}: {count}, and a flip that holds must have none");
    }
}
