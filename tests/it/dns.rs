//! The DNS listeners, asked by `dig` and by hand-made packets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use pointsman::dns;
use pointsman::site::{Generation, Positions};
use pointsman::switchboard::{Snapshot, Switchboard};
use pointsman::table::Table;
use pointsman::telemetry::dns::DnsMetrics;
use pointsman::zone::Serial;
use prometheus::{Registry, TextEncoder};

use crate::support::dns::{BACKUP_DB, LIVE_DB, PROXY, at, compile_at, ispot, query};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(10);

struct Served {
    board: Arc<Switchboard>,
    handle: dns::Handle,
    registry: Registry,
}

impl Served {
    /// Serves a table on a loopback address of this test's own.
    fn start(test: u8, table: &Table) -> Self {
        Self::start_on(&format!("{}:0", own_address(test)), table)
    }

    fn start_on(listen: &str, table: &Table) -> Self {
        let board = Switchboard::new(snapshot(table, &at(Some("live"), 1), 7));
        let registry = Registry::new();
        let metrics = DnsMetrics::register(&registry).unwrap();
        let handle = dns::spawn(&[listen.parse().unwrap()], 2, &board, &metrics).unwrap();
        Self {
            board,
            handle,
            registry,
        }
    }

    fn address(&self) -> SocketAddr {
        self.handle.addresses()[0]
    }

    /// Runs dig; gives everything it printed.
    fn dig(&self, arguments: &str) -> String {
        dig(self.address(), arguments)
    }

    /// Runs dig for the short form only.
    fn short(&self, arguments: &str) -> String {
        self.dig(&format!("+short {arguments}")).trim().to_owned()
    }

    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind((self.address().ip(), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.address()).unwrap();
        socket
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn metrics(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap()
    }
}

fn snapshot(table: &Table, positions: &Positions, serial: u32) -> Snapshot {
    let zones = compile_at(table, positions, Serial(serial));
    let table = Arc::new(table.clone());
    Snapshot::follow(None, Generation(1), table, positions, Arc::new(zones))
}

/// An address of 127.0.0.0/8 that no other test and no other run uses at this time.
fn own_address(test: u8) -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{low}.{test}", 64 + (high & 63))
}

fn dig(server: SocketAddr, arguments: &str) -> String {
    let output = Command::new("dig")
        .args(["+norec", "+time=3", "+tries=2"])
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string()])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A zone file whose TXT answer is far over 1232 bytes.
fn big_zone() -> String {
    let texts: Vec<String> = (0..40).map(|at| format!("big 60 TXT {at:0>80}")).collect();
    texts.join("\n") + "\n"
}

#[test]
fn dig_sees_hosts_direct_names_and_the_zone_itself() {
    let served = Served::start(1, &ispot(None));
    assert_eq!(served.short("www.ispot.example A"), PROXY);
    assert_eq!(served.short("ispot.example A"), PROXY);
    assert_eq!(served.short("db.ispot.example A"), LIVE_DB);
    assert_eq!(served.short("ns1.ispot.example A"), PROXY);
    assert_eq!(served.short("ispot.example NS"), "ns1.ispot.example.");
    assert_eq!(
        served.short("_flip.ispot.ispot.example TXT"),
        "\"epoch=1 active=live\""
    );
    let soa = served.short("ispot.example SOA");
    assert_eq!(
        soa,
        "ns1.ispot.example. hostmaster.ispot.example. 7 300 60 1209600 60"
    );
    let host = served.dig("www.ispot.example A");
    assert!(host.contains("flags: qr aa;"), "{host}");
    assert!(host.contains("\t300\tIN\tA\t"), "{host}");
    assert!(served.dig("db.ispot.example A").contains("\t5\tIN\tA\t"));
}

