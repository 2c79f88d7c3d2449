//! What each zone holds, gathered from the table, the positions and the zone files.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::site::{Answers, Epoch, Position, Positions, SiteName};
use crate::table::{Diagnostic, FollowingName, Site, Table, ZoneTable};

use super::Serial;
use super::draft::{Claim, Draft};
use super::name::Name;
use super::record::{RecordSet, Type};

/// TTL of hosts, name servers and SOA, in seconds: their answers never change at a flip.
const STABLE_TTL: u32 = 300;

/// TTL of direct names around a flip, in seconds: the least that is kept at all (RFC 2181 §8).
const SHORT_TTL: u32 = 1;

/// TTL of `_flip`, in seconds: it is asked to see a flip that was just made.
const FLIP_TTL: u32 = 1;

/// What a zone holds, apart from its serial.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Stable over restarts: equal digests mean equal answers.
    pub digest: u64,
    /// SOA serial of the zone file, if it has one.
    pub file_serial: Option<Serial>,
    pub(super) apex: Name,
    pub(super) names: BTreeMap<Name, Held>,
}

/// What one name holds; a name without sets exists all the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// In the order of their types.
    pub(super) sets: Vec<RecordSet>,
    /// The active side is in doubt, so the answer is SERVFAIL.
    pub(super) doubt: bool,
    /// Its address follows an active side. That is no part of what it answers.
    pub(super) direct: Option<DirectName>,
}

/// Whose address a name gives out.
#[derive(Clone, Debug)]
pub(super) struct DirectName {
    pub(super) rtype: Type,
    pub(super) site: SiteName,
    pub(super) epoch: Epoch,
}

/// What zones are to say of a site.
#[derive(Clone, Debug, Default)]
pub struct Says {
    /// Where it is; without a position, and without an active side, its direct names are in doubt.
    pub position: Option<Position>,
    /// How its direct names answer, unless they are in doubt.
    pub answers: Answers,
}

impl From<Option<Position>> for Says {
    fn from(position: Option<Position>) -> Self {
        Self {
            position,
            answers: Answers::Usual,
        }
    }
}

/// Gathers what each zone of a table holds at these positions; by zone name.
///
/// # Errors
/// Mistakes in zone files, and names that a zone file and the table both claim.
pub fn contents(
    table: &Table,
    positions: &Positions,
) -> Result<BTreeMap<String, Contents>, Vec<Diagnostic>> {
    let zones: BTreeSet<&str> = table.dns.zones.keys().map(String::as_str).collect();
    contents_of(table, &zones, |site| positions.of(site).cloned().into())
}

/// Gathers what some zones of a table hold.
///
/// # Errors
/// Those of [`contents`], of these zones.
pub fn contents_of(
    table: &Table,
    zones: &BTreeSet<&str>,
    says: impl Fn(&SiteName) -> Says,
) -> Result<BTreeMap<String, Contents>, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let mut drafts = BTreeMap::new();
    let wanted = table.dns.zones.iter();
    for (name, zone) in wanted.filter(|(name, _)| zones.contains(name.as_str())) {
        match Draft::open(name, zone) {
            Ok(draft) => drop(drafts.insert(name.clone(), draft)),
            Err(mut wrong) => mistakes.append(&mut wrong),
        }
    }
    let mut gathering = Gathering {
        table,
        drafts,
        mistakes,
    };
    for site in table.sites.iter() {
        // Those of other zones are passed over, which are most when one zone is gathered.
        if zones_of(table, site)
            .iter()
            .any(|zone| zones.contains(zone))
        {
            gathering.site(site, &says(&site.name));
        }
    }
    gathering.finish()
}

