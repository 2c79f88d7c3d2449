//! Signatures as openssl sees them, and the keys that make them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant, UNIX_EPOCH};

use pointsman::site::{Epoch, SideName, SiteName};
use pointsman::switchboard::Claim;
use pointsman::table::{FenceKey, Table};

use super::{KEY_A, KEY_B, Signature, mac_by_openssl, put_key, sign_by, taken_apart};
use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::stage::Stage;
use crate::support::table::Files;
use crate::support::track::HOST;
use crate::support::unprivileged::set_mode;
use crate::support::wait::until;

/// A daemon that signs by the key `a`.
fn signing() -> Stage {
    let stage = Stage::with(&OneSite::default());
    put_key(&stage.place, "fence-a.key", KEY_A);
    sign_by(&stage.place, "[{id: a, file: fence-a.key}]");
    stage
}

/// Asks, and gives the signature that arrived at the live side.
fn signature(stage: &Stage, path: &str) -> Signature {
    assert_eq!(stage.place.curl(path, &[]).0, 200);
    let seen = stage.live.seen_at(path);
    taken_apart(&seen.last().unwrap().header("pointsman-signature"))
}

fn now_s() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The page as it is delivered.
fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fence.md")).unwrap()
}

#[test]
fn a_signature_off_the_wire_verifies_by_openssl() {
    let stage = signing();
    let before_s = now_s();

    let Signature { key, at_s, mac } = signature(&stage, "/signed");

    assert_eq!(key, "a");
    assert!((before_s..=now_s()).contains(&at_s), "{at_s}");
    let text = format!("pointsman-fence-1\nispot\nlive\n1\n{at_s}\n");
    assert_eq!(mac, mac_by_openssl(KEY_A, &text));
    assert_ne!(mac, mac_by_openssl(KEY_B, &text));
}

