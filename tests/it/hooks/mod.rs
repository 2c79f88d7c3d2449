//! Hooks: the commands that run at a flip, as real processes.
//!
//! `flips` has what they see and what follows from their results, `ends` how they are ended and
//! what is left of them, `crash` what a daemon that dies or stops in the middle leaves, `last` what
//! runs when a flip is over, and `tables` what is said of a table's hooks. Each hook leaves files
//! beside the table, which is where it runs; none of them may leave a process.

mod crash;
mod ends;
mod flips;
mod last;
mod tables;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::stage::Stage;
use crate::support::wait::until;

/// A site with hooks, `flip:` as it is written.
fn stage(flip: &'static str) -> Stage {
    Stage::with(&OneSite::flipping(flip))
}

/// A file beside the table.
fn file(place: &Place, name: &str) -> PathBuf {
    place.file().with_file_name(name)
}

/// Waits for a whole line in a file that a hook writes.
fn until_line(place: &Place, name: &str) -> String {
    until(&format!("a line in {name}"), || {
        let text = fs::read_to_string(file(place, name)).ok()?;
        let line = text.lines().next()?;
        text.ends_with('\n').then(|| line.to_owned())
    })
}

fn until_there(place: &Place, name: &str) {
    until(&format!("the file {name}"), || {
        file(place, name).exists().then_some(())
    });
}

/// Begins a flip to backup with a command that is not waited for.
fn begin(place: &Place) -> Daemon {
    let mut flip = Command::new(POINTSMAN);
    flip.args(["flip", "ispot", "--to", "backup", "--yes", "--socket"]);
    Daemon::spawn(flip.arg(place.state().join("admin.sock")))
}

/// The numbers of the processes of a place's hooks that run a command; all of them run beside the
/// table.
fn processes(place: &Place, command: &str) -> Vec<String> {
    let folder = place.file().parent().unwrap().canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap());
    let runs = all.filter(|process| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let is_here = fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder);
        is_here && words.trim() == command
    });
    runs.map(|process| process.file_name().into_string().unwrap())
        .collect()
}

/// How long each hook of the first flip ran, and how it ended, as the journal has it.
fn journalled(place: &Place) -> Vec<(String, String, String)> {
    let journal = place.journal();
    let query = "SELECT phase, coalesce(result, '-'), coalesce(output, '-') FROM hooks
                 WHERE flip = 1 ORDER BY number";
    let mut query = journal.prepare(query).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}