#[test]
fn dig_sees_nxdomain_nodata_and_refused() {
    let served = Served::start(2, &ispot(None));
    let nothing = served.dig("nobody.ispot.example A");
    assert!(
        nothing.contains("status: NXDOMAIN") && nothing.contains("\t60\tIN\tSOA\t"),
        "{nothing}"
    );
    let empty = served.dig("www.ispot.example MX");
    assert!(
        empty.contains("status: NOERROR") && empty.contains("ANSWER: 0, AUTHORITY: 1"),
        "{empty}"
    );
    let refused = served.dig("www.example.org A");
    assert!(
        refused.contains("status: REFUSED") && refused.contains("AUTHORITY: 0"),
        "{refused}"
    );
    assert!(served.dig("ispot.example AXFR").contains("Transfer failed"));
    assert!(
        served
            .dig("ispot.example CH TXT")
            .contains("status: REFUSED")
    );
    assert!(
        served
            .dig("+opcode=status ispot.example SOA")
            .contains("status: NOTIMP")
    );
}

#[test]
fn a_big_answer_is_cut_over_udp_and_whole_over_tcp() {
    let served = Served::start(3, &ispot(Some(&big_zone())));
    let cut = served.dig("+ignore +bufsize=4096 big.ispot.example TXT");
    assert!(cut.contains("flags: qr aa tc;"), "{cut}");
    assert!(
        cut.contains("ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"),
        "{cut}"
    );
    assert!(cut.contains("udp: 1232"), "{cut}");
    // Without +ignore dig asks again over TCP by itself.
    let whole = served.dig("+bufsize=4096 big.ispot.example TXT");
    assert!(whole.contains("ANSWER: 40,"), "{whole}");
    assert!(
        served
            .dig("+tcp big.ispot.example TXT")
            .contains("ANSWER: 40,")
    );
}

#[test]
fn the_case_of_the_question_is_kept() {
    let served = Served::start(4, &ispot(None));
    let answer = served.dig("wWw.IsPoT.eXaMpLe A");
    assert!(answer.contains(";wWw.IsPoT.eXaMpLe."), "{answer}");
    assert!(answer.contains(PROXY), "{answer}");
}

#[test]
fn edns_is_answered_and_unknown_versions_are_told_so() {
    let served = Served::start(5, &ispot(None));
    let plain = served.dig("+noedns www.ispot.example A");
    assert!(!plain.contains("EDNS"), "{plain}");
    let dnssec = served.dig("+dnssec www.ispot.example A");
    assert!(dnssec.contains("flags: do; udp: 1232"), "{dnssec}");
    let future = served.dig("+edns=7 +noednsnegotiation www.ispot.example A");
    assert!(
        future.contains("status: BADVERS") && future.contains("version: 0"),
        "{future}"
    );
}

#[test]
fn pipelined_queries_are_all_answered_on_one_connection() {
    let served = Served::start(6, &ispot(Some(&big_zone())));
    let mut stream = served.tcp();
    let names = [
        "www.ispot.example.",
        "big.ispot.example.",
        "nobody.ispot.example.",
    ];
    let mut bytes = Vec::new();
    for id in 0..300_u16 {
        let mut message = query(names[usize::from(id) % names.len()], RecordType::TXT);
        message.metadata.id = id;
        let packet = message.to_vec().unwrap();
        bytes.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
        bytes.extend(packet);
    }
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for id in 0..300_u16 {
        assert_eq!(read_tcp(&mut stream).metadata.id, id);
    }
    writing.join().unwrap();
    assert!(
        served
            .metrics()
            .contains("pointsman_dns_requests_total{transport=\"tcp\"} 300")
    );
}

fn read_tcp(stream: &mut TcpStream) -> Message {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    Message::from_vec(&bytes).unwrap()
}

