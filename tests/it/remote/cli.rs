//! What the command line refuses, and what it takes from the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::daemon::Place;

use super::{Remote, pointsman, prepare, said};

#[test]
fn a_token_is_written_for_its_owner_only_and_its_digest_is_printed() {
    let place = Place::new();
    let token = |arguments: &[&str]| {
        let arguments = [&["token"], arguments].concat();
        said(&pointsman(&place, &arguments).output().unwrap())
    };
    let wanted = ["db-host", "--scope", "guard", "--out", "file"];

    let (code, line) = token(&wanted);
    let written = fs::read_to_string(place.path().join("file")).unwrap();
    let again = token(&wanted);

    assert_eq!(code, 0, "{line}");
    let mode = fs::metadata(place.path().join("file")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert!(
        written.starts_with("pm_") && written.trim().len() == 46,
        "{written}"
    );
    let sum = "printf %s \"$(cat file)\" | sha256sum | cut -d' ' -f1";
    let mut shell = Command::new("sh");
    let sum = said(
        &shell
            .args(["-c", sum])
            .current_dir(place.path())
            .output()
            .unwrap(),
    );
    let expected = format!(
        "- {{name: db-host, scope: guard, sha256: {}}}\n",
        sum.1.trim()
    );
    assert_eq!(line, expected);
    assert_eq!(again.0, 2, "{}", again.1);
    assert_eq!(
        fs::read_to_string(place.path().join("file")).unwrap(),
        written
    );
    for wrong in [
        &["a b", "--scope", "read"][..],
        &["x", "--scope", "all"],
        &["x"],
    ] {
        assert_eq!(token(wrong).0, 2, "{wrong:?}");
    }
    let alone = pointsman(&place, &["token", "x", "--scope", "read"])
        .output()
        .unwrap();
    let secret = String::from_utf8(alone.stdout).unwrap();
    assert!(
        secret.starts_with("pm_") && secret.lines().count() == 1,
        "{secret}"
    );
    assert!(String::from_utf8(alone.stderr).unwrap().contains("sha256"));
}

#[test]
fn a_bad_url_token_file_or_bundle_is_exit_code_2_and_says_what_to_write() {
    let place = Place::new();
    prepare(&place);
    let path = |name: &str| place.path().join(name);
    fs::write(path("empty"), "").unwrap();
    fs::write(path("long"), "x".repeat(300)).unwrap();
    for file in ["empty", "long"] {
        fs::set_permissions(path(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::copy(path("read"), path("shared")).unwrap();
    fs::set_permissions(path("shared"), fs::Permissions::from_mode(0o640)).unwrap();
    let secret = fs::read_to_string(path("read")).unwrap();
    let ca = "etc/tls/admin.pem";

    for (url, file, ca, part) in [
        ("https://a.example", "shared", ca, "chmod 600 shared"),
        ("https://a.example", "nosuch", ca, "No such file"),
        ("https://a.example", "etc", ca, "etc"),
        ("https://a.example", "empty", ca, "holds no token"),
        ("https://a.example", "long", ca, "holds no token"),
        ("https://a.example", "", ca, "--token-file"),
        ("http://a.example:9901", "read", ca, "without TLS"),
        ("http://127.0.0.1.example", "read", ca, "without TLS"),
        (
            "https://me:you@a.example",
            "read",
            ca,
            "no place for a secret",
        ),
        ("https://a.example/api", "read", ca, "it has a path"),
        ("a.example:9902", "read", ca, "https://HOST:PORT"),
        ("ftp://a.example", "read", ca, "not https"),
        (
            "https://a.example",
            "read",
            "nosuch.pem",
            "--ca: nosuch.pem",
        ),
        ("https://a.example", "read", "read", "no certificate in it"),
    ] {
        let mut command = pointsman(&place, &["status", "--url", url, "--ca", ca]);
        if !file.is_empty() {
            command.args(["--token-file", file]);
        }
        let (code, words) = said(&command.output().unwrap());
        assert_eq!(code, 2, "{url} {file} {ca}: {words}");
        assert!(words.contains(part), "{url} {file} {ca}: {words}");
        assert!(!words.contains(secret.trim()), "{words}");
    }
    let both = ["status", "--url", "https://a.example", "--socket", "x"];
    assert_eq!(said(&pointsman(&place, &both).output().unwrap()).0, 2);
}

#[test]
fn the_environment_says_where_the_daemon_is_unless_the_command_line_does() {
    let remote = Remote::start();
    let asked = |verb: &[&str], url: &str| {
        let mut command = pointsman(&remote.place, verb);
        command
            .env("POINTSMAN_URL", url)
            .env("POINTSMAN_TOKEN_FILE", remote.file("read"))
            .env("POINTSMAN_CA", remote.file("etc/tls/admin.pem"));
        said(&command.output().unwrap())
    };
    let socket = remote.place.state().join("admin.sock");
    let socket = socket.to_str().unwrap();

    let (code, words) = asked(&["status"], &remote.url());
    assert!(code == 0 && words.contains("ispot"), "{words}");
    let nobody = format!("https://{}:9", remote.place.ip);
    let (code, words) = asked(&["status"], &nobody);
    assert_eq!(code, 7, "{words}");
    assert!(words.contains(&nobody), "{words}");
    assert_eq!(asked(&["status", "--socket", socket], &nobody).0, 0);
    let plain = format!("http://{}:9901", remote.place.ip);
    assert_eq!(asked(&["status"], &plain).0, 0);
}

#[test]
fn tokens_with_a_plain_listener_that_others_reach_are_warned_of() {
    let place = Place::new();
    prepare(&place);
    let check = || {
        let check = &["check", "-o", "json", "etc/routes.yaml"];
        said(&pointsman(&place, check).output().unwrap())
    };
    let quiet = check();

    place.sed("s/admin: 127[0-9.]*:9901/admin: 192.0.2.1:9901/");
    let warned = check();

    assert_eq!((quiet.0, quiet.1.trim()), (0, "[]"));
    assert_eq!(warned.0, 0, "{}", warned.1);
    assert!(
        warned.1.contains("tokens can be read on their way"),
        "{}",
        warned.1
    );
}

#[test]
fn a_table_with_bad_tokens_is_refused_with_what_to_write() {
    let place = Place::new();
    prepare(&place);
    let good = place.text();
    let line = good
        .lines()
        .find(|line| line.contains("name: read"))
        .unwrap();
    let other = line.replace("name: read", "name: other");
    for (new, part) in [
        (format!("{line}\n{line}"), "has the name of another token"),
        (
            format!("{line}\n{other}"),
            "has the secret of another token",
        ),
        (
            line.replace("scope: read", "scope: raed"),
            "did you mean `read`",
        ),
        (line.replace("scope: read, ", ""), "scope"),
        (line.replace("sha256: ", "sha256: 0"), "no SHA-256"),
        (line.replace("name: read", "name: a b"), "a b"),
        (line.replace("sha256", "secret"), "unknown key"),
        (format!("{line}\n").repeat(300), "at most 256"),
    ] {
        place.replace(&good.replace(line, &new));
        let check = pointsman(&place, &["check", "etc/routes.yaml"]).output();
        let (code, words) = said(&check.unwrap());
        assert_eq!(code, 2, "{new}: {words}");
        assert!(words.contains(part), "{new}: {words}");
    }
}