/// Lists the zones that may not hold in a new table what they hold in an old one, when only these
/// sites differ; `None` when that may be any of them.
pub fn touched<'t, 's>(
    old: &'t Table,
    new: &'t Table,
    sites: impl IntoIterator<Item = &'s SiteName>,
) -> Option<BTreeSet<&'t str>> {
    if old.dns != new.dns {
        return None;
    }
    let mut touched = BTreeSet::new();
    for name in sites {
        match (old.site(name.as_str()), new.site(name.as_str())) {
            (Some(old), Some(new)) if say_the_same(old, new) => {}
            (before, after) => {
                let sites = [before, after].into_iter().flatten();
                touched.extend(sites.flat_map(|site| zones_of(new, site)));
            }
        }
    }
    Some(touched)
}

/// Tells whether zones hold the same of two sites at one position.
fn say_the_same(one: &Site, other: &Site) -> bool {
    let sides = one.sides.iter().zip(&other.sides);
    let mut sides = sides.map(|(one, other)| one.name == other.name && one.names == other.names);
    one.hosts == other.hosts
        && one.names == other.names
        && one.sides.len() == other.sides.len()
        && sides.all(|same| same)
}

/// Lists the names whose TXT shows the epoch of a site: one in each zone that has a name of it.
pub fn flip_names(table: &Table, site: &Site) -> Vec<String> {
    let zones = zones_of(table, site).into_iter();
    zones
        .map(|zone| format!("_flip.{}.{zone}", site.name))
        .collect()
}

/// Lists the zones that hosts or following names of a site lie in.
pub fn zones_of<'t>(table: &'t Table, site: &Site) -> BTreeSet<&'t str> {
    let following = site.names.iter().map(|name| &name.owner);
    site.hosts
        .iter()
        .chain(following)
        .filter_map(|name| zone_of(table, name))
        .collect()
}

