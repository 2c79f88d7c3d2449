//! docs/metrics.md, the names in the source, and what a running daemon shows: the same metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::stage::Stage;
use crate::support::wait::until;
use crate::tls;

/// A metric as the page or a scrape describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Described {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
}

type Metrics = BTreeMap<String, Described>;

#[test]
fn each_metric_of_the_source_is_explained_and_no_other() {
    let source = read("src/telemetry/names.rs");
    let names = source
        .split('"')
        .filter(|part| part.starts_with("pointsman_"));
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    let page = read("docs/metrics.md");

    let explained: BTreeSet<_> = explained(&page).into_keys().collect();

    assert!(names.len() > 20, "{names:?}");
    assert_eq!(explained, names);
}

#[test]
fn each_explanation_says_more_than_the_name() {
    let page = read("docs/metrics.md");
    let thin: Vec<_> = page
        .split("\n### ")
        .skip(1)
        .filter(|part| {
            let text = part.splitn(4, '\n').nth(3).unwrap_or("");
            let text = text.split("\n## ").next().unwrap_or("").trim();
            text.len() < 40 || !text.ends_with('.')
        })
        .collect();

    assert!(thin.is_empty(), "{thin:#?}");
}

#[test]
fn a_running_daemon_shows_the_metrics_as_they_are_explained_and_promtool_finds_no_fault() {
    let stage = busy_stage();

    // While a job has a lease.
    let job = r#"{"site": "ispot", "job": "report", "host": "here"}"#;
    let granted = stage.place.ask("POST", "/api/v1/guards", &[], job);
    assert_eq!(granted.status, 201, "{granted:?}");

    let text = scrape(&stage.place);

    let mut seen = scraped(&text);
    // What is counted of TLS shows where there is a certificate and somebody has come.
    let (place, _origins, _daemon) = tls::serve("");
    assert_eq!(tls::curl(&place, "site.pem", tls::HOST, &[]).1, "live");
    seen.extend(scraped(&scrape(&place)));
    // So does what is read of a marker, by its kind.
    crate::freshness::while_a_lag_shows(|place| seen.extend(scraped(&scrape(place))));
    crate::standby::while_a_contradiction_shows(|place| seen.extend(scraped(&scrape(place))));
    assert_eq!(seen, explained(&read("docs/metrics.md")));
    let (ok, said) = promtool_check(&text);
    assert!(ok && said.is_empty(), "{said}");
}

#[test]
fn what_must_stay_zero_is_shown_as_zero() {
    let stage = Stage::with(&OneSite::default());
    assert_eq!(stage.place.curl("/", &[]).0, 200);

    for metric in [
        "pointsman_stale_epoch_requests_total{site=\"ispot\"}",
        "pointsman_lane_closed_twice_total{site=\"ispot\"}",
        "pointsman_flips_total{result=\"moved\"}",
        "pointsman_http_connections_refused_total",
    ] {
        assert_eq!(stage.place.metric(metric), Some(0.0), "{metric}");
    }
}

/// A daemon that everything has happened to that is counted.
fn busy_stage() -> Stage {
    let stage = Stage::with(&OneSite {
        flip: "{during: hold, hold: {for: 1ms}, hooks: {sync: [['true']]}}",
        storage: "separate",
        ..OneSite::default()
    });
    let place = &stage.place;
    assert_eq!(place.dig("www.ispot.example", "A"), place.ip.to_string());
    std::thread::scope(|scope| {
        // One request keeps the flip draining, the next one is held, for too long.
        let waits = scope.spawn(|| place.curl("/wait", &[]));
        until("the request is at the origin", || {
            (!stage.live.seen_at("/wait").is_empty() || place.site()["in_flight"] == 1)
                .then_some(())
        });
        let flip = scope.spawn(|| place.flip("backup"));
        until("a request is evicted", || {
            let (code, _) = place.curl("/", &[]);
            (code == 503).then_some(())
        });
        stage.live.let_go();
        assert_eq!(waits.join().unwrap().0, 200);
        let (code, said) = flip.join().unwrap();
        assert_eq!(code, 0, "{said}");
    });
    let mut client = Client::connect(place.http().parse().unwrap());
    client.send("GET /upgrade HTTP/1.1\r\nHost: www.ispot.example\r\n");
    client.send("Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head().unwrap().0, 101);
    drop(client);
    until("the end of the tunnel is counted", || {
        let closed = "pointsman_http_tunnels_closed_total";
        scrape(place).contains(closed).then_some(())
    });
    assert_eq!(place.curl("/die", &["-X", "POST"]).0, 502);
    place.edit(&[(
        "    names:",
        "    access: read-only\n    read_only: {allow: [/login]}\n    names:",
    )]);
    until("it is read-only", || {
        (place.site()["access"] == "read-only").then_some(())
    });
    assert_eq!(place.curl("/login", &["-X", "POST"]).0, 200);
    stage
}

fn scrape(place: &Place) -> String {
    let url = format!("http://{}:9901/metrics", place.ip);
    let done = Command::new("curl").args(["-sf", &url]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

/// Reads the headings of the page, and the line under each: ``kind by `label`, `label`: help``.
fn explained(page: &str) -> Metrics {
    let parts = page.split("\n### `").skip(1).map(|part| {
        let mut lines = part.lines();
        let name = lines.next().unwrap().trim_end_matches('`');
        let (about, help) = lines.next().unwrap().split_once(": ").unwrap();
        let (kind, labels) = about.split_once(" by ").unwrap_or((about, ""));
        let labels = labels.split(", ").map(|label| label.trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
        let described = Described {
            kind: kind.into(),
            labels: labels.collect(),
            help: help.into(),
        };
        (name.to_owned(), described)
    });
    parts.collect()
}

/// Reads the text format: `# HELP`, `# TYPE`, and the labels of the samples.
fn scraped(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|line| line.split_once(' '))
        {
            metrics.entry(name.into()).or_default().help = help.into();
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|line| line.split_once(' '))
        {
            metrics.entry(name.into()).or_default().kind = kind.into();
        } else {
            let (sample, labels) = line.split_once(['{', ' ']).unwrap();
            let of_histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|end| sample.strip_suffix(end));
            let name = of_histogram
                .chain([sample])
                .find(|name| metrics.contains_key(*name))
                .unwrap_or_else(|| panic!("{sample} has no TYPE before it"));
            let names = labels
                .split("=\"")
                .map(|part| part.rsplit([',', '"', '{']).next().unwrap());
            let names: Vec<_> = names.map(str::to_owned).collect();
            let own = &names[..names.len() - 1];
            let own = own.iter().filter(|label| *label != "le").cloned();
            metrics.get_mut(name).unwrap().labels.extend(own);
        }
    }
    metrics
}

fn promtool_check(text: &str) -> (bool, String) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let done = promtool.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into())
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
