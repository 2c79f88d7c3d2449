//! What is delivered beside the binary: the unit, the user, the package, the alert rules.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::stage::Stage;
use crate::support::wait::{own_address, until};

#[test]
fn systemd_reads_the_unit_and_says_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let unit = scratch.path().join("pointsman.service");
    // The binary is not where the package puts it.
    let text = read("deploy/pointsman.service").replace("/usr/bin/pointsman", POINTSMAN);
    fs::write(&unit, text).unwrap();

    let verified = run(Command::new("systemd-analyze").arg("verify").arg(&unit));

    assert_eq!(
        (verified.status.code(), said(&verified).as_str()),
        (Some(0), "")
    );
}

#[test]
fn the_unit_leaves_little_to_whoever_takes_the_daemon_over() {
    // In tenths, as systemd-analyze counts: 10.0 is no protection at all, and 2.0 is "OK".
    let threshold = "--threshold=20";
    let unit = root().join("deploy/pointsman.service");

    let judged = run(Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", threshold])
        .arg(unit));

    let said = said(&judged);
    assert!(judged.status.success(), "{said}");
    let wrote = read("deploy/pointsman.service");
    let writable: Vec<_> = wrote
        .lines()
        .filter(|line| line.starts_with("ReadWritePaths=") || line.starts_with("StateDirectory="))
        .collect();
    assert_eq!(
        writable,
        ["StateDirectory=pointsman", "ReadWritePaths=/etc/pointsman"]
    );
}

#[test]
fn the_user_and_the_folder_of_the_unit_are_made() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("etc")).unwrap();
    let in_scratch = |program: &str, more: &[&str], file: &str| {
        let mut command = Command::new(program);
        command.arg("--root").arg(scratch.path()).args(more);
        run(command.arg(root().join(file)))
    };
    if !is_root() {
        println!(
            "skipped, as only root can give files away: the_user_and_the_folder_of_the_unit_are_made"
        );
        return;
    }

    let user = in_scratch("systemd-sysusers", &[], "deploy/pointsman.sysusers");
    let folder = in_scratch(
        "systemd-tmpfiles",
        &["--create"],
        "deploy/pointsman.tmpfiles",
    );

    assert!(user.status.success(), "{}", said(&user));
    assert!(folder.status.success(), "{}", said(&folder));
    let passwd = fs::read_to_string(scratch.path().join("etc/passwd")).unwrap();
    assert!(passwd.contains("pointsman:x:"), "{passwd}");
    let made = fs::metadata(scratch.path().join("etc/pointsman")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&made.permissions());
    assert_eq!(mode & 0o7777, 0o2775);
}

#[test]
fn a_daemon_with_the_capabilities_of_the_unit_keeps_the_owner_of_the_file() {
    if !is_root() {
        println!(
            "skipped, as only root can hand out capabilities: \
             a_daemon_with_the_capabilities_of_the_unit_keeps_the_owner_of_the_file"
        );
        return;
    }
    let place = Place::new();
    place.write(&OneSite {
        checks: "[]",
        ..OneSite::default()
    });
    // As installed: the file is root's, the folder is writable, the state is the daemon's own.
    let binary = place.path().join("pointsman");
    fs::copy(POINTSMAN, &binary).unwrap();
    fs::create_dir(place.state()).unwrap();
    let folder = place.file().parent().unwrap().to_owned();
    let left = folder.join(".routes.yaml.pointsman");
    fs::write(&left, "version:").unwrap();
    for (path, owner, mode) in [
        (place.path(), "root:root", "755"),
        (&*binary, "root:root", "755"),
        (&*place.state(), "nobody:nogroup", "750"),
        (&*folder, "root:nogroup", "2775"),
        (&*place.file(), "root:root", "644"),
        // A crash in mid-rewrite leaves this.
        (&*left, "root:root", "644"),
    ] {
        assert!(
            run(Command::new("chown").arg(owner).arg(path))
                .status
                .success()
        );
        assert!(
            run(Command::new("chmod").arg(mode).arg(path))
                .status
                .success()
        );
    }

    let _daemon = Daemon::spawn(
        Command::new("setpriv")
            .args([
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
                "--no-new-privs",
            ])
            .args(
                ["inh-caps", "ambient-caps", "bounding-set"]
                    .map(|set| format!("--{set}=-all,{}", capabilities())),
            )
            .args([&binary, Path::new("run"), &place.file()]),
    );
    until("the daemon serves", || place.status_json());
    let (code, said) = place.flip("backup");

    assert_eq!(code, 0, "{said}");
    until("the word is rewritten", || {
        (place.word() == "backup").then_some(())
    });
    let kept = fs::metadata(place.file()).unwrap();
    assert_eq!((kept.uid(), kept.gid()), (0, 0));
    assert_eq!(kept.mode() & 0o7777, 0o644);
    assert!(!left.exists());
}

/// The capabilities of the unit, as setpriv takes them: `+net_bind_service,+chown`.
fn capabilities() -> String {
    let unit = read("deploy/pointsman.service");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("AmbientCapabilities="));
    let names = line.unwrap().split_whitespace();
    let names = names.map(|name| name.trim_start_matches("CAP_").to_lowercase());
    let signed: Vec<_> = names.map(|name| format!("+{name}")).collect();
    signed.join(",")
}

fn is_root() -> bool {
    let user = run(Command::new("id").arg("-u"));
    String::from_utf8_lossy(&user.stdout).trim() == "0"
}

#[test]
fn the_table_that_is_installed_is_good() {
    let checked = run(Command::new(POINTSMAN)
        .arg("check")
        .arg(root().join("deploy/routes.yaml")));

    assert!(checked.status.success(), "{}", said(&checked));
    assert!(!said(&checked).contains("warning"), "{}", said(&checked));
}

