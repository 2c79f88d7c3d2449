//! The snippets for origins, each run by the real program behind a real daemon.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use regex::Regex;

use super::{KEY_A, KEY_B, mac_by_openssl, put_key, sign_by};
use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::nginx::Nginx;
use crate::support::origin::Origin;
use crate::support::track::HOST;
use crate::support::unprivileged::set_mode;
use crate::support::wait::until;

/// A file that is delivered.
fn example(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("deploy/examples/fence").join(name)
}

/// The text of one, as the operator of a side of this place would edit it.
fn edited(place: &Place, name: &str, side: &str) -> String {
    let mut text = fs::read_to_string(example(name)).unwrap();
    for (old, new) in [
        ("192.0.2.1:9901", format!("{}:9901", place.ip)),
        ("127.0.0.1:8081", app_address(place, side)),
        ("listen 80;", format!("listen {};", place.origin(side))),
        ("side=live;", format!("side={side};")),
        (":live:", format!(":{side}:")),
        ("'live'", format!("'{side}'")),
        (
            "/var/lib/pointsman-fence",
            folder(place, side).display().to_string(),
        ),
        (
            "/etc/pointsman-fence",
            place.path().join("etc").display().to_string(),
        ),
    ] {
        text = text.replace(old, &new);
    }
    text
}

/// The address of the application behind the web server of a side.
fn app_address(place: &Place, side: &str) -> String {
    let port = if side == "live" { 9201 } else { 9202 };
    format!("{}:{port}", place.ip)
}

