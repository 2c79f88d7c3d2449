//! What the command line says, and its exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `pointsman` in a folder, without a terminal.
fn pointsman(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("POINTSMAN_SOCKET")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn the_help_of_each_verb_has_an_example() {
    let folder = tempfile::tempdir().unwrap();

    for verb in ["run", "check", "status", "flip", "demo"] {
        let help = pointsman(folder.path(), &[verb, "--help"]);

        let text = said(&help);
        assert_eq!(help.status.code(), Some(0), "{text}");
        assert!(text.contains("Example"), "{text}");
        assert!(text.contains(&format!("\n  pointsman {verb}")), "{text}");
    }
}

#[test]
fn a_wrong_argument_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();

    for wrong in [
        &["stauts"][..],
        &["flip"][..],
        &["flip", "ispot", "--during", "nap", "--yes"][..],
        &["flip", "--cancel", "1", "ispot"][..],
        &["status", "-o", "xml"][..],
    ] {
        let output = pointsman(folder.path(), wrong);

        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_exit_code_7_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();

    for verb in [
        &["status"][..],
        &["flip", "ispot", "--yes"],
        &["flip", "--cancel", "3", "--yes"],
    ] {
        let output = pointsman(folder.path(), verb);

        let text = said(&output);
        assert_eq!(output.status.code(), Some(7), "{verb:?}: {text}");
        assert!(text.contains("pointsman run"), "{text}");
        assert!(text.contains("state/admin.sock"), "{text}");
    }
}

#[test]
fn a_flip_without_a_terminal_needs_yes() {
    let folder = tempfile::tempdir().unwrap();

    let output = pointsman(folder.path(), &["flip", "ispot", "--to", "backup"]);

    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--yes"), "{text}");
}

#[test]
fn the_socket_is_the_one_that_was_named() {
    let folder = tempfile::tempdir().unwrap();

    let output = pointsman(folder.path(), &["status", "--socket", "here/other.sock"]);

    assert_eq!(output.status.code(), Some(7));
    assert!(
        said(&output).contains("here/other.sock"),
        "{}",
        said(&output)
    );
}

#[test]
fn check_of_a_good_file_is_one_line_and_exit_code_0() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));

    let output = pointsman(repository, &["check"]);

    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("ispot, megalab"), "{text}");
}

#[test]
fn check_of_a_bad_file_says_the_place_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let routes = include_str!("../../routes.yaml").replace("active: live", "actve: live");
    std::fs::write(folder.path().join("routes.yaml"), routes).unwrap();

    let output = pointsman(folder.path(), &["check", "routes.yaml"]);

    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("routes.yaml:"), "{text}");
    assert!(text.contains("actve"), "{text}");
    assert!(text.contains("active"), "{text}");
}

#[test]
fn check_of_a_missing_file_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();

    let output = pointsman(folder.path(), &["check", "nosuch.yaml"]);

    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("nosuch.yaml"), "{}", said(&output));
}
