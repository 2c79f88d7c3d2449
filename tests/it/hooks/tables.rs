//! What is said of the hooks of a table, and when an edit of them counts.

use super::{file, stage};

#[test]
fn a_program_that_is_not_there_is_a_warning_of_check_and_refuses_the_flip() {
    let stage = stage("{hooks: {sync: [[copy-all-files, -a]], restore: [[touch, never]]}}");
    let place = &stage.place;
    let table = place.file();
    let table = table.to_str().unwrap();

    let checked = place.pointsman(&["check", table]);
    let warned = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(0), "{warned}");
    let why = "sites.ispot.flip.hooks.sync: hook copy-all-files cannot be run here: there is no \
               program copy-all-files in PATH";
    assert!(
        warned.contains(why) && warned.starts_with("warning: "),
        "{warned}"
    );
    let checked = place.pointsman(&["check", table, "-o", "json"]).stdout;
    let found: serde_json::Value = serde_json::from_slice(&checked).unwrap();
    assert_eq!(found[0]["severity"], "warning", "{found}");
    assert_eq!(found[0]["key"], "sites.ispot.flip.hooks.sync", "{found}");

    let (code, said) = place.flip("backup");
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("sync hook copy-all-files of ispot cannot be run"),
        "{said}"
    );
    assert_eq!(place.flip_ended(1)["outcome"], "refused");
    assert!(!file(place, "never").exists());
}

#[test]
fn an_edit_of_hooks_is_a_plain_reload_and_the_next_flip_runs_the_new_ones() {
    let stage = stage("{hooks: {sync: [[touch, old]]}}");
    let place = &stage.place;
    let before = place.generation();

    place.edit(&[("[touch, old]", "[touch, new]")]);
    place.until_generation(before + 1);

    assert_eq!(place.flips(), 0);
    assert_eq!(place.flip("backup").0, 0);
    assert!(file(place, "new").exists() && !file(place, "old").exists());
}
