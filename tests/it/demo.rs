//! The demo, with the repository's own table: curl, dig, Prometheus and the journal agree.

use std::process::Command;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, POINTSMAN, Place};
use crate::support::wait::until;

/// The repository's own table, moved to the test's own address.
fn demo_table(place: &Place) {
    let text = include_str!("../../routes.yaml");
    let ours = text
        .replace("127.0.0.1", &place.ip.to_string())
        .replace("./state", &place.state().display().to_string());
    std::fs::write(place.file(), ours).unwrap();
}

fn serial(place: &Place) -> u32 {
    let soa = place.dig("ispot.example", "SOA");
    soa.split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .parse()
        .unwrap()
}

/// What the file, the answers and the metrics say of the side that serves.
fn assert_serves(place: &Place, side: &str, db: &str, epoch: f64) {
    let (code, home) = place.curl("/", &[]);
    assert!(
        code == 200 && home.to_lowercase().contains(side),
        "{code} {home}"
    );
    assert_eq!(place.dig("db.ispot.example", "A"), db);
    let ours = place.ip.to_string();
    assert_eq!(
        place.dig("www.ispot.example", "A"),
        ours,
        "hosts never change"
    );
    assert_eq!(place.word(), side, "the word of the file");
    for other in ["live", "backup"] {
        let line = format!("pointsman_site_active{{side=\"{other}\",site=\"ispot\"}}");
        assert_eq!(
            place.metric(&line),
            Some(if other == side { 1.0 } else { 0.0 }),
            "{other}"
        );
    }
    assert_eq!(
        place.metric("pointsman_site_epoch{site=\"ispot\"}"),
        Some(epoch)
    );
}

/// Flips while a write is still under way, so that the page can be seen meanwhile.
fn flip_and_see_the_page(place: &Place) {
    let mut slow = Client::connect(place.http().parse().unwrap());
    slow.send(
        "POST /observations HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 8\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\ntext",
    );
    until("the write is in flight", || {
        (place.metric("pointsman_http_requests_in_flight{site=\"ispot\"}")? > 0.0).then_some(())
    });
    let flip = ["flip", "ispot", "--to", "backup", "--yes"];
    let refused = place.pointsman(&flip).status;
    assert_eq!(refused.code(), Some(3), "the write would be left behind");
    let socket = place.state().join("admin.sock");
    let mut flip = Daemon::spawn(
        Command::new(POINTSMAN)
            .args(flip)
            .args(["--accept-loss", "--reason", "a test", "--socket"])
            .arg(socket),
    );
    let page = until("the page", || {
        let (code, body) = place.curl("/", &["-H", "Accept: text/html"]);
        (code == 503).then_some(body)
    });
    assert!(page.contains("<html"), "{page}");
    assert_eq!(place.site()["active"], "live", "not acknowledged yet");
    slow.send("=owl");
    let ended = slow.answer("POST").unwrap().status;
    assert_eq!(ended / 100, 3, "the write ended where it began");
    assert_eq!(flip.wait(), Some(0));
}

/// Who asked for each flip, how, and why, as the journal has it.
fn journalled(place: &Place) -> Vec<[String; 4]> {
    let journal = place.journal();
    let rows = "SELECT state, who, via, coalesce(reason, '') FROM flips ORDER BY id";
    let mut query = journal.prepare(rows).unwrap();
    let flips = query.query_map([], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    });
    flips.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_demo_moves_from_live_to_backup_by_sed_and_back_by_flip() {
    let place = Place::new();
    demo_table(&place);
    let mut demo = place.spawn("demo", &[]);
    until("the demo serves", || {
        (place.curl("/", &[]).0 == 200).then_some(())
    });
    assert_serves(&place, "live", "127.0.1.11", 1.0);
    let at_first = serial(&place);

    place.sed("0,/active: live/s//active: backup/");
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    assert_serves(&place, "backup", "127.0.1.12", 2.0);
    let after_edit = serial(&place);
    assert!(after_edit > at_first, "{at_first} {after_edit}");

    let (code, said) = place.flip("live");
    assert_eq!(code, 0, "{said}");
    assert_serves(&place, "live", "127.0.1.11", 3.0);
    assert!(serial(&place) > after_edit);
    assert_eq!(
        place.metric("pointsman_flips_total{result=\"settled\"}"),
        Some(2.0)
    );

    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let me = String::from_utf8(me).unwrap().trim().to_owned();
    let by_edit = ["settled", &me, "file", ""].map(str::to_owned);
    let by_hand = ["settled", &me, "socket", "disk failure"].map(str::to_owned);
    assert_eq!(journalled(&place), [by_edit, by_hand]);

    flip_and_see_the_page(&place);
    assert_serves(&place, "backup", "127.0.1.12", 4.0);

    demo.signal("INT");
    assert_eq!(demo.wait(), Some(0), "Ctrl-C ends it cleanly");
}
