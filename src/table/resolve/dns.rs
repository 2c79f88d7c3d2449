//! `dns:` the zones and the proxy's own addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::diagnostic::Report;
use super::super::model::{Dns, ZoneTable};
use super::super::scalar::{self, Underscores};
use super::super::schema::{At, Wrong};
use super::super::tree::Value;
use super::Context;

/// Reads `dns:`.
pub(super) fn resolve(context: &mut Context<'_>, at: &At<'_>) -> Dns {
    let Some(fields) = at.fields(&mut context.report) else {
        return Dns::default();
    };
    let zones = match fields.find(&mut context.report, "zones") {
        Some(at) => zones(context, &at),
        None => BTreeMap::new(),
    };
    let addresses = if zones.is_empty() {
        fields.find(&mut context.report, "addresses")
    } else {
        let example = "addresses: [192.0.2.1]";
        fields.need(&mut context.report, "addresses", example)
    };
    let addresses = match addresses {
        Some(at) => proxy_addresses(&mut context.report, &at),
        None => Vec::new(),
    };
    Dns { addresses, zones }
}

fn proxy_addresses(report: &mut Report, at: &At<'_>) -> Vec<IpAddr> {
    let items = at.list(report).unwrap_or_default();
    if matches!(&at.node.value, Value::List(items) if items.is_empty()) {
        let remedy = "write the addresses that clients reach this proxy at: `[192.0.2.1]`";
        at.wrong(report, Wrong::new("is empty", remedy));
    }
    let mut addresses = Vec::with_capacity(items.len());
    for at in items {
        let Some(address) = at.parse(report, scalar::address) else {
            continue;
        };
        if addresses.contains(&address) {
            at.wrong(
                report,
                Wrong::new(format!("{address} is written twice"), "keep one"),
            );
        } else if address.is_unspecified() {
            let message = format!("nobody can connect to {address}");
            let remedy = "write an address that clients reach this proxy at";
            at.wrong(report, Wrong::new(message, remedy));
        }
        addresses.push(address);
    }
    addresses
}

fn zones(context: &mut Context<'_>, at: &At<'_>) -> BTreeMap<String, ZoneTable> {
    let mut zones = BTreeMap::new();
    for entry in at.entries(&mut context.report).unwrap_or_default() {
        let at = at.under(entry);
        let name = match scalar::name(&entry.key, Underscores::Allowed) {
            Ok(name) => name,
            Err(Wrong { remedy, .. }) => {
                let message = format!("`{}` is no zone name", entry.key);
                context
                    .report
                    .mistake(entry.place, &at.key, message, remedy);
                continue;
            }
        };
        let zone = zone(context, &at, &name);
        if zones.insert(name.clone(), zone).is_some() {
            let message = format!("zone {name} is written twice, in different spelling");
            context
                .report
                .mistake(entry.place, &at.key, message, "keep one of the two");
        }
    }
    zones
}

fn zone(context: &mut Context<'_>, at: &At<'_>, name: &str) -> ZoneTable {
    let plain = ZoneTable {
        ns: vec![format!("ns1.{name}")],
        file: None,
    };
    // A zone that needs nothing said is written `{}`, `~` or not at all.
    if matches!(at.node.value, Value::Empty | Value::Null) {
        return plain;
    }
    let Some(fields) = at.fields(&mut context.report) else {
        return plain;
    };
    let ns = match fields.find(&mut context.report, "ns") {
        Some(at) => name_servers(&mut context.report, &at),
        None => plain.ns,
    };
    let file = fields.find(&mut context.report, "file");
    ZoneTable {
        ns,
        file: file.and_then(|at| context.read(&at)),
    }
}

fn name_servers(report: &mut Report, at: &At<'_>) -> Vec<String> {
    let items = at.list(report).unwrap_or_default();
    if matches!(&at.node.value, Value::List(items) if items.is_empty()) {
        let remedy = "write at least one name server, or leave `ns` out";
        at.wrong(report, Wrong::new("is empty", remedy));
    }
    let mut servers = Vec::with_capacity(items.len());
    for at in items {
        // RFC 2181 §10.3: the value of an NS record is a name, never an address.
        let Some(text) = at.text(report) else {
            continue;
        };
        if text.parse::<IpAddr>().is_ok() {
            let message = format!("`{text}` is an address, not the name of a name server");
            at.wrong(
                report,
                Wrong::new(message, "write its name, such as `ns1.site.example`"),
            );
            continue;
        }
        let Some(server) = at.parse(report, |text| scalar::name(text, Underscores::Refused)) else {
            continue;
        };
        if servers.contains(&server) {
            at.wrong(
                report,
                Wrong::new(format!("{server} is written twice"), "keep one"),
            );
        }
        servers.push(server);
    }
    servers
}

/// Finds the zone that a name lies in: the longest one (RFC 1034 §4.3.2).
pub(super) fn zone_of<'z>(dns: &'z Dns, name: &str) -> Option<&'z str> {
    let mut rest = name;
    loop {
        if let Some((zone, _)) = dns.zones.get_key_value(rest) {
            return Some(zone);
        }
        rest = rest.split_once('.')?.1;
    }
}
