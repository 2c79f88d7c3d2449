//! A compiled zone: every name a node, found by hash, with what stands above it known.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::sync::Arc;

use super::Serial;
use super::contents::Contents;
use super::lease::{AnswerLease, Leases};
use super::name::{Name, Sought};
use super::record::{RecordSet, Type, set_soa_serial, soa_number};

/// A hash whose key nobody outside knows, so that names cannot be chosen to collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keyed(pub(super) u64);

impl BuildHasher for Keyed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        // SipHash whose state begins with the key.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// Names in folded wire form to where they are.
pub(super) type ByName<T> = HashMap<Box<[u8]>, T, Keyed>;

/// One zone, ready to answer.
#[derive(Debug)]
pub(super) struct Zone {
    labels: usize,
    nodes: Vec<Node>,
    index: ByName<usize>,
    /// The SOA with the TTL of negative answers (RFC 2308 §3).
    negative_soa: RecordSet,
}

/// One name; an empty non-terminal (RFC 8020 §2) is a node without sets.
#[derive(Debug)]
pub(super) struct Node {
    /// In wire form.
    pub(super) owner: Box<[u8]>,
    /// Counts the labels of the owner.
    pub(super) labels: usize,
    pub(super) sets: Vec<RecordSet>,
    pub(super) doubt: bool,
    /// Its addresses follow an active side.
    pub(super) direct: Option<Direct>,
    /// It has an NS set and is not the apex (RFC 1034 §4.2.1).
    pub(super) is_cut: bool,
    /// The topmost delegation or DNAME above it, which answers in its place.
    hidden_by: Option<usize>,
    /// `*` below it (RFC 4592 §2.2.1).
    wildcard: Option<usize>,
}

/// Which of a name's sets follows an active side, and what is known of those given out.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) rtype: Type,
    pub(super) lease: Arc<AnswerLease>,
}

impl Node {
    /// Looks up one set.
    pub(super) fn set(&self, rtype: Type) -> Option<&RecordSet> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// Looks up the lease of one of its sets; `None` for what no flip changes.
    pub(super) fn lease(&self, set: &RecordSet) -> Option<&Arc<AnswerLease>> {
        let direct = self.direct.as_ref()?;
        (direct.rtype == set.rtype).then_some(&direct.lease)
    }
}

