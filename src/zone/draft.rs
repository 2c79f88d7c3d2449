//! One zone while it is put together: claims of the table, then the records of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::table::{Diagnostic, LoadedFile, ZoneTable};

use super::Serial;
use super::contents::{
    Contents, DirectName, Held, address_type, has_default_ns, rdata, unplaced, zone_key,
};
use super::digest::digest;
use super::master::{self, Mistake, Placed};
use super::name::Name;
use super::record::{RecordSet, Type, lower_soa_minimum, set_soa_serial, soa_number};

/// How often a secondary asks for the serial, in seconds; NOTIFY comes before (RFC 1035 §3.3.13).
const REFRESH: u32 = 300;
/// How long a secondary waits after a failed try, in seconds.
const RETRY: u32 = 60;
/// How long a secondary serves what it cannot refresh, in seconds: two weeks.
const EXPIRE: u32 = 1_209_600;
/// How long "no such name" may be kept, in seconds (RFC 2308 §4): a site added is soon seen.
const MINIMUM: u32 = 60;
/// The same while an address is withheld, which soon is not any more.
const MINIMUM_WITHHELD: u32 = 1;

/// What the table says of a record it claims.
pub(super) struct Claim<K> {
    /// Gives the key path that says it.
    pub(super) key: K,
    /// Seconds.
    pub(super) ttl: u32,
}

