//! The public Ferret set: zones and questions, with what BIND, NSD, Knot and PowerDNS answered.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use serde::Deserialize;

use crate::support::dns::{ask, compile_at, shown, zones_only};
use pointsman::site::Positions;
use pointsman::zone::Serial;

#[derive(Deserialize)]
struct Case {
    id: u32,
    zone: String,
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    expected: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    servers: Vec<String>,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    rcode: String,
    aa: bool,
    answer: Vec<String>,
    authority: Vec<String>,
}

#[test]
fn answers_are_those_of_bind_nsd_knot_and_powerdns() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites/ferret/sample.jsonl");
    let Ok(sample) = std::fs::read_to_string(&sample) else {
        println!("skipped: ferret (there is no {})", sample.display());
        return;
    };
    let cases: Vec<Case> = sample
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (unanimous, divided): (Vec<_>, Vec<_>) =
        cases.iter().partition(|case| case.expected.len() == 1);
    let failed: Vec<_> = unanimous.iter().filter_map(|case| mismatch(case)).collect();
    let alone: Vec<_> = divided.iter().filter_map(|case| mismatch(case)).collect();
    println!(
        "ferret: {} of {} where the four agree, {} of {} like any of them elsewhere",
        unanimous.len() - failed.len(),
        unanimous.len(),
        divided.len() - alone.len(),
        divided.len()
    );
    for case in &alone {
        println!("like none of the four: {case}");
    }
    assert!(
        failed.is_empty(),
        "{} differ:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Asks, and tells what differs from every group's answer.
fn mismatch(case: &Case) -> Option<String> {
    let apex = case.zone.lines().next()?.split_whitespace().next()?;
    let zone = apex.trim_end_matches('.').to_ascii_lowercase();
    let table = zones_only(&[(&zone, Some(&case.zone))]);
    let zones = compile_at(&table, &Positions::default(), Serial(3));
    let got = ask(
        &zones,
        &case.name,
        RecordType::from_str(&case.rtype).unwrap(),
    );
    let matched = case.expected.iter().any(|group| group.response.is(&got));
    (!matched).then(|| {
        let wanted: Vec<_> = case
            .expected
            .iter()
            .map(
                |Group {
                     servers,
                     response: r,
                 }| {
                    format!(
                        "  {servers:?} {} aa={} {:?} {:?}",
                        r.rcode, r.aa, r.answer, r.authority
                    )
                },
            )
            .collect();
        format!(
            "#{} {} {}\n{}\n  got {:?} aa={} {:?} {:?}\n{}",
            case.id,
            case.name,
            case.rtype,
            case.zone,
            got.metadata.response_code,
            got.metadata.authoritative,
            shown(&got.answers),
            shown(&got.authorities),
            wanted.join("\n")
        )
    })
}

impl Response {
    /// Compares as sets; NS or SOA beside a positive authoritative answer may be there or not.
    fn is(&self, got: &Message) -> bool {
        let code = u16::from(got.metadata.response_code);
        let codes = [
            "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN",
        ];
        let answer = set(&shown(&got.answers));
        let authority = set(&shown(&got.authorities));
        let optional = self.aa && !self.answer.is_empty();
        codes.get(usize::from(code)) == Some(&self.rcode.as_str())
            && got.metadata.authoritative == self.aa
            && answer == set(&self.answer)
            && (authority == set(&self.authority)
                || optional && (authority.is_empty() || self.authority.is_empty()))
    }
}

/// Folds case and spacing, and takes the quotes of texts away.
fn set(records: &[String]) -> BTreeSet<String> {
    records
        .iter()
        .map(|record| {
            let words: Vec<_> = record
                .split_whitespace()
                .map(str::to_ascii_lowercase)
                .collect();
            words.join(" ").replace('"', "")
        })
        .collect()
}