/// What a look-up of a name met.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The name itself.
    Name(&'a Node),
    /// A delegation or DNAME above the name.
    Hidden(&'a Node),
    /// No such name, but a wildcard below its closest encloser (RFC 4592 §3.3.1).
    Wildcard(&'a Node),
    /// No such name.
    Nothing,
}

impl Zone {
    /// Compiles contents with a serial.
    pub(super) fn compile(
        contents: &Contents,
        serial: Serial,
        keyed: Keyed,
        leases: &Leases,
    ) -> Self {
        let apex_labels = contents.apex.labels();
        let mut zone = Self {
            labels: apex_labels,
            nodes: Vec::with_capacity(contents.names.len() + 1),
            index: ByName::with_capacity_and_hasher(contents.names.len() + 1, keyed),
            negative_soa: RecordSet {
                rtype: Type::SOA,
                ttl: 0,
                rdatas: Vec::new(),
            },
        };
        // The apex first, so that every other name finds a node to hang below.
        zone.node(&contents.apex, apex_labels);
        for (name, held) in &contents.names {
            let at = zone.node(name, apex_labels);
            let node = &mut zone.nodes[at];
            node.sets = held.sets.clone();
            node.doubt = held.doubt;
            node.direct = held.direct.as_ref().map(|direct| Direct {
                rtype: direct.rtype,
                lease: leases.of(&direct.site, direct.epoch),
            });
        }
        zone.put_serial(serial);
        zone.link();
        zone
    }

    /// Finds or makes the node of a name, and of every empty non-terminal above it.
    fn node(&mut self, name: &Name, apex_labels: usize) -> usize {
        let key = name.folded();
        if let Some(at) = self.index.get(&key) {
            return *at;
        }
        let labels = name.labels();
        let at = self.nodes.len();
        self.nodes.push(Node {
            owner: name.wire().into(),
            labels,
            sets: Vec::new(),
            doubt: false,
            direct: None,
            is_cut: false,
            hidden_by: None,
            wildcard: None,
        });
        self.index.insert(key, at);
        if let Some(parent) = name.parent().filter(|_| labels > apex_labels) {
            let parent = self.node(&parent, apex_labels);
            if name.is_wildcard() {
                self.nodes[parent].wildcard = Some(at);
            }
        }
        at
    }

    fn put_serial(&mut self, serial: Serial) {
        let apex = &mut self.nodes[0];
        let Some(soa) = apex.sets.iter_mut().find(|set| set.rtype == Type::SOA) else {
            return;
        };
        for rdata in &mut soa.rdatas {
            set_soa_serial(rdata, serial.0);
        }
        self.negative_soa = soa.clone();
        let minimum = soa.rdatas.first().map_or(0, |rdata| soa_number(rdata, 4));
        // RFC 2308 §3: the lesser of the SOA's TTL and its minimum.
        self.negative_soa.ttl = soa.ttl.min(minimum);
    }

    /// Tells each node what hides it, from the apex down.
    fn link(&mut self) {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|at| self.nodes[*at].labels);
        for at in order {
            let node = &self.nodes[at];
            let is_cut = at != 0 && node.set(Type::NS).is_some();
            let hidden_by = (at != 0).then(|| self.hidden_below_parent(node)).flatten();
            let node = &mut self.nodes[at];
            node.is_cut = is_cut;
            node.hidden_by = hidden_by;
        }
    }

    fn hidden_below_parent(&self, node: &Node) -> Option<usize> {
        let after_first = 1 + usize::from(node.owner[0]);
        let parent = *self
            .index
            .get(&node.owner[after_first..].to_ascii_lowercase()[..])?;
        let above = &self.nodes[parent];
        let hides = above.is_cut || above.set(Type::DNAME).is_some();
        above.hidden_by.or(hides.then_some(parent))
    }

    /// Counts the labels of the apex.
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// Tells whether a name is the apex or lies below it.
    pub(super) fn covers(&self, name: &Sought) -> bool {
        name.labels() >= self.labels
            && name
                .last(self.labels)
                .eq_ignore_ascii_case(&self.nodes[0].owner)
    }

    /// The SOA for negative answers, and the name that owns it.
    pub(super) fn negative_soa(&self) -> (&[u8], &RecordSet) {
        (&self.nodes[0].owner, &self.negative_soa)
    }

    /// Finds what stands for a name that this zone covers (RFC 1034 §4.3.2, step 3).
    ///
    /// A miss walks down from the apex and ends at the first name that is not there, so it costs
    /// no more look-ups than the zone is deep, however many labels the question has.
    pub(super) fn find(&self, name: &Sought) -> Found<'_> {
        if let Some(at) = self.index.get(name.last(name.labels())) {
            let node = &self.nodes[*at];
            return match node.hidden_by {
                Some(above) => Found::Hidden(&self.nodes[above]),
                None => Found::Name(node),
            };
        }
        let mut encloser = 0;
        for labels in self.labels + 1..name.labels() {
            match self.index.get(name.last(labels)) {
                Some(at) => encloser = *at,
                None => break,
            }
        }
        let node = &self.nodes[encloser];
        if node.is_cut || node.set(Type::DNAME).is_some() || node.hidden_by.is_some() {
            return Found::Hidden(&self.nodes[node.hidden_by.unwrap_or(encloser)]);
        }
        match node.wildcard {
            Some(at) => Found::Wildcard(&self.nodes[at]),
            None => Found::Nothing,
        }
    }

    /// Finds the addresses of a name server, hidden ones too: that is what glue is.
    pub(super) fn glue(&self, server: &Sought) -> Option<&Node> {
        let at = self.index.get(server.last(server.labels()))?;
        Some(&self.nodes[*at])
    }
}
