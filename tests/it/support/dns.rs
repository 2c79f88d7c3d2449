//! Tables for the zones, and questions to ask them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};
use pointsman::site::{
    DrainThen, During, Epoch, OnHold, Position, Positions, SideName, SiteName, Tunnels,
};
use pointsman::table::{
    Chunks, Dns, FlipPolicy, FollowingName, Hooks, Listen, LoadedFile, Maintenance, Matcher,
    OriginAddr, Preflight, Redirect, Side, Site, Table, Timeouts, ZoneTable,
};
use pointsman::zone::{Reply, Serial, Transport, Zones, answer, contents};

/// The proxy's own address in these tables.
pub(crate) const PROXY: &str = "192.0.2.80";
/// The database of the live side.
pub(crate) const LIVE_DB: &str = "192.0.2.11";
/// The database of the backup side.
pub(crate) const BACKUP_DB: &str = "192.0.2.12";

/// A table with the given zones and no sites; each zone with the text of its file, if any.
pub(crate) fn zones_only(zones: &[(&str, Option<&str>)]) -> Table {
    let zones = zones.iter().map(|(name, file)| {
        let zone = ZoneTable {
            ns: vec![format!("ns1.{name}")],
            file: file.map(|text| LoadedFile {
                path: PathBuf::from("zones/file.zone"),
                text: text.into(),
            }),
        };
        ((*name).to_owned(), zone)
    });
    Table {
        listen: Listen::default(),
        state: PathBuf::from("state"),
        certs: PathBuf::new(),
        admin: Arc::default(),
        dns: Dns {
            addresses: Vec::new(),
            zones: zones.collect(),
        },
        sites: Chunks::default(),
        words: Arc::default(),
        matcher: Matcher::default().into(),
        groups: Arc::default(),
        default_site: None,
        fence: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The table of most tests: the site `ispot` in the zone `ispot.example`.
pub(crate) fn ispot(file: Option<&str>) -> Table {
    let mut table = zones_only(&[("ispot.example", file)]);
    table.dns.addresses = vec![address(PROXY)];
    table.sites = Chunks::from_iter([Arc::new(Site {
        name: SiteName::new("ispot"),
        hosts: vec!["www.ispot.example".into(), "ispot.example".into()],
        tls: None,
        redirect: Redirect::Never,
        sides: vec![side("live", LIVE_DB), side("backup", BACKUP_DB)],
        names: vec![FollowingName {
            owner: "db.ispot.example".into(),
            from: "db".into(),
            ttl: Duration::from_secs(5),
        }],
        paths: Vec::new(),
        writable: Vec::new(),
        flip: FlipPolicy {
            during: During::Page,
            hold_for: Duration::from_secs(5),
            hold_requests: 10,
            hold_bytes: 1 << 20,
            release_rate: 1_000_000,
            drain_for: Duration::from_secs(5),
            drain_then: DrainThen::Restore,
            linger: Duration::ZERO,
            quiet: None,
            websockets: Tunnels::Close,
            on_hold: OnHold::NoData,
            guard_wait: Duration::from_secs(300),
            hooks: Hooks::default(),
            min_interval: Duration::ZERO,
            require_reason: false,
        },
        freshness: None,
        standby: None,
        storage: pointsman::site::Storage::Separate,
        preflight: Preflight {
            every: Duration::from_secs(10),
            checks: Vec::new(),
        },
        maintenance: Maintenance {
            page: None,
            retry_after: Duration::from_secs(60),
            bypass: Vec::new(),
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(1),
            tunnel: Duration::from_secs(60),
        },
    })]);
    table.matcher = Matcher::new(&table.sites).into();
    table
}

fn side(name: &str, db: &str) -> Side {
    Side {
        name: SideName::new(name),
        web: vec![OriginAddr {
            host: "127.0.0.1".into(),
            port: 9101,
            tls: None,
        }],
        names: BTreeMap::from([("db".to_owned(), address(db))]),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Puts the site `ispot` on a side; `None` is in doubt.
pub(crate) fn at(side: Option<&str>, epoch: u64) -> Positions {
    let position = Position {
        active: side.map(SideName::new),
        epoch: Epoch(epoch),
    };
    Positions(BTreeMap::from([(SiteName::new("ispot"), position)]))
}

/// Compiles a table's zones, each at serial 7.
pub(crate) fn compile(table: &Table, positions: &Positions) -> Zones {
    compile_at(table, positions, Serial(7))
}

/// Compiles a table's zones, each at the given serial.
pub(crate) fn compile_at(table: &Table, positions: &Positions, serial: Serial) -> Zones {
    let contents = contents(table, positions).unwrap();
    let serials = contents.keys().map(|name| (name.clone(), serial)).collect();
    Zones::compile(&contents, &serials, 0x5eed)
}

/// A query as a client would write it.
pub(crate) fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message
}

/// The same with EDNS and a payload size.
pub(crate) fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_version(0);
    message.set_edns(edns);
    message
}

/// Asks in-process; gives the answer's bytes, `None` when there is none.
pub(crate) fn ask_bytes(zones: &Zones, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let mut out = vec![0; 65535];
    match answer(zones, packet, transport, &mut out) {
        Reply::Send { len, .. } => {
            out.truncate(len);
            Some(out)
        }
        Reply::Drop(_) => None,
    }
}

/// Asks in-process over TCP, so that nothing is cut.
pub(crate) fn ask(zones: &Zones, name: &str, rtype: RecordType) -> Message {
    let packet = query(name, rtype).to_vec().unwrap();
    let bytes = ask_bytes(zones, &packet, Transport::Tcp).unwrap();
    Message::from_vec(&bytes).unwrap()
}

/// Shows records as text, letter case folded, in order.
pub(crate) fn shown(records: &[Record]) -> Vec<String> {
    let mut shown: Vec<_> = records
        .iter()
        .map(|record| one_shown(record).to_ascii_lowercase())
        .collect();
    shown.sort();
    shown
}

/// hickory shows a DNAME's data as bytes; here it is a name.
fn one_shown(record: &Record) -> String {
    if record.record_type() != RecordType::DNAME {
        return record.to_string();
    }
    let wire = record.data.to_bytes().unwrap();
    let target = Name::from_bytes(&wire).unwrap();
    format!("{} {} IN DNAME {target}", record.name, record.ttl)
}