#[test]
fn garbage_and_responses_get_no_answer_and_the_next_query_does() {
    let served = Served::start(7, &ispot(None));
    let socket = served.udp();
    let good = query("www.ispot.example.", RecordType::A).to_vec().unwrap();
    let mut response = good.clone();
    response[2] |= 0x80;
    for packet in [&b""[..], b"short", &response, &[0xff; 3000]] {
        socket.send(packet).unwrap();
    }
    socket.send(&good).unwrap();
    let mut answer = [0; 2048];
    let len = socket.recv(&mut answer).unwrap();
    assert_eq!(answer[..2], good[..2]);
    assert!(Message::from_vec(&answer[..len]).unwrap().answers.len() == 1);
    wait_for("every drop is counted", || {
        let text = served.metrics();
        text.contains("{reason=\"short\"} 2")
            && text.contains("{reason=\"response\"} 1")
            && text.contains("{reason=\"too_long\"} 1")
    });
}

#[test]
fn a_connection_that_sends_garbage_is_closed() {
    let served = Served::start(8, &ispot(None));
    let mut stream = served.tcp();
    stream.write_all(&[0xff, 0xff, 0, 0]).unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    wait_for("the place is given back", || {
        served.metrics().contains("pointsman_dns_tcp_connections 0")
    });
}

#[test]
fn a_published_snapshot_is_answered_at_once_on_open_connections_too() {
    let table = ispot(None);
    let served = Served::start(9, &table);
    let mut stream = served.tcp();
    let packet = query("db.ispot.example.", RecordType::A).to_vec().unwrap();
    let framed = [&[0, u8::try_from(packet.len()).unwrap()], &packet[..]].concat();
    let ask = |stream: &mut TcpStream| {
        stream.write_all(&framed).unwrap();
        read_tcp(stream).answers[0].data.to_string()
    };
    assert_eq!(ask(&mut stream), LIVE_DB);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sides = [("backup", BACKUP_DB), ("live", LIVE_DB)];
    for epoch in 2..22_u32 {
        let (side, address) = sides[usize::try_from(epoch).unwrap() % 2];
        let next = snapshot(&table, &at(Some(side), u64::from(epoch)), 7 + epoch);
        let told = served.board.publish(Arc::new(next));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        runtime
            .block_on(served.board.all_at(told, deadline))
            .unwrap();
        assert_eq!(ask(&mut stream), address);
    }
    assert_eq!(
        served.short("_flip.ispot.ispot.example TXT"),
        "\"epoch=21 active=live\""
    );
    assert!(served.short("ispot.example SOA").contains(" 28 "));
}

#[test]
fn nothing_old_is_answered_after_every_worker_has_turned() {
    let table = ispot(None);
    let served = Served::start(10, &table);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let packet = query("db.ispot.example.", RecordType::A).to_vec().unwrap();
    let sockets: Vec<UdpSocket> = (0..4).map(|_| served.udp()).collect();
    for epoch in 2..42_u32 {
        let (side, address) = if epoch % 2 == 0 {
            ("backup", BACKUP_DB)
        } else {
            ("live", LIVE_DB)
        };
        // These may be answered from either snapshot; they are in flight while it changes.
        for socket in &sockets {
            socket.send(&packet).unwrap();
        }
        let next = snapshot(&table, &at(Some(side), u64::from(epoch)), 7 + epoch);
        let told = served.board.publish(Arc::new(next));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        runtime
            .block_on(served.board.all_at(told, deadline))
            .unwrap();
        for socket in &sockets {
            let mut marked = packet.clone();
            marked[..2].copy_from_slice(&u16::try_from(epoch).unwrap().to_be_bytes());
            socket.send(&marked).unwrap();
            assert_eq!(
                marked_answer(socket, &marked[..2]),
                address,
                "epoch {epoch}"
            );
        }
    }
}

/// Reads answers until the one with this id.
fn marked_answer(socket: &UdpSocket, id: &[u8]) -> String {
    let mut bytes = [0; 2048];
    loop {
        let len = socket.recv(&mut bytes).unwrap();
        if bytes[..2] == *id {
            let message = Message::from_vec(&bytes[..len]).unwrap();
            return message.answers[0].data.to_string();
        }
    }
}