#[test]
fn the_package_has_everything_that_is_delivered() {
    let deb = deb_metadata();
    let assets = deb["assets"].as_array().unwrap();
    let sources = assets.iter().map(|asset| asset[0].as_str().unwrap());
    let mut packaged = BTreeSet::new();
    for source in sources.filter(|source| !source.starts_with("target/")) {
        let found = files(source);
        assert!(!found.is_empty(), "{source} is not there");
        packaged.extend(found);
    }
    // These two are taken by cargo-deb itself, from the folder named for units.
    let units = deb["systemd-units"]["unit-scripts"].as_str().unwrap();
    let scripts = deb["maintainer-scripts"].as_str().unwrap();
    assert!(read(&format!("{scripts}postinst")).contains("\n#DEBHELPER#\n"));
    for by_itself in ["pointsman.service", "pointsman.sysusers"] {
        packaged.insert(root().join(units).join(by_itself));
    }

    let delivered: BTreeSet<_> = [
        "README.md",
        "deploy/*",
        "deploy/examples/fence/*",
        "deploy/examples/guard/*",
        "deploy/prometheus/*",
        "docs/*",
    ]
    .into_iter()
    .flat_map(files)
    .collect();

    let left_out: Vec<_> = delivered.difference(&packaged).collect();
    assert!(delivered.len() >= 10, "{delivered:?}");
    assert!(left_out.is_empty(), "{left_out:?}");
    let kept = deb["conf-files"].as_array().unwrap();
    assert_eq!(kept, &["/etc/pointsman/routes.yaml"]);
}

#[test]
fn the_alert_rules_fire_when_they_should() {
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new("promtool");
        run(command
            .args(arguments)
            .current_dir(root().join("deploy/prometheus")))
    };

    for arguments in [
        ["check", "config", "scrape.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ] {
        let done = promtool(&arguments);
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
    }
}

#[test]
fn the_alert_rules_ask_for_metrics_that_exist_and_each_is_tried() {
    let rules = read("deploy/prometheus/rules.yml");
    let tests = read("deploy/prometheus/rules_test.yml");
    let names = read("src/telemetry/names.rs");

    let asked = words(&rules).filter(|word| word.starts_with("pointsman_"));
    let unknown: Vec<_> = asked
        .filter(|word| !names.contains(&format!("\"{word}\"")))
        .collect();
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untried: Vec<_> = alerts
        .clone()
        .filter(|alert| tests.matches(&format!("alertname: {alert}")).count() < 2)
        .collect();

    assert!(alerts.count() >= 5);
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(
        untried.is_empty(),
        "not seen both quiet and firing: {untried:?}"
    );
}

#[test]
fn prometheus_scrapes_the_daemon_and_its_rules_run() {
    let stage = Stage::with(&OneSite::default());
    let prometheus = Prometheus::watching(&format!("{}:9901", stage.place.ip));

    until("prometheus has scraped the daemon", || {
        (prometheus.value("up")? == "1").then_some(())
    });
    let active = "pointsman_site_active{side=\"live\"}";
    until("it knows where the site is", || {
        (prometheus.value(active)? == "1").then_some(())
    });
    until("each rule has run without an error", || {
        let rules = prometheus.ask("/api/v1/rules", &[])?;
        let rules = rules["data"]["groups"][0]["rules"].as_array()?.clone();
        let well = |rule: &Value| rule["health"] == "ok";
        (rules.len() >= 5 && rules.iter().all(well)).then_some(())
    });

    assert_eq!(stage.place.flip("backup").0, 0);
    until("it sees the site move", || {
        (prometheus.value(active)? == "0").then_some(())
    });
}

/// A Prometheus with the delivered configuration, but this target, and quicker.
struct Prometheus {
    address: String,
    // Killed when dropped, before its folder goes.
    _process: Daemon,
    _scratch: tempfile::TempDir,
}

impl Prometheus {
    fn watching(target: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let config = scratch.path().join("prometheus.yml");
        let rules = root().join("deploy/prometheus/rules.yml");
        let text = read("deploy/prometheus/scrape.yml")
            .replace("127.0.0.1:9901", target)
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("- rules.yml", &format!("- {}", rules.display()));
        assert!(
            text.contains(target) && text.contains("scrape_interval: 1s"),
            "{text}"
        );
        fs::write(
            &config,
            format!("global: {{evaluation_interval: 1s}}\n{text}"),
        )
        .unwrap();
        let address = format!("{}:9090", own_address());
        let process = Daemon::spawn(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    scratch.path().join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .current_dir(scratch.path()),
        );
        Self {
            address,
            _process: process,
            _scratch: scratch,
        }
    }

    fn ask(&self, path: &str, more: &[&str]) -> Option<Value> {
        let url = format!("http://{}{path}", self.address);
        let done = run(Command::new("curl")
            .args(["-sG", "-m", "20", &url])
            .args(more));
        serde_json::from_slice(&done.stdout).ok()
    }

    /// The value of an expression that has one sample now.
    fn value(&self, expression: &str) -> Option<String> {
        let query = format!("query={expression}");
        let answer = self.ask("/api/v1/query", &["--data-urlencode", &query])?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        Some(value.to_owned())
    }
}

fn deb_metadata() -> Value {
    let metadata = run(Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--locked",
            "--format-version=1",
        ])
        .current_dir(root()));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    metadata["packages"][0]["metadata"]["deb"].clone()
}

/// The files of a path whose last part may begin with a star.
fn files(pattern: &str) -> Vec<PathBuf> {
    let path = root().join(pattern);
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(end) = name.strip_prefix('*') else {
        return Vec::from_iter(path.exists().then_some(path));
    };
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.is_file() && path.to_str().unwrap().ends_with(end))
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
