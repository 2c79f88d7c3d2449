//! Zones: what they hold, what their mistakes are, and what the engine answers from them.

use std::sync::{Arc, LazyLock};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use pointsman::site::Positions;
use pointsman::table::{Chunks, Table};
use pointsman::zone::{Reply, Serial, Transport, Zones, answer, contents, flip_names};
use proptest::prelude::*;

use crate::support::dns::{
    LIVE_DB, PROXY, ask, ask_bytes, at, compile, ispot, query, shown, with_edns, zones_only,
};

/// Records beside those of the table: an alias chain, a delegation, a wildcard, a DNAME.
const FILE: &str = "$TTL 300
alias       CNAME db
far         CNAME www.example.org.
loop        CNAME pool
pool        CNAME loop
lab         NS    ns.lab
lab         NS    ns.elsewhere.example.
ns.lab      A     192.0.2.53
*.wild      TXT   \"any\"
deep.empty  A     192.0.2.7
old         DNAME new
a.new       A     192.0.2.8
mail        MX    10 www
mail        TXT   \"two\" \"texts\"
";

fn live(file: &str) -> Zones {
    compile(&ispot(Some(file)), &at(Some("live"), 1))
}

/// The code, AA, and the data of the answers.
fn brief(message: &Message) -> (ResponseCode, bool, Vec<String>) {
    let data = message
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect();
    (
        message.metadata.response_code,
        message.metadata.authoritative,
        data,
    )
}

fn digest(table: &Table, positions: &Positions) -> u64 {
    contents(table, positions).unwrap()["ispot.example"].digest
}

/// Every mistake as `line:column key message`.
fn mistakes(file: &str) -> Vec<String> {
    contents(&ispot(Some(file)), &at(Some("live"), 1))
        .unwrap_err()
        .into_iter()
        .map(|wrong| {
            assert!(!wrong.remedy.is_empty());
            format!(
                "{}:{} {} {}",
                wrong.line, wrong.column, wrong.key, wrong.message
            )
        })
        .collect()
}

#[test]
fn a_digest_is_the_same_in_every_process_and_changes_with_the_answers() {
    let table = ispot(Some(FILE));
    let before = digest(&table, &at(Some("live"), 1));
    // A number of another process: a random hash would never give it again.
    assert_eq!(digest(&ispot(None), &at(Some("live"), 1)), PINNED_DIGEST);
    assert_eq!(before, digest(&table, &at(Some("live"), 1)));
    assert_ne!(before, digest(&table, &at(Some("backup"), 2)));
    assert_ne!(before, digest(&table, &at(None, 1)));
    assert_ne!(
        before,
        digest(
            &ispot(Some(&FILE.replace("\"any\"", "\"all\""))),
            &at(Some("live"), 1)
        )
    );
}

/// What [`ispot`] holds without a file, at epoch 1 on `live`.
const PINNED_DIGEST: u64 = 2_194_815_086_237_170_490;

#[test]
fn a_file_keeps_its_soa_but_not_its_serial() {
    let soa = |serial: u32| format!("$TTL 60\n@ SOA a.b. c.d. {serial} 1h 2 3 4\n");
    let first = &contents(&ispot(Some(&soa(41))), &at(Some("live"), 1)).unwrap()["ispot.example"];
    let second = &contents(&ispot(Some(&soa(42))), &at(Some("live"), 1)).unwrap()["ispot.example"];
    assert_eq!(first.file_serial, Some(Serial(41)));
    assert_eq!(first.digest, second.digest);
    let zones = live(&soa(41));
    let got = ask(&zones, "ispot.example.", RecordType::SOA);
    assert_eq!(brief(&got).2, ["a.b. c.d. 7 3600 2 3 4"]);
    // RFC 2308 §3: the lesser of 60 and 4.
    assert_eq!(
        ask(&zones, "no.ispot.example.", RecordType::A).authorities[0].ttl,
        4
    );
}

#[test]
fn a_name_in_doubt_is_servfail_and_the_rest_is_served() {
    for positions in [at(None, 3), at(Some("unheard-of"), 3), Positions::default()] {
        let zones = compile(&ispot(Some(FILE)), &positions);
        for name in ["db.ispot.example.", "alias.ispot.example."] {
            let got = ask(&zones, name, RecordType::A);
            assert_eq!(
                brief(&got),
                (ResponseCode::ServFail, false, vec![]),
                "{name}"
            );
        }
        assert_eq!(
            brief(&ask(&zones, "www.ispot.example.", RecordType::A)).2,
            [PROXY]
        );
    }
    let zones = compile(&ispot(None), &at(None, 3));
    let flip = ask(&zones, "_flip.ispot.ispot.example.", RecordType::TXT);
    assert_eq!(brief(&flip).2, ["epoch=3 active=unknown"]);
}