/// Where the epoch of a side's machine is written.
fn folder(place: &Place, side: &str) -> PathBuf {
    let folder = place.path().join(format!("fence-{side}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Tells the machine of a side the epoch, as the hook does.
fn tell_epoch(place: &Place, side: &str, epoch: &str) -> Option<i32> {
    let mut command = Command::new(example("pointsman-epoch"));
    let done = command.arg(folder(place, side)).args(["ispot", epoch]);
    done.output().unwrap().status.code()
}

/// A place whose flips tell both machines the epoch, with what has their web servers read it.
fn telling(reload: &str) -> Place {
    let place = Place::new();
    let sides = ["live", "backup"].map(|side| {
        assert_eq!(tell_epoch(&place, side, "1"), Some(0));
        let (script, folder) = (example("pointsman-epoch"), folder(&place, side));
        let reload = reload.replace("SIDE", &place.path().join(side).display().to_string());
        format!(
            "{} {} $POINTSMAN_SITE $POINTSMAN_EPOCH {reload}",
            script.display(),
            folder.display()
        )
    });
    let flip = format!(
        "{{during: hold, hooks: {{after: [{{shell: '{}'}}]}}}}",
        sides.join(" && ")
    );
    place.write(&OneSite::flipping(flip.leak()).without_names());
    place
}

/// Asks the web server of a side by its own address; the status.
fn direct(place: &Place, side: &str, arguments: &[&str]) -> u16 {
    let url = format!("http://{}/echo", place.origin(side));
    let done = Command::new("curl")
        .args(["-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(["-H", "Host: www.ispot.example"])
        .args(arguments)
        .arg(url)
        .output();
    String::from_utf8(done.unwrap().stdout)
        .unwrap()
        .parse()
        .unwrap()
}

const POST: [&str; 2] = ["-d", "x"];
const UPGRADE: [&str; 4] = ["-H", "Connection: upgrade", "-H", "Upgrade: websocket"];

/// Writes to a side by its own address, as if it came through Pointsman.
fn claims(place: &Place, at: &str, side: &str, epoch: &str, signature: &str) -> u16 {
    let headers = [
        format!("Pointsman-Side: {side}"),
        format!("Pointsman-Epoch: {epoch}"),
        format!("Pointsman-Signature: {signature}"),
    ];
    let headers = headers.iter().flat_map(|header| ["-H", header]);
    direct(
        place,
        at,
        &POST.into_iter().chain(headers).collect::<Vec<_>>(),
    )
}

/// Makes a signature as of some seconds ago.
fn signed(key: &str, side: &str, epoch: &str, seconds_ago: u64) -> String {
    let at_s = UNIX_EPOCH.elapsed().unwrap().as_secs() - seconds_ago;
    let text = format!("pointsman-fence-1\nispot\n{side}\n{epoch}\n{at_s}\n");
    format!("a.{at_s}.{}", mac_by_openssl(key, &text))
}

/// Writes through Pointsman.
fn write_through(place: &Place) -> u16 {
    place.curl("/echo", &POST).0
}

#[test]
fn nginx_that_asks_pointsman_refuses_what_is_not_for_it() {
    let place = Place::new();
    place.write(&OneSite::flipping("{during: hold}").without_names());
    let _daemon = place.start();
    put_key(&place, "fence-a.key", KEY_A);
    sign_by(&place, "[{id: a, file: fence-a.key}]");
    let [live, backup] =
        ["live", "backup"].map(|side| Origin::start(&app_address(&place, side), side));
    let _nginx = ["live", "backup"]
        .map(|side| Nginx::of(&place, side, &edited(&place, "nginx-role.conf", side)));

    assert_eq!(write_through(&place), 200);
    let passed = live.seen_at("/echo");
    assert_eq!(passed.len(), 1);
    let first = signed(KEY_A, "live", "1", 0);
    for side in ["live", "backup"] {
        assert_eq!(direct(&place, side, &[]), 200, "a look at {side}");
        assert_eq!(direct(&place, side, &POST), 421, "a write to {side}");
        assert_eq!(direct(&place, side, &UPGRADE), 421, "a WebSocket to {side}");
    }
    assert_eq!(claims(&place, "live", "live", "1", &first), 200);
    assert_eq!(claims(&place, "live", "live", "1", ""), 421, "unsigned");
    let forged = signed(KEY_B, "live", "1", 0);
    assert_eq!(claims(&place, "live", "live", "1", &forged), 421, "forged");
    assert_eq!(
        claims(&place, "backup", "live", "1", &first),
        421,
        "elsewhere"
    );

    assert_eq!(place.flip("backup").0, 0);
    assert_eq!(write_through(&place), 200);
    assert!(
        backup
            .seen_at("/echo")
            .iter()
            .any(|seen| seen.method == "POST")
    );
    for side in ["live", "backup"] {
        assert_eq!(
            claims(&place, side, "live", "1", &first),
            421,
            "stale at {side}"
        );
        assert_eq!(direct(&place, side, &POST), 421, "a write to {side}");
    }
}

#[test]
fn nginx_that_asks_fails_nobody_while_the_site_flips_and_closes_without_pointsman() {
    let place = Place::new();
    place.write(&OneSite::flipping("{during: hold, hold: {release_rate: 100000}}").without_names());
    let daemon = place.start();
    let apps = ["live", "backup"].map(|side| Origin::start(&app_address(&place, side), side));
    let _nginx = ["live", "backup"]
        .map(|side| Nginx::of(&place, side, &edited(&place, "nginx-role.conf", side)));
    let (is_over, wrote) = (AtomicBool::new(false), AtomicUsize::new(0));

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(place.http().parse().unwrap());
                while !is_over.load(Ordering::Acquire) {
                    let answer = client.post(HOST, "/busy/3", b"x").unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    wrote.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        for to in ["backup", "live", "backup", "live", "backup"] {
            let before = wrote.load(Ordering::Acquire);
            let (code, said) = place.flip(to);
            assert_eq!(code, 0, "{said}");
            until("writes go on", || {
                (wrote.load(Ordering::Acquire) > before + 20).then_some(())
            });
        }
        is_over.store(true, Ordering::Release);
    });
    let arrived = apps.iter().map(|app| app.seen_at("/busy/3").len());
    assert_eq!(arrived.sum::<usize>(), wrote.load(Ordering::Acquire));

    daemon.kill();
    assert_eq!(claims(&place, "backup", "backup", "6", ""), 500);
    assert_eq!(direct(&place, "backup", &[]), 200);
}

#[test]
fn nginx_that_goes_by_a_file_refuses_what_is_over_from_the_hook_on() {
    let place = telling("sh -c \"kill -HUP $(cat SIDE/nginx.pid)\"");
    let _apps = ["live", "backup"].map(|side| Origin::start(&app_address(&place, side), side));
    let _nginx = ["live", "backup"]
        .map(|side| Nginx::reloading(&place, side, &edited(&place, "nginx-epoch.conf", side)));
    let _daemon = place.start();

    goes_by_a_file(&place);
}

#[test]
fn apache_that_goes_by_a_file_refuses_what_is_over_from_the_hook_on() {
    let place = telling("");
    // Apache gives root up, and reads the file as somebody else.
    set_mode("711", place.path());
    let _apps = ["live", "backup"].map(|side| Origin::start(&app_address(&place, side), side));
    let _apache = ["live", "backup"].map(|side| apache(&place, side));
    let _daemon = place.start();

    goes_by_a_file(&place);
    fs::remove_file(folder(&place, "backup").join("ispot.epoch")).unwrap();
    assert_ne!(
        claims(&place, "backup", "backup", "2", ""),
        200,
        "without the file"
    );
}

/// What both do that have no HMAC: from epoch 1 at live to epoch 2 at backup.
fn goes_by_a_file(place: &Place) {
    assert_eq!(write_through(place), 200);
    for side in ["live", "backup"] {
        assert_eq!(direct(place, side, &[]), 200, "a look at {side}");
        assert_eq!(direct(place, side, &POST), 421, "a write to {side}");
        assert_eq!(direct(place, side, &UPGRADE), 421, "a WebSocket to {side}");
        assert_eq!(
            claims(place, side, side, "x", ""),
            421,
            "no epoch at {side}"
        );
        assert_eq!(claims(place, side, side, "0", ""), 421, "before the first");
    }
    assert_eq!(claims(place, "live", "live", "1", ""), 200);
    assert_eq!(claims(place, "backup", "live", "1", ""), 421, "elsewhere");

    assert_eq!(place.flip("backup").0, 0);
    assert_eq!(write_through(place), 200);
    until("the hook has told live", || {
        (claims(place, "live", "live", "1", "") == 421).then_some(())
    });
    until("the hook has told backup", || {
        (claims(place, "backup", "backup", "1", "") == 421).then_some(())
    });
    assert_eq!(write_through(place), 200);
    for side in ["live", "backup"] {
        assert_eq!(direct(place, side, &POST), 421, "a write to {side}");
        assert_eq!(direct(place, side, &[]), 200, "a look at {side}");
    }
    assert_eq!(claims(place, "live", "backup", "2", ""), 421, "elsewhere");
}

/// Starts an Apache with the snippet, which passes on to the application of its side.
fn apache(place: &Place, side: &str) -> Daemon {
    let folder = place.path().join(format!("apache-{side}"));
    fs::create_dir_all(&folder).unwrap();
    let modules = ["mpm_event", "authz_core", "rewrite", "proxy", "proxy_http"];
    let modules =
        modules.map(|it| format!("LoadModule {it}_module /usr/lib/apache2/modules/mod_{it}.so\n"));
    let (origin, app) = (place.origin(side), app_address(place, side));
    let shown = folder.display();
    let config = format!(
        "{}ServerRoot {shown}\nPidFile {shown}/pid\nErrorLog {shown}/error.log\nListen {origin}\n\
         User nobody\nGroup nogroup\nServerName localhost\nStartServers 1\n\
         <VirtualHost {origin}>\n{}\nProxyPass / http://{app}/\n</VirtualHost>\n",
        modules.concat(),
        edited(place, "apache.conf", side),
    );
    fs::write(folder.join("apache.conf"), config).unwrap();
    let mut command = Command::new("apache2");
    command.arg("-X").arg("-f").arg(folder.join("apache.conf"));
    let process = Daemon::spawn(&mut command);
    until("Apache listens", || {
        std::net::TcpStream::connect(&origin).ok()
    });
    process
}

#[test]
fn php_takes_what_is_signed_for_its_side_and_not_over() {
    let place = telling("");
    put_key(&place, "fence-a.key", KEY_A);
    let text = place.text();
    place.replace(&text.replace(
        "sites:\n",
        "fence: {keys: [{id: a, file: fence-a.key}]}\nsites:\n",
    ));
    let _php = ["live", "backup"].map(|side| php(&place, side));
    let _daemon = place.start();

    assert_eq!(write_through(&place), 200);
    for side in ["live", "backup"] {
        assert_eq!(direct(&place, side, &[]), 200, "a look at {side}");
        assert_eq!(direct(&place, side, &POST), 421, "a write to {side}");
        assert_eq!(direct(&place, side, &UPGRADE), 421, "a WebSocket to {side}");
    }
    let by = |key, ago| signed(key, "live", "1", ago);
    for (signature, expected) in [
        (by(KEY_A, 0), 200),
        (by(KEY_A, 250), 200),
        (by(KEY_A, 350), 421),
        (by(KEY_B, 0), 421),
        (by(KEY_A, 0).replacen('a', "b", 1), 421),
        (by(KEY_A, 0) + ".", 421),
        (by(KEY_A, 0).to_uppercase(), 421),
        ("a.1.".into(), 421),
        (String::new(), 421),
    ] {
        let status = claims(&place, "live", "live", "1", &signature);
        assert_eq!(status, expected, "{signature}");
    }
    assert_eq!(claims(&place, "live", "live", "2", &by(KEY_A, 0)), 421);
    assert_eq!(claims(&place, "backup", "live", "1", &by(KEY_A, 0)), 421);

    assert_eq!(place.flip("backup").0, 0);
    assert_eq!(write_through(&place), 200);
    until("the hook has told live", || {
        (claims(&place, "live", "live", "1", &by(KEY_A, 0)) == 421).then_some(())
    });
    let later = signed(KEY_A, "live", "3", 0);
    assert_eq!(claims(&place, "live", "live", "3", &later), 200);
}

/// Starts PHP's own web server with the fence before an application that says its side.
fn php(place: &Place, side: &str) -> Daemon {
    let folder = place.path().join(format!("php-{side}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("fence.php"), edited(place, "fence.php", side)).unwrap();
    fs::write(
        folder.join("app.php"),
        format!("<?php require 'fence.php'; echo '{side}';"),
    )
    .unwrap();
    let origin = place.origin(side);
    let mut command = Command::new("php");
    command.args(["-S", &origin]).arg(folder.join("app.php"));
    let process = Daemon::spawn(&mut command);
    until("PHP listens", || std::net::TcpStream::connect(&origin).ok());
    process
}

#[test]
fn the_hook_tells_just_the_epochs_before_and_takes_none_back() {
    let place = Place::new();
    let file = |name: &str| fs::read_to_string(folder(&place, "live").join(name)).unwrap();
    for epoch in [
        1_u64, 2, 9, 10, 11, 19, 20, 99, 100, 101, 110, 999, 1_000, 1_234, 2_000,
    ] {
        assert_eq!(tell_epoch(&place, "live", &epoch.to_string()), Some(0));

        assert_eq!(file("ispot.epoch"), format!("{epoch}\n"));
        let line = file("ispot.map");
        let pattern = line
            .strip_prefix("\"~")
            .unwrap()
            .strip_suffix("\" over;\n")
            .unwrap();
        let over = Regex::new(pattern).unwrap();
        for number in (0..epoch + 300).chain([epoch * 10, epoch * 100, u64::MAX]) {
            assert_eq!(
                over.is_match(&number.to_string()),
                number < epoch,
                "{number} at {epoch}"
            );
        }
    }
    assert_eq!(tell_epoch(&place, "live", "1999"), Some(0));
    assert_eq!(file("ispot.epoch"), "2000\n", "a hook that comes late");
    for epoch in ["", "0", "01", "x", "-1", "1;"] {
        assert_eq!(tell_epoch(&place, "live", epoch), Some(2), "{epoch:?}");
    }
    let names = fs::read_dir(folder(&place, "live")).unwrap();
    assert_eq!(names.count(), 2, "nothing else is left");
}