/// A zone being put together.
pub(super) struct Draft<'a> {
    name: &'a str,
    table: &'a ZoneTable,
    apex: Name,
    /// What the zone file says.
    placed: Vec<Placed>,
    names: BTreeMap<Name, Held>,
    /// Names that have an address and do not give it out.
    withheld: BTreeSet<Name>,
    /// What only the table may say, and the key that says it.
    claims: BTreeMap<(Name, Type), String>,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Draft<'a> {
    /// Opens a zone and reads its file.
    pub(super) fn open(name: &'a str, table: &'a ZoneTable) -> Result<Self, Vec<Diagnostic>> {
        let apex = Name::of_table(if name.is_empty() { "." } else { name })
            .map_err(|error| vec![unplaced(&zone_key(name), &error.to_string())])?;
        let placed = match &table.file {
            None => Vec::new(),
            Some(file) => master::read(&file.text, &apex).map_err(|wrong| {
                wrong
                    .into_iter()
                    .map(|mistake| diagnostic(name, file, mistake))
                    .collect::<Vec<_>>()
            })?,
        };
        Ok(Self {
            name,
            table,
            apex,
            placed,
            names: BTreeMap::new(),
            withheld: BTreeSet::new(),
            claims: BTreeMap::new(),
            mistakes: Vec::new(),
        })
    }

    pub(super) fn apex(&self) -> &Name {
        &self.apex
    }

    /// Adds a record of the table.
    pub(super) fn claim<K>(&mut self, owner: &Name, rtype: Type, claim: Claim<K>, rdata: Box<[u8]>)
    where
        K: FnOnce() -> String,
    {
        self.reserve(owner, rtype, claim.key);
        self.add(owner, rtype, claim.ttl, rdata);
    }

    /// Keeps an owner and type for the table.
    ///
    /// Only the records of a zone file can contradict that.
    pub(super) fn reserve(&mut self, owner: &Name, rtype: Type, key: impl FnOnce() -> String) {
        if self.table.file.is_some() {
            self.claims
                .entry((owner.clone(), rtype))
                .or_insert_with(key);
        }
    }

    /// Makes a name answer SERVFAIL.
    pub(super) fn doubt(&mut self, owner: &Name) {
        self.names.entry(owner.clone()).or_default().doubt = true;
    }

    /// Notes whose address a name gives out.
    pub(super) fn follows(&mut self, owner: &Name, direct: DirectName) {
        self.names.entry(owner.clone()).or_default().direct = Some(direct);
    }

    /// Makes a name answer that it has no address: it is there, and holds none (RFC 2308 §2.2).
    pub(super) fn withhold(&mut self, owner: &Name) {
        self.names.entry(owner.clone()).or_default();
        self.withheld.insert(owner.clone());
    }

    /// Puts the zone's own records in, and gives the contents.
    ///
    /// # Errors
    /// Every contradiction between the file and the table, or within the file.
    pub(super) fn finish(
        mut self,
        addresses: &[IpAddr],
        ttl: u32,
    ) -> Result<Contents, Vec<Diagnostic>> {
        let mut file_serial = None;
        for placed in std::mem::take(&mut self.placed) {
            if let Err(message) = self.take(&placed, &mut file_serial) {
                self.wrong(&placed, message);
            }
        }
        self.name_servers(addresses, ttl);
        self.start_of_authority(ttl);
        self.shorten_negatives();
        self.check_hidden();
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        Ok(Contents {
            digest: digest(&self.names),
            file_serial,
            apex: self.apex,
            names: self.names,
        })
    }

    /// Takes one record of the file, or says why not.
    fn take(&mut self, placed: &Placed, file_serial: &mut Option<Serial>) -> Result<(), String> {
        let Placed { owner, rtype, .. } = placed;
        if !owner.is_within(&self.apex) {
            return Err(format!("{owner} is outside of the zone {}", self.apex));
        }
        if let Some(key) = self.claims.get(&(owner.clone(), *rtype)) {
            return Err(format!(
                "{owner} {rtype} is claimed by {key} in the table too"
            ));
        }
        let at_apex = *owner == self.apex;
        if *rtype == Type::NS && at_apex && !has_default_ns(self.name, self.table) {
            return Err(format!(
                "the name servers are claimed by {}.ns too",
                zone_key(self.name)
            ));
        }
        let types = |name| self.types(name);
        let single = [Type::SOA, Type::CNAME, Type::DNAME];
        if single.contains(rtype) && types(owner).any(|held| held == *rtype) {
            return Err(format!("a second {rtype} of {owner}"));
        }
        // RFC 1034 §3.6.2: where a CNAME is, nothing else may be.
        let beside = |held: Type| held != *rtype && [held, *rtype].contains(&Type::CNAME);
        if types(owner).any(beside) {
            return Err(format!(
                "{owner} has a CNAME, and nothing may stand beside it"
            ));
        }
        let mut rdata = placed.rdata.clone();
        if *rtype == Type::SOA {
            if !at_apex {
                return Err(format!("an SOA below {}", self.apex));
            }
            *file_serial = Some(Serial(soa_number(&rdata, 0)));
            // The serial is the daemon's to choose; the content is the same without it.
            set_soa_serial(&mut rdata, 0);
        }
        self.add(owner, *rtype, placed.ttl, rdata);
        Ok(())
    }

    /// Fills in the name servers, and their addresses where they lie in the zone without one.
    fn name_servers(&mut self, addresses: &[IpAddr], ttl: u32) {
        let apex = self.apex.clone();
        if !self.types(&apex).any(|held| held == Type::NS) {
            for server in &self.table.ns {
                match Name::of_table(server) {
                    Ok(server) => self.add(&apex, Type::NS, ttl, server.wire().into()),
                    Err(error) => self.mistakes.push(unplaced(
                        &format!("{}.ns", zone_key(self.name)),
                        &format!("{server:?}: {error}"),
                    )),
                }
            }
        }
        for server in self.servers() {
            // RFC 2181 §10.3 forbids an alias here; nothing may be put beside it either.
            let answered = [Type::A, Type::AAAA, Type::CNAME];
            if server.is_within(&apex)
                && !self.withheld.contains(&server)
                && !self.types(&server).any(|held| answered.contains(&held))
            {
                for address in addresses {
                    self.add(&server, address_type(address), ttl, rdata(address));
                }
            }
        }
    }

    fn start_of_authority(&mut self, ttl: u32) {
        let apex = self.apex.clone();
        if self.types(&apex).any(|held| held == Type::SOA) {
            return;
        }
        let first = self
            .servers()
            .into_iter()
            .next()
            .unwrap_or_else(|| apex.clone());
        let mailbox = Name::under("hostmaster", &apex).unwrap_or_else(|_| apex.clone());
        let mut rdata = [first.wire(), mailbox.wire()].concat();
        for number in [0, REFRESH, RETRY, EXPIRE, MINIMUM] {
            rdata.extend(number.to_be_bytes());
        }
        self.add(&apex, Type::SOA, ttl, rdata.into());
    }

    /// Lets "no such data" be kept for a moment only, while an address is withheld.
    fn shorten_negatives(&mut self) {
        let apex = self.names.get_mut(&self.apex);
        let sets = apex.into_iter().flat_map(|held| &mut held.sets);
        for soa in sets.filter(|set| set.rtype == Type::SOA) {
            if !self.withheld.is_empty() {
                for rdata in &mut soa.rdatas {
                    lower_soa_minimum(rdata, MINIMUM_WITHHELD);
                }
            }
        }
    }

    /// Lists the apex's name servers.
    fn servers(&self) -> Vec<Name> {
        let sets = self
            .names
            .get(&self.apex)
            .map_or(&[][..], |held| &held.sets);
        sets.iter()
            .filter(|set| set.rtype == Type::NS)
            .flat_map(|set| &set.rdatas)
            .filter_map(|rdata| Name::of_wire(rdata))
            .collect()
    }

    /// Finds names of the table that a delegation or DNAME of the file would hide.
    fn check_hidden(&mut self) {
        for ((owner, _), key) in &self.claims {
            let mut above = owner.clone();
            while above != self.apex {
                let (cut, hidden) = (Type::NS, Type::DNAME);
                if self.types(&above).any(|held| held == cut)
                    || (above != *owner && self.types(&above).any(|held| held == hidden))
                {
                    let file = self.table.file.as_ref();
                    self.mistakes.push(Diagnostic {
                        file: file.map(|file| file.path.clone()).unwrap_or_default(),
                        line: 1,
                        column: 1,
                        key: key.clone(),
                        message: format!("{owner} is hidden by the NS or DNAME of {above}"),
                        remedy: "take one of the two out".into(),
                    });
                    break;
                }
                match above.parent() {
                    Some(parent) => above = parent,
                    None => break,
                }
            }
        }
    }

    fn types(&self, name: &Name) -> impl Iterator<Item = Type> {
        let sets = self.names.get(name).map_or(&[][..], |held| &held.sets);
        sets.iter().map(|set| set.rtype)
    }

    fn add(&mut self, owner: &Name, rtype: Type, ttl: u32, rdata: Box<[u8]>) {
        let held = self.names.entry(owner.clone()).or_default();
        match held.sets.binary_search_by_key(&rtype, |set| set.rtype) {
            Ok(at) => {
                let set = &mut held.sets[at];
                // RFC 2181 §5.2: one TTL for the set; the least is the safest.
                set.ttl = set.ttl.min(ttl);
                if !set.rdatas.contains(&rdata) {
                    set.rdatas.push(rdata);
                }
            }
            Err(at) => {
                let rdatas = vec![rdata];
                held.sets.insert(at, RecordSet { rtype, ttl, rdatas });
            }
        }
    }

    fn wrong(&mut self, placed: &Placed, message: String) {
        if let Some(file) = &self.table.file {
            let mistake = Mistake {
                line: placed.line,
                column: placed.column,
                message,
                remedy: "take one of the two out",
            };
            self.mistakes.push(diagnostic(self.name, file, mistake));
        }
    }
}

fn diagnostic(zone: &str, file: &LoadedFile, mistake: Mistake) -> Diagnostic {
    Diagnostic {
        file: file.path.clone(),
        line: mistake.line,
        column: mistake.column,
        key: format!("{}.file", zone_key(zone)),
        message: mistake.message,
        remedy: mistake.remedy.into(),
    }
}
