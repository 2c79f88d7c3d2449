//! The examples of `deploy/examples/guard`, as cron and systemd would run them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/guard");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The arguments of each guard in a file, word by word.
fn guards(name: &str) -> Vec<Vec<String>> {
    let text = read(name);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let calls = lines.filter_map(|line| line.split_once("pointsman guard "));
    calls
        .map(|(_, words)| words.split(' ').map(str::to_owned).collect())
        .collect()
}

/// Puts a script on a `PATH` of the test's own.
fn put(stage: &Guarded, name: &str, script: &str) {
    let file = stage.place.path().join("bin").join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn path(stage: &Guarded) -> String {
    let usual = std::env::var("PATH").unwrap();
    format!("{}:{usual}", stage.place.path().join("bin").display())
}

#[test]
fn of_both_pairs_the_one_whose_turn_it_is_copies_and_the_other_says_nothing() {
    let stage = guarded("{}");
    let copied = "echo $POINTSMAN_FROM to $POINTSMAN_TO >> copied";
    put(&stage, "copy-to-standby", copied);
    for name in ["copy.cron", "pointsman-copy.service"] {
        let guards = guards(name);
        let [of_live] = &guards[..] else {
            panic!("{name}: one pair, one direction: {guards:?}");
        };
        // As the comment above it says.
        let of_backup = of_live
            .join(" ")
            .replace("--from live --to backup", "--from backup --to live");
        let both = [of_live.join(" "), of_backup];
        let codes = both.iter().map(|words| {
            let words = words
                .split(' ')
                .map(|word| word.replace("/usr/local/bin/", ""));
            let mut guard = Command::new(POINTSMAN);
            guard
                .arg("guard")
                .args(words)
                .env("POINTSMAN_SOCKET", stage.place.state().join("admin.sock"))
                .env("PATH", path(&stage))
                .current_dir(stage.place.path());
            let done = guard.output().unwrap();
            assert!(done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
            done.status.code().unwrap()
        });
        assert_eq!(codes.collect::<Vec<_>>(), [0, 75], "{name}");
    }
    let copied = fs::read_to_string(stage.place.path().join("copied")).unwrap();
    assert_eq!(copied, "live to backup\n".repeat(2));
}

#[test]
fn systemd_reads_the_service_and_the_timer_and_takes_75_as_well() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["pointsman-copy.service", "pointsman-copy.timer"] {
        let text = read(name).replace("/usr/bin/pointsman", POINTSMAN);
        fs::write(scratch.path().join(name), text).unwrap();
    }

    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(scratch.path().join("pointsman-copy.service"))
        .arg(scratch.path().join("pointsman-copy.timer"))
        .output()
        .unwrap();

    let said = String::from_utf8([verified.stdout, verified.stderr].concat()).unwrap();
    assert_eq!((verified.status.code(), said.as_str()), (Some(0), ""));
    let service = read("pointsman-copy.service");
    assert!(service.contains("SuccessExitStatus=75"));
}

#[test]
fn the_script_copies_what_the_guard_says_and_the_first_thing_that_fails_ends_it() {
    let stage = guarded("{}");
    put(&stage, "rsync", "echo rsync $* >> done");
    put(&stage, "mysqldump", "echo mysqldump $* >> done; echo rows");
    put(
        &stage,
        "ssh",
        "echo ssh $* with $(cat) >> done; exit $(cat fails 2>/dev/null || echo 0)",
    );
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/guard/copy-to-standby");
    let copy = || {
        let mut guard = stage.command(COPY, &[script.to_str().unwrap()]);
        guard
            .env("PATH", path(&stage))
            .output()
            .unwrap()
            .status
            .code()
    };

    assert_eq!(copy(), Some(0));

    let mut done: Vec<_> = fs::read_to_string(stage.place.path().join("done"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    done.sort();
    assert_eq!(
        done,
        [
            "mysqldump --single-transaction --routines --triggers ispot",
            "rsync -a --delete /srv/ispot/files/ db.backup.inside:/srv/ispot/files/",
            "ssh db.backup.inside mysql ispot with rows",
        ]
    );
    fs::write(stage.place.path().join("fails"), "255").unwrap();
    assert_eq!(copy(), Some(255));
    assert!(stage.is_torn("backup"));
    put(&stage, "mysqldump", "exit 3");
    fs::remove_file(stage.place.path().join("fails")).unwrap();
    assert_eq!(copy(), Some(3), "in a pipe too");
}
