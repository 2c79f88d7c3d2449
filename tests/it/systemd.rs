//! What the daemon tells systemd, and when.

use std::os::unix::net::UnixDatagram;

use crate::support::daemon::{OneSite, Place};
use crate::support::wait::PATIENCE;

/// The socket that systemd would listen on.
struct Notified(UnixDatagram);

impl Notified {
    fn at(place: &Place) -> (Self, String) {
        let path = place.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(socket), path.to_str().unwrap().to_owned())
    }

    /// The next message, as its lines.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4_096];
        let length = self.0.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn systemd_hears_ready_when_everything_is_served() {
    let place = Place::new();
    place.write(&OneSite::default());
    let (systemd, socket) = Notified::at(&place);

    let _daemon = place.spawn("run", &[("NOTIFY_SOCKET", &socket)]);

    assert_eq!(systemd.next(), ["READY=1"]);
    // At the first try: nothing listens at the origins, but the door is open.
    assert_eq!(place.curl("/", &[]).0, 502);
    assert_eq!(place.dig("www.ispot.example", "A"), place.ip.to_string());
    assert!(place.status_json().is_some());
    assert!(place.metric("pointsman_table_generation").is_some());
}

#[test]
fn systemd_hears_when_a_reload_begins_and_when_it_is_done() {
    let place = Place::new();
    place.write(&OneSite::default());
    let (systemd, socket) = Notified::at(&place);
    let daemon = place.spawn("run", &[("NOTIFY_SOCKET", &socket)]);
    assert_eq!(systemd.next(), ["READY=1"]);

    place.sed("s/hosts: .*/hosts: [www.ispot.example, new.ispot.example]/");
    daemon.signal("HUP");

    let begun = systemd.next();
    assert_eq!(begun[0], "RELOADING=1");
    let since = begun[1].strip_prefix("MONOTONIC_USEC=").unwrap();
    assert!(since.parse::<u64>().unwrap() > 0, "{begun:?}");
    assert_eq!(systemd.next(), ["READY=1"]);
    // At the first try: the new table is served when systemd hears of it.
    assert_eq!(place.dig("new.ispot.example", "A"), place.ip.to_string());
}

#[test]
fn systemd_hears_that_a_reload_of_a_bad_file_is_done_too() {
    let place = Place::new();
    place.write(&OneSite::default());
    let (systemd, socket) = Notified::at(&place);
    let daemon = place.spawn("run", &[("NOTIFY_SOCKET", &socket)]);
    assert_eq!(systemd.next(), ["READY=1"]);

    place.sed("s/hosts:/hsots:/");
    daemon.signal("HUP");

    assert_eq!(systemd.next()[0], "RELOADING=1");
    assert_eq!(systemd.next(), ["READY=1"]);
    let status = place.status_json().unwrap();
    let problem = status["file_problem"].as_str().unwrap();
    assert!(problem.contains("hsots"), "{problem}");
}

#[test]
fn systemd_hears_stopping_and_the_daemon_ends_well() {
    let place = Place::new();
    place.write(&OneSite::default());
    let (systemd, socket) = Notified::at(&place);
    let mut daemon = place.spawn("run", &[("NOTIFY_SOCKET", &socket)]);
    assert_eq!(systemd.next(), ["READY=1"]);

    daemon.signal("TERM");

    assert_eq!(systemd.next(), ["STOPPING=1"]);
    assert_eq!(daemon.wait(), Some(0));
}