#[test]
fn a_flip_waits_for_a_worker_that_is_busy() {
    let table = ispot(None);
    let board = Switchboard::new(snapshot(&table, &at(Some("live"), 1), 7));
    let turns = board.turns("busy");
    turns.begin();
    let told = board.publish(Arc::new(snapshot(&table, &at(Some("backup"), 2), 8)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let soon = tokio::time::Instant::now() + Duration::from_millis(30);
    assert_eq!(
        runtime.block_on(board.all_at(told, soon)),
        Err(vec!["busy".to_owned()])
    );
    turns.end();
    let later = tokio::time::Instant::now() + PATIENCE;
    assert_eq!(runtime.block_on(board.all_at(told, later)), Ok(()));
}

#[test]
fn a_slow_client_gets_no_old_answer_and_stalls_no_flip() {
    let table = ispot(Some(&big_zone()));
    let served = Served::start(11, &table);
    let mut stream = served.tcp();
    let packet = query("big.ispot.example.", RecordType::TXT)
        .to_vec()
        .unwrap();
    let framed = [&[0, u8::try_from(packet.len()).unwrap()], &packet[..]].concat();
    // Asks without reading until the server can write no more, and so reads no more.
    stream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let many = framed.repeat(200);
    while stream.write_all(&many).is_ok() {}
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let told = served
        .board
        .publish(Arc::new(snapshot(&table, &at(Some("backup"), 2), 8)));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    runtime
        .block_on(served.board.all_at(told, deadline))
        .unwrap();
    assert_eq!(served.short("+tcp db.ispot.example A"), BACKUP_DB);
    // It reads what the kernel had taken before, and then finds the end, not the rest.
    let end = stream.read_to_end(&mut Vec::new());
    let timed_out = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    assert!(!end.is_err_and(timed_out), "the old answers went on");
    assert!(served.metrics().contains("{reason=\"slow\"} 1"));
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    // Two addresses of one host; a server on the wildcard address must not mix them up.
    let served = Served::start_on("0.0.0.0:0", &ispot(None));
    let port = served.address().port();
    for host in [own_address(12), own_address(13)] {
        let server: SocketAddr = format!("{host}:{port}").parse().unwrap();
        // A connected socket hears from that address only.
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(server).unwrap();
        socket
            .send(&query("www.ispot.example.", RecordType::A).to_vec().unwrap())
            .unwrap();
        assert!(socket.recv(&mut [0; 512]).unwrap() > 12);
    }
}

#[test]
fn ipv6_is_served_too() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: ipv6_is_served_too (this machine has no ::1)");
        return;
    }
    let served = Served::start_on("[::]:0", &ispot(None));
    let server = SocketAddr::new("::1".parse().unwrap(), served.address().port());
    assert_eq!(dig(server, "+short www.ispot.example A").trim(), PROXY);
    assert_eq!(dig(server, "+tcp +short www.ispot.example A").trim(), PROXY);
}

#[test]
fn a_busy_address_is_an_error_that_names_the_key() {
    let served = Served::start(14, &ispot(None));
    let metrics = DnsMetrics::default();
    let error = dns::spawn(&[served.address()], 1, &served.board, &metrics).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&served.address().to_string()) && said.contains("`listen.dns`"),
        "{said}"
    );
}

#[test]
fn stopped_listeners_end_soon_and_free_their_address() {
    let served = Served::start(15, &ispot(None));
    let idle = served.tcp();
    let (address, board) = (served.address(), Arc::clone(&served.board));
    let began = Instant::now();
    served.handle.stop();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let again = dns::spawn(&[address], 1, &board, &DnsMetrics::default()).unwrap();
    assert_eq!(dig(address, "+short www.ispot.example A").trim(), PROXY);
    again.stop();
    drop(idle);
}