#[test]
fn what_table_and_file_both_claim_is_a_mistake_whichever_side_is_active() {
    let file = "$TTL 60\nwww A 192.0.2.1\ndb A 192.0.2.1\nWWW TXT ok\nalias CNAME db\nalias TXT no\n\
                www CNAME x\n_flip.ispot TXT no\nout.side. A 192.0.2.1\n@ SOA a. b. 1 2 3 4 5\n\
                @ SOA a. b. 1 2 3 4 5\nnot SOA a. b. 1 2 3 4 5\n";
    let key = "dns.zones.ispot.example.file";
    let beside = "has a CNAME, and nothing may stand beside it";
    assert_eq!(
        mistakes(file),
        [
            format!(
                "2:1 {key} www.ispot.example. A is claimed by sites.ispot.hosts[0] in the table too"
            ),
            format!(
                "3:1 {key} db.ispot.example. A is claimed by sites.ispot.names.db.ispot.example in the table too"
            ),
            format!("6:1 {key} alias.ispot.example. {beside}"),
            format!("7:1 {key} www.ispot.example. {beside}"),
            format!(
                "8:1 {key} _flip.ispot.ispot.example. TXT is claimed by sites.ispot in the table too"
            ),
            format!("9:1 {key} out.side. is outside of the zone ispot.example."),
            format!("11:1 {key} a second SOA of ispot.example."),
            format!("12:1 {key} an SOA below ispot.example."),
        ]
    );
}

#[test]
fn a_type_that_only_the_standby_side_has_is_claimed_already() {
    let mut table = ispot(Some("$TTL 60\ndb AAAA 2001:db8::1\n"));
    assert!(contents(&table, &at(Some("live"), 1)).is_ok());
    let site = Arc::make_mut(&mut table.sites[0]);
    let six = "2001:db8::12".parse().unwrap();
    site.sides[1].names.insert("db".into(), six);
    assert!(contents(&table, &at(Some("live"), 1)).is_err());
}

#[test]
fn a_name_of_the_table_under_a_delegation_of_the_file_is_a_mistake() {
    assert_eq!(
        mistakes("$TTL 60\ndb NS ns.other.\n"),
        [
            "1:1 sites.ispot.names.db.ispot.example db.ispot.example. is hidden by the NS or DNAME of db.ispot.example."
        ]
    );
}

#[test]
fn name_servers_of_the_file_take_the_place_of_the_default_only() {
    let zones = live("$TTL 60\n@ NS ns7\n@ NS ns.other.\n");
    let got = ask(&zones, "ispot.example.", RecordType::NS);
    assert_eq!(brief(&got).2, ["ns7.ispot.example.", "ns.other."]);
    assert_eq!(
        brief(&ask(&zones, "ns7.ispot.example.", RecordType::A)).2,
        [PROXY]
    );
    let mut table = ispot(Some("$TTL 60\n@ NS ns7\n"));
    table.dns.zones.get_mut("ispot.example").unwrap().ns = vec!["ns2.ispot.example".into()];
    assert!(contents(&table, &at(Some("live"), 1)).is_err());
}

#[test]
fn aliases_are_followed_inside_the_zone_and_loops_end() {
    let zones = live(FILE);
    let got = ask(&zones, "alias.ispot.example.", RecordType::A);
    assert_eq!(brief(&got).2, ["db.ispot.example.", LIVE_DB]);
    let got = ask(&zones, "far.ispot.example.", RecordType::A);
    assert_eq!(
        brief(&got),
        (ResponseCode::NoError, true, vec!["www.example.org.".into()])
    );
    let got = ask(&zones, "loop.ispot.example.", RecordType::A);
    assert_eq!(
        brief(&got).2,
        ["pool.ispot.example.", "loop.ispot.example."]
    );
    let got = ask(&zones, "a.old.ispot.example.", RecordType::A);
    assert_eq!(
        shown(&got.answers).last().unwrap(),
        "old.ispot.example. 300 in dname new.ispot.example."
    );
    assert_eq!(got.answers.len(), 3);
}

#[test]
fn rfc_8020_names_above_names_exist_and_rfc_4592_wildcards_fill_gaps() {
    let zones = live(FILE);
    let code = |name: &str| ask(&zones, name, RecordType::A).metadata.response_code;
    assert_eq!(code("empty.ispot.example."), ResponseCode::NoError);
    assert_eq!(code("x.empty.ispot.example."), ResponseCode::NXDomain);
    let got = ask(&zones, "x.y.wild.ispot.example.", RecordType::TXT);
    assert_eq!(got.answers[0].name.to_string(), "x.y.wild.ispot.example.");
    assert_eq!(code("x.wild.ispot.example."), ResponseCode::NoError);
}