#[test]
fn the_documented_vectors_verify_by_openssl_and_are_what_is_signed() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `vector-"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, _, id, secret, site, side, epoch, at_s, mac, _] = cells[..] else {
            panic!("{row}");
        };
        let text = format!("pointsman-fence-1\n{site}\n{side}\n{epoch}\n{at_s}\n");
        assert_eq!(mac_by_openssl(secret, &text), mac, "{row}");
        let (site, side) = (SiteName::new(site), SideName::new(side));
        let claim = Claim {
            site: &site,
            side: &side,
            epoch: Epoch(epoch.parse().unwrap()),
        };
        let signed = claim.sign(&FenceKey::new(id, secret), at_s.parse().unwrap());
        assert_eq!(signed, format!("{id}.{at_s}.{mac}"));
        count += 1;
    }
    assert!(count >= 3, "{count} vectors were found");
}

#[test]
fn a_signature_is_made_once_a_second_at_most() {
    let stage = signing();
    let mut client = Client::connect(stage.place.http().parse().unwrap());
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        client.get(HOST, "/often").unwrap();
    }

    let seen = stage.live.seen_at("/often");
    let mut by_second: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for seen in &seen {
        let signed = taken_apart(&seen.header("pointsman-signature"));
        by_second.entry(signed.at_s).or_default().insert(signed.mac);
    }
    assert!(seen.len() > 50, "{}", seen.len());
    assert!((2..=3).contains(&by_second.len()), "{by_second:?}");
    assert!(by_second.values().all(|macs| macs.len() == 1));
    // One connection is served by one worker, whose marks only grow newer.
    let times: Vec<_> = seen
        .iter()
        .map(|seen| taken_apart(&seen.header("pointsman-signature")).at_s)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_key_is_rotated_by_edits_of_the_table() {
    let stage = signing();
    put_key(&stage.place, "fence-b.key", KEY_B);
    let (a, b) = ("{id: a, file: fence-a.key}", "{id: b, file: fence-b.key}");
    for (keys, signs, secret) in [
        (format!("[{a}, {b}]"), "a", KEY_A),
        (format!("[{b}, {a}]"), "b", KEY_B),
        (format!("[{b}]"), "b", KEY_B),
    ] {
        sign_by(&stage.place, &keys);
        let Signature { key, at_s, mac } = signature(&stage, "/rotated");
        let text = format!("pointsman-fence-1\nispot\nlive\n1\n{at_s}\n");
        assert_eq!((key.as_str(), mac), (signs, mac_by_openssl(secret, &text)));
    }
}

#[test]
fn a_key_file_with_another_key_counts_from_the_next_reload() {
    let stage = signing();
    let generation = stage.place.generation();
    put_key(&stage.place, "fence-a.key", KEY_B);
    stage.daemon.signal("HUP");
    stage.place.until_generation(generation + 1);

    let Signature { at_s, mac, .. } = signature(&stage, "/reloaded");

    let text = format!("pointsman-fence-1\nispot\nlive\n1\n{at_s}\n");
    assert_eq!(mac, mac_by_openssl(KEY_B, &text));
}

#[test]
fn a_key_that_is_gone_or_that_others_may_read_is_a_mistake_at_its_place() {
    let stage = signing();
    let file = stage.place.file().with_file_name("fence-a.key");
    let check = || {
        let done = stage
            .place
            .pointsman(&["check", &stage.place.file().display().to_string()]);
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    set_mode("604", &file);
    let (code, said) = check();
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("routes.yaml:11:30: fence.keys[0].file:") && said.contains("chmod o="),
        "{said}"
    );
    stage.daemon.signal("HUP");
    stage.place.until_not_taken("chmod o=");
    fs::remove_file(&file).unwrap();
    let (code, said) = check();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cannot be read"), "{said}");

    // The last good table goes on, and signs.
    assert_eq!(signature(&stage, "/still").key, "a");
}

#[test]
fn what_is_no_key_is_a_mistake_that_says_how_one_is_made() {
    let long = "x".repeat(1025);
    let files = [
        ("short.key", "0123456789abcdef0123456789abcde\n"),
        ("long.key", long.as_str()),
        ("blank.key", "0123456789abcdef 0123456789abcdef"),
        ("good.key", KEY_A),
    ];
    for (keys, expected) in [
        ("[{id: a, file: short.key}]", "has 31 bytes"),
        ("[{id: a, file: long.key}]", "has 1025 bytes"),
        ("[{id: a, file: blank.key}]", "visible ASCII"),
        ("[{id: a.b, file: good.key}]", "a.b"),
        (
            "[{id: a, file: good.key}, {id: a, file: good.key}]",
            "the name of another key",
        ),
        ("[]", "has 0 keys"),
        ("[{id: a}]", "is missing"),
        ("[{id: a, file: good.key, secret: x}]", "unknown key"),
    ] {
        let place = Place::new();
        place.write(&OneSite::default());
        let text = place.text() + &format!("fence: {{keys: {keys}}}\n");
        let mistakes = Table::load(&place.file(), &text, &Files(&files)).unwrap_err();
        let said = mistakes[0].to_string();
        assert!(mistakes.len() == 1 && said.contains(expected), "{said}");
        assert!(!said.contains("0123456789"), "a key is shown: {said}");
    }
}

#[test]
fn no_key_is_ever_said() {
    let stage = signing();
    signature(&stage, "/");
    stage.daemon.signal("HUP");
    until("a word about it", || stage.place.status_json());
    let status = stage.place.status_json().unwrap().to_string();
    let metrics = stage.place.path().join("metrics");
    let url = format!("http://{}:9901/metrics", stage.place.ip);
    let curl = ["-s", "-o", metrics.to_str().unwrap(), &url];
    assert!(
        std::process::Command::new("curl")
            .args(curl)
            .status()
            .unwrap()
            .success()
    );

    let all = [
        status,
        stage.daemon.said(),
        fs::read_to_string(metrics).unwrap(),
    ];
    assert!(all.iter().all(|said| !said.contains(KEY_A)));
}
