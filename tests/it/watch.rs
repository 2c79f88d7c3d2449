//! The watcher of routes.yaml, with real files: every way to change a file is seen.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pointsman::control::{Watch, watch};
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};

/// A change must be reported within this time; the poll takes 1 s on an idle machine.
const DEADLINE: Duration = Duration::from_secs(10);

struct Watched {
    folder: TempDir,
    path: PathBuf,
    changes: Receiver<()>,
    _watch: Watch,
}

impl Watched {
    /// Makes a folder as `prepare` does and watches `routes.yaml` in it.
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::new().unwrap();
        prepare(folder.path());
        let path = folder.path().join("routes.yaml");
        let (on_change, changes) = channel(1);
        let watch = watch(path.clone(), on_change).unwrap();
        Self {
            folder,
            path,
            changes,
            _watch: watch,
        }
    }

    fn file() -> Self {
        Self::new(|folder| fs::write(folder.join("routes.yaml"), "one").unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until a change is reported and the file says what is expected.
    fn sees(&mut self, expected: Option<&str>) {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if self.changes.try_recv().is_ok() {
                let text = fs::read_to_string(&self.path).ok();
                if text.as_deref() == expected {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("no change to {expected:?} was reported");
    }
}

#[test]
fn a_file_written_in_place_is_seen() {
    let mut watched = Watched::file();
    let mut file = fs::File::create(&watched.path).unwrap();
    file.write_all(b"tw").unwrap();
    file.write_all(b"o").unwrap();
    watched.sees(Some("two"));
    fs::write(&watched.path, "six").unwrap();
    watched.sees(Some("six"));
}

#[test]
fn a_file_renamed_over_is_seen_each_time() {
    let mut watched = Watched::file();
    for text in ["two", "three", "four"] {
        fs::write(watched.at("new"), text).unwrap();
        fs::rename(watched.at("new"), &watched.path).unwrap();
        watched.sees(Some(text));
    }
}

#[test]
fn a_swapped_symlink_and_a_write_to_its_target_are_seen() {
    let mut watched = Watched::new(|folder| {
        fs::create_dir(folder.join("a")).unwrap();
        fs::create_dir(folder.join("b")).unwrap();
        fs::write(folder.join("a/routes"), "one").unwrap();
        fs::write(folder.join("b/routes"), "two").unwrap();
        symlink("a/routes", folder.join("routes.yaml")).unwrap();
    });
    symlink("b/routes", watched.at("new")).unwrap();
    fs::rename(watched.at("new"), &watched.path).unwrap();
    watched.sees(Some("two"));
    fs::write(watched.at("b/routes"), "three").unwrap();
    watched.sees(Some("three"));
}

#[test]
fn a_swapped_data_folder_as_of_a_config_map_is_seen() {
    let mut watched = Watched::new(|folder| {
        for (name, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("routes.yaml"), text).unwrap();
        }
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/routes.yaml", folder.join("routes.yaml")).unwrap();
    });
    symlink("..2", watched.at("..data_tmp")).unwrap();
    fs::rename(watched.at("..data_tmp"), watched.at("..data")).unwrap();
    watched.sees(Some("two"));
}

#[test]
fn a_file_deleted_and_made_again_is_seen() {
    let mut watched = Watched::file();
    fs::remove_file(&watched.path).unwrap();
    watched.sees(None);
    fs::write(&watched.path, "one").unwrap();
    watched.sees(Some("one"));
}

#[test]
fn a_replaced_directory_is_seen() {
    let mut watched = Watched::new(|folder| {
        fs::create_dir(folder.join("etc")).unwrap();
        fs::write(folder.join("etc/routes"), "one").unwrap();
        symlink("etc/routes", folder.join("routes.yaml")).unwrap();
    });
    fs::create_dir(watched.at("new")).unwrap();
    fs::write(watched.at("new/routes"), "two").unwrap();
    fs::rename(watched.at("etc"), watched.at("old")).unwrap();
    fs::rename(watched.at("new"), watched.at("etc")).unwrap();
    watched.sees(Some("two"));
    fs::write(watched.at("etc/routes"), "three").unwrap();
    watched.sees(Some("three"));
}

#[test]
fn a_file_that_is_not_touched_is_never_reported() {
    let mut watched = Watched::file();
    fs::write(watched.at("other"), "two").unwrap();
    fs::read(&watched.path).unwrap();
    let quiet = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < quiet {
        assert!(
            watched.changes.try_recv().is_err(),
            "reported without a change"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(&watched.path, "two").unwrap();
    watched.sees(Some("two"));
}

#[test]
fn a_file_changed_there_and_back_is_seen() {
    let mut watched = Watched::file();
    fs::write(&watched.path, "two").unwrap();
    watched.sees(Some("two"));
    // Faster than a look: whoever is told may have read the file in between by himself.
    for text in ["three", "two"] {
        fs::write(watched.at("new"), text).unwrap();
        fs::rename(watched.at("new"), &watched.path).unwrap();
    }
    watched.sees(Some("two"));
}

#[test]
fn a_dropped_watch_stops_and_closes_its_channel() {
    let Watched {
        _watch,
        mut changes,
        folder,
        ..
    } = Watched::file();
    drop(_watch);
    fs::write(folder.path().join("routes.yaml"), "two").unwrap();
    assert_eq!(changes.blocking_recv(), None);
}

#[test]
fn a_change_there_and_back_before_the_first_look_is_reported() {
    // As at a start that rewrites a word, when somebody edits it back at once: the daemon has read
    // what was in between.
    let mut file = Watched::file();
    for text in ["two", "one"] {
        fs::write(file.at("beside"), text).unwrap();
        fs::rename(file.at("beside"), &file.path).unwrap();
    }
    file.sees(Some("one"));
}