#[test]
fn a_delegation_is_referred_with_its_glue_and_without_authority() {
    let zones = live(FILE);
    let got = ask(&zones, "www.lab.ispot.example.", RecordType::A);
    assert_eq!(brief(&got), (ResponseCode::NoError, false, vec![]));
    assert_eq!(got.authorities.len(), 2);
    assert_eq!(
        shown(&got.additionals),
        ["ns.lab.ispot.example. 300 in a 192.0.2.53"]
    );
    // RFC 4035 §3.1.4.1: the DS is the parent's to answer.
    let got = ask(&zones, "lab.ispot.example.", RecordType::DS);
    assert!(got.metadata.authoritative && got.authorities[0].record_type() == RecordType::SOA);
}

#[test]
fn rfc_9471_a_referral_without_room_for_its_glue_is_truncated() {
    let servers: Vec<String> = (0..30)
        .map(|at| {
            format!("lab NS ns{at}.lab\nns{at}.lab A 192.0.2.1\nns{at}.lab AAAA 2001:db8::1\n")
        })
        .collect();
    let zones = live(&format!("$TTL 60\n{}", servers.concat()));
    let packet = with_edns(query("x.lab.ispot.example.", RecordType::A), 4096)
        .to_vec()
        .unwrap();
    let cut = Message::from_vec(&ask_bytes(&zones, &packet, Transport::Udp).unwrap()).unwrap();
    assert!(cut.metadata.truncation && cut.authorities.is_empty());
    assert_eq!(
        ask(&zones, "x.lab.ispot.example.", RecordType::A)
            .additionals
            .len(),
        60
    );
}

#[test]
fn rfc_8482_any_gets_one_set() {
    let got = ask(&live(FILE), "mail.ispot.example.", RecordType::ANY);
    assert_eq!(brief(&got).2, ["10 www.ispot.example."]);
}

#[test]
fn the_innermost_zone_answers_and_its_ds_is_in_the_outer() {
    let table = zones_only(&[("example", None), ("ispot.example", None)]);
    let zones = compile(&table, &Positions::default());
    let owner = |name, rtype| ask(&zones, name, rtype).authorities[0].name.to_string();
    assert_eq!(owner("x.ispot.example.", RecordType::A), "ispot.example.");
    assert_eq!(owner("x.example.", RecordType::A), "example.");
    assert_eq!(owner("ispot.example.", RecordType::TXT), "ispot.example.");
    assert_eq!(owner("ispot.example.", RecordType::DS), "example.");
}

#[test]
fn each_name_that_is_to_show_the_epoch_shows_it_also_in_nested_zones() {
    let mut table = zones_only(&[("ispot.example", None), ("sub.ispot.example", None)]);
    let mut site = ispot(None).sites[0].as_ref().clone();
    site.hosts = vec!["www.sub.ispot.example".into()];
    let names = flip_names(&table, &site);
    table.sites = Chunks::from_iter([Arc::new(site)]);
    let zones = compile(&table, &at(Some("live"), 7));
    let shown_by = |name: &str| brief(&ask(&zones, name, RecordType::TXT)).2.join(" ");
    // The host lies in the inner zone, the following name in the outer.
    let both = ["_flip.ispot.ispot.example", "_flip.ispot.sub.ispot.example"];
    assert_eq!(names, both);
    for name in both {
        assert!(
            shown_by(name).contains("epoch=7"),
            "{name}: {:?}",
            shown_by(name)
        );
    }
}

#[test]
fn a_client_that_takes_less_than_512_bytes_gets_512() {
    let texts: Vec<String> = (0..3).map(|at| format!("t TXT {at:0>100}\n")).collect();
    let zones = live(&format!("$TTL 60\n{}", texts.concat()));
    let mut packet = with_edns(query("t.ispot.example.", RecordType::TXT), 512)
        .to_vec()
        .unwrap();
    // The class of the OPT, which is the last record: its size as the client says it.
    let class = packet.len() - 8;
    packet[class..class + 2].copy_from_slice(&17_u16.to_be_bytes());
    let bytes = ask_bytes(&zones, &packet, Transport::Udp).unwrap();
    assert!(bytes.len() > 300 && !Message::from_vec(&bytes).unwrap().metadata.truncation);
}

#[test]
fn names_are_compressed() {
    let zones = live(FILE);
    let packet = query("mail.ispot.example.", RecordType::MX)
        .to_vec()
        .unwrap();
    let bytes = ask_bytes(&zones, &packet, Transport::Udp).unwrap();
    // The question; then owner pointer, fixed fields, preference, `www` and a pointer.
    assert_eq!(bytes.len(), packet.len() + 2 + 10 + 2 + 4 + 2);
}

