//! A client that hammers a direct name through a caching resolver, unbound from Debian, while its
//! site moves.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use jiff::Timestamp;

use super::{NEW, OLD, entered, place, stage_at, waited_until};
use crate::support::daemon::{Daemon, Place};
use crate::support::dns::query;
use crate::support::stage::Stage;
use crate::support::wait::{PATIENCE, until};

/// How long the client goes on after the acknowledgement: longer than any TTL of these tests.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// An answer of the resolver: when it was asked for, and the address in it.
type Answer = (Timestamp, Option<String>);

/// Starts unbound on port 8054 of a place; what lies in its zone it asks the daemon.
fn unbound(place: &Place) -> Daemon {
    let folder = place.path().join("unbound");
    fs::create_dir(&folder).unwrap();
    let config = CONFIG
        .replace("FOLDER", &folder.display().to_string())
        .replace("IP", &place.ip.to_string());
    let file = folder.join("unbound.conf");
    fs::write(&file, config).unwrap();
    let process = Daemon::spawn(Command::new("unbound").arg("-d").arg("-c").arg(&file));
    until("unbound answers", || {
        let address = ask(&client(place), "www.ispot.example.")?;
        (address == place.ip.to_string()).then_some(())
    });
    process
}

/// It keeps answers for as long as their TTLs say, and no shorter or longer on purpose.
const CONFIG: &str = r#"
server:
    directory: "FOLDER"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    verbosity: 1
    num-threads: 1
    interface: IP@8054
    outgoing-interface: IP
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: "iterator"
    cache-min-ttl: 0
    prefetch: no
    serve-expired: no
stub-zone:
    name: "ispot.example"
    stub-addr: IP@8053
remote-control:
    control-enable: no
"#;

fn client(place: &Place) -> UdpSocket {
    let socket = UdpSocket::bind((place.ip, 0)).unwrap();
    socket.connect((place.ip, 8054)).unwrap();
    let patience = Some(Duration::from_millis(500));
    socket.set_read_timeout(patience).unwrap();
    socket
}

/// Asks for an address; `None` when there is none, or no answer in time.
fn ask(socket: &UdpSocket, name: &str) -> Option<String> {
    let mut message = query(name, RecordType::A);
    message.metadata.recursion_desired = true;
    socket.send(&message.to_vec().unwrap()).ok()?;
    let mut answer = [0; 2048];
    let len = socket.recv(&mut answer).ok()?;
    let answer = Message::from_vec(&answer[..len]).unwrap();
    let mut addresses = answer.answers.iter();
    let address = addresses.find(|record| record.record_type() == RecordType::A)?;
    Some(address.data.to_string())
}

/// Asks without a pause until told to end.
fn hammer(place: &Place, stop: &AtomicBool) -> Vec<Answer> {
    let socket = client(place);
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = Timestamp::now();
        answers.push((asked, ask(&socket, "db.ispot.example.")));
        // A core is left to the others.
        std::thread::sleep(Duration::from_millis(1));
    }
    answers
}

/// Reads the countdown until told to end; each time with the time after it was read.
fn countdown(place: &Place, stop: &AtomicBool) -> Vec<(Timestamp, f64)> {
    let line = "pointsman_dns_answer_lease_expiry_seconds{site=\"ispot\"}";
    let mut read = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let left = place.metric(line);
        read.extend(left.map(|left| (Timestamp::now(), left)));
    }
    read
}

fn last(answers: &[Answer], address: &str) -> Timestamp {
    let of = answers
        .iter()
        .filter(|(_, got)| got.as_deref() == Some(address));
    of.map(|(asked, _)| *asked).max().expect("it was given out")
}

/// Flips while a client hammers, and looks at all that it got.
fn hammered(place: &Place, (to, from, into): (&str, &str, &str), id: u64) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hammering = scope.spawn(|| hammer(place, &stop));
        let counting = scope.spawn(|| countdown(place, &stop));
        let socket = client(place);
        until("the resolver has the old address", || {
            (ask(&socket, "db.ispot.example.").as_deref() == Some(from)).then_some(())
        });
        let (code, said) = place.flip(to);
        let acknowledged = Timestamp::now();
        until("the client has gone on for long enough", || {
            let since = Timestamp::now().duration_since(acknowledged);
            (since.unsigned_abs() > AFTERWARDS).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        let answers = hammering.join().unwrap();
        let countdown = counting.join().unwrap();
        assert_eq!(code, 0, "{said}");

        let flip = place.flip_ended(id);
        let last_old = last(&answers, from);
        assert!(answers.len() > 100, "{}", answers.len());
        assert!(last_old < acknowledged, "{last_old} {acknowledged}");
        assert!(last_old < entered(&flip, "publishing"), "{last_old} {flip}");
        assert!(last(&answers, into) > acknowledged, "{flip}");
        let until = waited_until(&flip, "quiescing").expect("the old TTL was waited out");
        assert!(until <= entered(&flip, "holding"), "{flip}");

        // Once the old address is given out no more, every countdown reaches beyond its last use.
        let (held, published) = (entered(&flip, "draining"), entered(&flip, "publishing"));
        let meanwhile = countdown.iter();
        let meanwhile = meanwhile.filter(|(at, _)| (held..published).contains(at));
        let mut seen = 0;
        for (at, left) in meanwhile {
            seen += 1;
            let ends = *at + Duration::from_secs_f64(*left);
            assert!(ends >= last_old, "{at} {left}: {last_old}, {flip}");
        }
        assert!(
            seen > 0,
            "the countdown was never read while users were held: {flip}"
        );
    });
}

#[test]
fn a_client_behind_a_caching_resolver_never_gets_the_old_address_after_the_acknowledgement() {
    let Stage {
        place,
        live: _live,
        backup: _backup,
        daemon: _daemon,
    } = stage_at(place("{during: page, drain: {for: 60s}}"));
    let _resolver = unbound(&place);
    assert!(AFTERWARDS < PATIENCE);
    hammered(&place, ("backup", OLD, NEW), 1);
    hammered(&place, ("live", NEW, OLD), 2);
}