/// Finds the innermost zone that a name lies in.
fn zone_of<'t>(table: &'t Table, name: &str) -> Option<&'t str> {
    let mut rest = name;
    loop {
        if let Some((zone, _)) = table.dns.zones.get_key_value(rest) {
            return Some(zone);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// The drafts of every zone while the sites are gone through.
struct Gathering<'a> {
    table: &'a Table,
    drafts: BTreeMap<String, Draft<'a>>,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Gathering<'a> {
    fn site(&mut self, site: &'a Site, says: &Says) {
        for (index, host) in site.hosts.iter().enumerate() {
            let key = || format!("sites.{}.hosts[{index}]", site.name);
            self.claim_addresses(host, &self.table.dns.addresses, STABLE_TTL, key);
        }
        for following in &site.names {
            self.following(site, following, says);
        }
        for zone in zones_of(self.table, site) {
            self.flip_name(site, zone, says.position.as_ref());
        }
    }

    /// Claims a name for addresses; gives the zone it lies in, `None` outside of all.
    fn claim_addresses(
        &mut self,
        owner: &str,
        addresses: &[IpAddr],
        ttl: u32,
        key: impl Fn() -> String,
    ) -> Option<String> {
        let zone = self.zone_of(owner)?;
        if !self.drafts.contains_key(&zone) {
            return None;
        }
        let owner = self.name(owner, &key)?;
        let draft = self.drafts.get_mut(&zone)?;
        for address in addresses {
            draft.claim(
                &owner,
                address_type(address),
                Claim { key: &key, ttl },
                rdata(address),
            );
        }
        Some(zone)
    }

    /// Claims a direct name for the active side's address, or holds it in doubt.
    fn following(
        &mut self,
        site: &'a Site,
        following: &FollowingName,
        says: &Says,
    ) -> Option<String> {
        let key = || format!("sites.{}.names.{}", site.name, following.owner);
        let usual = u32::try_from(following.ttl.as_secs()).unwrap_or(u32::MAX);
        let ttl = match says.answers {
            Answers::Usual => usual.max(SHORT_TTL),
            Answers::Short | Answers::Withheld => SHORT_TTL,
        };
        let position = says.position.as_ref();
        let active = position
            .and_then(|position| position.active.as_ref())
            .and_then(|side| site.side(side))
            .and_then(|side| side.names.get(&following.from));
        let zone = match active {
            Some(address) if says.answers != Answers::Withheld => {
                self.claim_addresses(&following.owner, &[*address], ttl, key)?
            }
            Some(_) | None => self.zone_of(&following.owner)?,
        };
        let owner = self.name(&following.owner, key)?;
        let draft = self.drafts.get_mut(&zone)?;
        // Which side is active must not decide whether a zone file is right.
        for side in &site.sides {
            if let Some(address) = side.names.get(&following.from) {
                draft.reserve(&owner, address_type(address), key);
            }
        }
        match (active, position) {
            (Some(_), _) if says.answers == Answers::Withheld => draft.withhold(&owner),
            (Some(address), Some(position)) => {
                let direct = DirectName {
                    rtype: address_type(address),
                    site: site.name.clone(),
                    epoch: position.epoch,
                };
                draft.follows(&owner, direct);
            }
            (Some(_) | None, _) => draft.doubt(&owner),
        }
        Some(zone)
    }

    /// `_flip.<site>.<zone>` shows the epoch to whoever can ask DNS.
    fn flip_name(&mut self, site: &Site, zone: &str, position: Option<&Position>) {
        let epoch = position.map_or(0, |position| position.epoch.0);
        let active = position
            .and_then(|position| position.active.as_ref())
            .map_or("unknown", |side| side.as_str());
        let mut text = format!("epoch={epoch} active={active}").into_bytes();
        // One character string (RFC 1035 §3.3.14); a side's name that long is cut.
        text.truncate(usize::from(u8::MAX));
        let mut rdata = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
        rdata.append(&mut text);
        let key = || format!("sites.{}", site.name);
        let Some(draft) = self.drafts.get_mut(zone) else {
            return;
        };
        let owner = Name::under(site.name.as_str(), draft.apex())
            .and_then(|parent| Name::under("_flip", &parent));
        match owner {
            Ok(owner) => {
                draft.claim(
                    &owner,
                    Type::TXT,
                    Claim { key, ttl: FLIP_TTL },
                    rdata.into(),
                );
            }
            Err(error) => self.mistakes.push(unplaced(&key(), &error.to_string())),
        }
    }

    fn zone_of(&self, name: &str) -> Option<String> {
        zone_of(self.table, name).map(str::to_owned)
    }

    fn name(&mut self, text: &str, key: impl Fn() -> String) -> Option<Name> {
        Name::of_table(text)
            .map_err(|error| {
                self.mistakes
                    .push(unplaced(&key(), &format!("{text:?}: {error}")))
            })
            .ok()
    }

    fn finish(mut self) -> Result<BTreeMap<String, Contents>, Vec<Diagnostic>> {
        let mut zones = BTreeMap::new();
        for (name, draft) in self.drafts {
            match draft.finish(&self.table.dns.addresses, STABLE_TTL) {
                Ok(contents) => drop(zones.insert(name, contents)),
                Err(mut wrong) => self.mistakes.append(&mut wrong),
            }
        }
        if self.mistakes.is_empty() {
            Ok(zones)
        } else {
            Err(self.mistakes)
        }
    }
}

/// The file of a zone as the key path names it.
pub(super) fn zone_key(zone: &str) -> String {
    format!("dns.zones.{zone}")
}

/// Tells which name servers stand in the table because nobody wrote any.
pub(super) fn has_default_ns(name: &str, zone: &ZoneTable) -> bool {
    zone.ns.len() == 1 && zone.ns[0] == format!("ns1.{name}")
}

pub(super) fn address_type(address: &IpAddr) -> Type {
    match address {
        IpAddr::V4(_) => Type::A,
        IpAddr::V6(_) => Type::AAAA,
    }
}

pub(super) fn rdata(address: &IpAddr) -> Box<[u8]> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

/// A mistake of the table that is known by its key only.
pub(super) fn unplaced(key: &str, message: &str) -> Diagnostic {
    Diagnostic {
        file: PathBuf::new(),
        line: 1,
        column: 1,
        key: key.into(),
        message: format!("no DNS name: {message}"),
        remedy: "labels have 1 to 63 bytes, a whole name at most 253".into(),
    }
}