/// A query with one part of it spoiled, or bytes without any sense.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let labels = prop_oneof![
        Just("www.ispot.example."),
        Just("db.ispot.example."),
        Just("x.old.ispot.example."),
        Just("loop.ispot.example."),
        Just("a.b.c.wild.ispot.example."),
        Just("lab.ispot.example."),
        Just("org."),
        Just("."),
    ];
    let spoiled = (
        labels,
        any::<u16>(),
        any::<Option<u16>>(),
        any::<Vec<(u8, u8)>>(),
        0..40_usize,
    )
        .prop_map(|(name, rtype, edns, flips, cut)| {
            let plain = query(name, RecordType::from(rtype));
            let message = match edns {
                Some(payload) => with_edns(plain, payload),
                None => plain,
            };
            let mut bytes = message.to_vec().unwrap_or_default();
            // Few flips, so that most packets get past the first check.
            for (at, value) in flips.into_iter().take(2) {
                if let Some(byte) = bytes.get_mut(usize::from(at)) {
                    *byte = value;
                }
            }
            bytes.truncate(if cut < 30 {
                bytes.len()
            } else {
                bytes.len().min(cut)
            });
            bytes
        });
    prop_oneof![3 => spoiled, 1 => proptest::collection::vec(any::<u8>(), 0..600)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        // These are quick, so more of them than of other kinds.
        cases: 8 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_in_the_answer_is_in_bounds(
        packet in packets(),
        room in prop_oneof![0..64_usize, Just(512), Just(1232), Just(65535)],
        tcp in any::<bool>(),
    ) {
        static ZONES: LazyLock<Zones> = LazyLock::new(|| live(FILE));
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let mut out = vec![0xaa; room];
        match answer(&ZONES, &packet, transport, &mut out) {
            Reply::Send { len, rcode } => {
                prop_assert!(packet[2] & 0x80 == 0, "a response was answered");
                prop_assert!(len <= room && (tcp || len <= 1232));
                prop_assert_eq!(&out[..2], &packet[..2]);
                prop_assert!(out[2] & 0x80 != 0);
                let message = Message::from_vec(&out[..len]);
                prop_assert!(message.is_ok(), "{:?}", message);
                let low = u8::try_from(rcode.number() & 0x0f).unwrap();
                prop_assert!(message.unwrap().metadata.truncation || out[3] & 0x0f == low);
            }
            Reply::Drop(_) => {
                prop_assert!(packet.len() < 12 || packet[2] & 0x80 != 0 || room < 512);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_a_file_says_is_records_or_mistakes(
        lines in proptest::collection::vec(lines(), 1..6),
    ) {
        let file = format!("$TTL 60\n{}", lines.join("\n"));
        match contents(&ispot(Some(&file)), &at(Some("live"), 1)) {
            Ok(contents) => prop_assert!(contents.len() == 1),
            Err(mistakes) => prop_assert!(mistakes.iter().all(|wrong| wrong.line > 0)),
        }
    }
}

/// A line that is nearly a record.
fn lines() -> impl Strategy<Value = String> {
    let types = prop::sample::select(vec![
        "A",
        "AAAA",
        "NS",
        "CNAME",
        "MX",
        "TXT",
        "SRV",
        "NAPTR",
        "SOA",
        "PTR",
        "DNAME",
        "CAA",
        "TLSA",
        "SSHFP",
        "SVCB",
        "HTTPS",
        "HINFO",
        "CERT",
        "OPENPGPKEY",
        "SMIMEA",
        "CSYNC",
        "DS",
        "DNSKEY",
        "TYPE7",
        "NULL",
        "ANAME",
        "$ORIGIN",
        "NSEC",
        "RRSIG",
        "KEY",
    ]);
    let words = prop_oneof![
        Just("1"),
        Just("0"),
        Just("65536"),
        Just("a.b."),
        Just("x"),
        Just("@"),
        Just("\"q\""),
        Just("\"\""),
        Just("\\#"),
        Just("("),
        Just(")"),
        Just("192.0.2.1"),
        Just("::1"),
        Just("ab"),
        Just("alpn=h2"),
        Just("mandatory="),
        Just("ipv4hint=1"),
        Just("key65535=\\"),
        Just("issue"),
        Just("\\300"),
        Just("\\"),
        Just("\u{e9}"),
        Just("$TTL"),
        Just("port"),
        Just("ech=="),
    ];
    let words = proptest::collection::vec(words, 0..8);
    (
        types,
        words,
        prop_oneof![Just("x "), Just(" "), Just("@ "), Just("")],
    )
        .prop_map(|(rtype, words, owner)| format!("{owner}{rtype} {}", words.join(" ")))
}
