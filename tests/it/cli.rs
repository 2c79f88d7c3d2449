//! What the command line says, and its exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

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

    for verb in verbs() {
        let verb = verb.as_str();
        let help = pointsman(folder.path(), &[verb, "--help"]);

        let text = said(&help);
        assert_eq!(help.status.code(), Some(0), "{text}");
        assert!(text.contains("Example"), "{text}");
        assert!(text.contains(&format!("\n  pointsman {verb}")), "{text}");
    }
}

/// Every verb that the help lists, so that none is forgotten.
fn verbs() -> Vec<String> {
    let help = said(&pointsman(Path::new("."), &["--help"]));
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let lines = listed.lines().take_while(|line| line.starts_with("  "));
    let verbs: Vec<_> = lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|verb| verb != "help")
        .collect();
    assert!(verbs.len() >= 7, "{help}");
    verbs
}

#[test]
fn a_shell_can_complete_each_verb() {
    let folder = tempfile::tempdir().unwrap();

    let script = said(&pointsman(folder.path(), &["completions", "bash"]));

    std::fs::write(folder.path().join("completions"), &script).unwrap();
    let asks = "source ./completions; COMP_WORDS=(pointsman ''); COMP_CWORD=1; \
                _pointsman pointsman '' pointsman; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash")
        .args(["-c", asks])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let completed = said(&bash);
    for verb in verbs() {
        let found = completed.lines().any(|line| line == verb);
        assert!(found, "{verb} is not in\n{completed}");
    }
}

#[test]
fn check_says_the_same_as_data() {
    let folder = tempfile::tempdir().unwrap();
    let good = include_str!("../../routes.yaml");
    std::fs::write(
        folder.path().join("bad.yaml"),
        good.replace("active:", "actve:"),
    )
    .unwrap();
    let outside = good.replacen("ispot.example]", "www.elsewhere.example]", 1);
    std::fs::write(folder.path().join("odd.yaml"), outside).unwrap();
    std::fs::write(folder.path().join("good.yaml"), good).unwrap();
    let check = |file: &str| {
        let output = pointsman(folder.path(), &["check", "-o", "json", file]);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{}", said(&output));
        (output.status.code(), found)
    };

    let (bad, odd, good) = (check("bad.yaml"), check("odd.yaml"), check("good.yaml"));
    let missing = check("nosuch.yaml");

    assert_eq!(
        (bad.0, odd.0, good.0, missing.0),
        (Some(2), Some(0), Some(0), Some(2))
    );
    assert_eq!(bad.1.as_array().unwrap().len(), 2, "{}", bad.1);
    let expected = serde_json::json!({
        "file": "bad.yaml",
        "line": 20,
        "column": 5,
        "key": "sites.ispot.actve",
        "message": "unknown key",
        "remedy": "did you mean `active`?",
        "severity": "error",
    });
    assert_eq!(bad.1[0], expected);
    assert_eq!(odd.1[0]["severity"], "warning", "{}", odd.1);
    assert_eq!(odd.1[0]["key"], "sites.ispot.hosts[1]");
    assert_eq!(good.1, serde_json::json!([]));
    assert_eq!(missing.1[0]["file"], "nosuch.yaml");
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
fn a_flip_ends_with_the_exit_code_of_its_outcome() {
    for (outcome, code, sentence) in [
        ("settled", 0, "Settled: ispot is on backup."),
        ("moved", 8, "Moved, not confirmed"),
        (
            "refused",
            3,
            "Refused: nothing happened, ispot is still on live.",
        ),
        ("restored-unheld", 3, "nobody had to wait"),
        ("restored", 4, "Restored: ispot is back on live."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let events = format!("data: {}\n\n", flip_event(&format!("{outcome:?}")));
        let daemon = scripted_daemon(folder.path(), vec![ACCEPTED.into(), stream(&events)]);

        let output = pointsman(
            folder.path(),
            &["flip", "ispot", "--yes", "--socket", "d.sock"],
        );

        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{outcome}: {text}");
        assert!(text.contains(sentence), "{text}");
        assert!(text.contains("rehearsing"), "{text}");
        daemon.join().unwrap();
    }
}

#[test]
fn a_flip_whose_daemon_is_lost_is_exit_code_7_and_points_to_status() {
    let folder = tempfile::tempdir().unwrap();
    let events = format!("data: {}\n\n", flip_event("null"));
    let script = vec![ACCEPTED.into(), stream(&events), String::new()];
    let daemon = scripted_daemon(folder.path(), script);

    let output = pointsman(
        folder.path(),
        &["flip", "ispot", "--yes", "--socket", "d.sock"],
    );

    let text = said(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("pointsman status"), "{text}");
    assert!(
        text.contains("not known"),
        "nobody knows how it ended: {text}"
    );
    daemon.join().unwrap();
}

#[test]
fn a_flip_that_meets_another_is_exit_code_5_with_the_daemons_words() {
    let folder = tempfile::tempdir().unwrap();
    let problem = r#"{"type":"about:blank","title":"Conflict","status":409,
        "detail":"site ispot is in flip 3 already","code":"flip-in-progress"}"#;
    let daemon = scripted_daemon(folder.path(), vec![answer("409 Conflict", problem)]);

    let output = pointsman(
        folder.path(),
        &["flip", "ispot", "--yes", "--socket", "d.sock"],
    );

    let text = said(&output);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("site ispot is in flip 3 already"), "{text}");
    daemon.join().unwrap();
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let status = r#"{"generation":1,"file":"routes.yaml","file_problem":null,
        "sites":[],"flips":[],"zones":[]}"#;
    let daemon = scripted_daemon(folder.path(), vec![answer("200 OK", status)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["status", "--socket", "d.sock"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(0));
    daemon.join().unwrap();
}

#[test]
fn check_of_a_good_file_is_one_line_and_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    // Whether there are certificates is for the demo to see to.
    let is_tls = |line: &&str| line.trim_start().starts_with("https:");
    let routes = include_str!("../../routes.yaml").lines();
    let routes: Vec<_> = routes.filter(|line| !is_tls(line)).collect();
    std::fs::create_dir(folder.path().join("certs")).unwrap();
    std::fs::write(folder.path().join("routes.yaml"), routes.join("\n")).unwrap();

    let output = pointsman(folder.path(), &["check"]);

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

/// The answer to `POST /api/v1/flips`.
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n\
                        content-length: 8\r\nconnection: close\r\n\r\n{\"id\":7}";

/// An event of flip 7 with an outcome as JSON.
fn flip_event(outcome: &str) -> String {
    let event = format!(
        r#"{{"id":7,"moves":[{{"site":"ispot","from":"live","to":"backup"}}],"epochs":[2],
        "during":"page","who":{{"name":"alice","uid":1000,"via":"socket"}},"reason":null,
        "began":"2026-01-02T03:04:05Z","phase":"rehearsing","outcome":{outcome},"message":null,
        "timeline":[{{"phase":"rehearsing","at":"2026-01-02T03:04:05Z","after_ms":0}}],
        "in_flight":0,"waiting":0}}"#
    );
    event.replace('\n', "")
}

fn answer(status: &str, document: &str) -> String {
    let length = document.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{document}"
    )
}

/// A body without a length: it ends when the connection does.
fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}")
}

/// Listens at `d.sock` and gives one answer per connection, then is gone.
fn scripted_daemon(folder: &Path, answers: Vec<String>) -> JoinHandle<()> {
    let listener = UnixListener::bind(folder.join("d.sock")).unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream);
            read_request(&mut request);
            request.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    })
}

/// Reads a whole request, so that closing does not reset what was answered.
fn read_request(request: &mut impl BufRead) {
    let mut length = 0;
    loop {
        let mut line = String::new();
        request.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = Vec::new();
    request.take(length).read_to_end(&mut body).unwrap();
}
