//! The answer engine: RFC 1034 §4.3.2 over compiled zones, no I/O in it.

use super::Zones;
use super::compiled::{Found, Node, Zone};
use super::lease::Given;
use super::message::{Full, Message, Section, bare};
use super::name::Sought;
use super::query::{Query, Rcode, UDP_PAYLOAD_MAX, UDP_PAYLOAD_MIN, Unanswerable};
use super::record::{RecordSet, Type};

/// Class IN (RFC 1035 §3.2.4).
const CLASS_IN: u16 = 1;

/// Aliases followed in one answer; what is further the client asks for itself.
const CHAIN_MAX: usize = 16;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// By datagram: the answer has the size the client takes, at most [`UDP_PAYLOAD_MAX`] bytes.
    Udp,
    /// On a connection: the answer has up to 65535 bytes.
    Tcp,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The first `len` bytes of the buffer go back.
    Send {
        /// Bytes.
        len: usize,
        /// What it says.
        rcode: Rcode,
    },
    /// Nothing goes back.
    Drop(Dropped),
}

/// Why a packet is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// It has no whole header.
    Short,
    /// It is a response itself; two servers would talk for ever.
    Response,
    /// The buffer for the answer is too small for the question; 512 bytes always do.
    NoRoom,
}

/// Answers one packet into `out`.
///
/// Whatever the packet is, this neither panics nor allocates, and writes at most the bytes that
/// the transport, the client and `out` allow. What it gives out of direct names is not noted: who
/// sends it to a client calls [`answer_noting`].
pub fn answer(zones: &Zones, packet: &[u8], transport: Transport, out: &mut [u8]) -> Reply {
    answer_noting(zones, packet, transport, out, &mut Given::default())
}

/// Answers as [`answer`] does, and adds to `given` what it gives out of direct names.
///
/// The notes may take memory, when one batch of answers gives out addresses of several sites.
pub fn answer_noting<'z>(
    zones: &'z Zones,
    packet: &[u8],
    transport: Transport,
    out: &mut [u8],
    given: &mut Given<'z>,
) -> Reply {
    let query = match Query::parse(packet) {
        Ok(query) => query,
        Err(Unanswerable::Short) => return Reply::Drop(Dropped::Short),
        Err(Unanswerable::Response) => return Reply::Drop(Dropped::Response),
        Err(Unanswerable::Refused(header, rcode)) => {
            return match bare(header, rcode, out) {
                Some(len) => Reply::Send { len, rcode },
                None => Reply::Drop(Dropped::NoRoom),
            };
        }
    };
    let Some(mut message) = Message::begin(&query, size_limit(&query, transport), out) else {
        return Reply::Drop(Dropped::NoRoom);
    };
    let resolve = || resolve(zones, &query, &mut message, given);
    let rcode = refusal(&query).map_or_else(resolve, Ok);
    let rcode = rcode.unwrap_or_else(|Full| {
        message.truncate();
        Rcode::NoError
    });
    Reply::Send {
        len: message.finish(rcode),
        rcode,
    }
}

fn size_limit(query: &Query<'_>, transport: Transport) -> usize {
    match (transport, query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => UDP_PAYLOAD_MIN,
        // RFC 6891 §6.2.3: less than 512 counts as 512.
        (Transport::Udp, Some(edns)) => edns.payload.clamp(UDP_PAYLOAD_MIN, UDP_PAYLOAD_MAX),
    }
}

/// What is refused before any zone is looked at.
fn refusal(query: &Query<'_>) -> Option<Rcode> {
    match query {
        // RFC 6891 §6.1.3.
        Query {
            edns: Some(edns), ..
        } if edns.version != 0 => Some(Rcode::BadVers),
        Query {
            rtype: Type::OPT, ..
        } => Some(Rcode::FormErr),
        Query { class, .. } if *class != CLASS_IN => Some(Rcode::Refused),
        // RFC 5936 §2.2.1: a transfer that nobody is allowed.
        Query {
            rtype: Type::AXFR | Type::IXFR,
            ..
        } => Some(Rcode::Refused),
        Query { rtype, .. } if rtype.is_meta() => Some(Rcode::NotImp),
        _ => None,
    }
}

/// What one name of a chain leads to.
#[expect(
    clippy::large_enum_variant,
    reason = "a name in place costs less than an allocation for each alias"
)]
enum Step<'z> {
    Done(Rcode),
    /// A CNAME or DNAME was written, and the answer goes on at another name.
    Alias(&'z Node, Sought),
}

/// The aliases that an answer has used.
#[derive(Default)]
struct Chain<'z> {
    nodes: [Option<&'z Node>; CHAIN_MAX],
    used: usize,
}

impl<'z> Chain<'z> {
    /// Tells whether an alias ends the chain: the second use of one is a loop, or a DNAME that
    /// makes the name longer each time.
    fn ends_at(&self, alias: &Node) -> bool {
        let before = &self.nodes[..self.used];
        self.used == CHAIN_MAX
            || before
                .iter()
                .flatten()
                .any(|node| std::ptr::eq(*node, alias))
    }

    fn add(&mut self, alias: &'z Node) {
        if let Some(place) = self.nodes.get_mut(self.used) {
            *place = Some(alias);
            self.used += 1;
        }
    }
}

fn resolve<'z>(
    zones: &'z Zones,
    query: &Query<'_>,
    message: &mut Message<'_>,
    given: &mut Given<'z>,
) -> Result<Rcode, Full> {
    let Some(zone) = zones.of(&query.name, query.rtype) else {
        return Ok(Rcode::Refused);
    };
    message.authoritative(true);
    let mut chain = Chain::default();
    let mut alias = None;
    loop {
        let name = alias.as_ref().unwrap_or(&query.name);
        // The client follows what leads out of the zone; only there is somebody to be believed.
        if !zone.covers(name) {
            return Ok(Rcode::NoError);
        }
        match step(zone, (name, query.rtype), &chain, message, given)? {
            Step::Done(rcode) => return Ok(rcode),
            Step::Alias(node, next) => {
                chain.add(node);
                alias = Some(next);
            }
        }
    }
}

fn step<'z>(
    zone: &'z Zone,
    (name, rtype): (&Sought, Type),
    chain: &Chain<'_>,
    message: &mut Message<'_>,
    given: &mut Given<'z>,
) -> Result<Step<'z>, Full> {
    match zone.find(name) {
        // RFC 4035 §3.1.4.1: the parent answers for the DS of a delegation.
        Found::Name(node) if node.is_cut && rtype != Type::DS => refer(zone, node, message, given),
        Found::Hidden(node) if node.is_cut => refer(zone, node, message, given),
        Found::Name(node) | Found::Wildcard(node) => {
            if node.doubt {
                message.clear();
                message.authoritative(false);
                return Ok(Step::Done(Rcode::ServFail));
            }
            match held(node, rtype) {
                Some(set) => {
                    message.set(Section::Answer, name.wire(), set)?;
                    note(node, set, given);
                    Ok(Step::Done(Rcode::NoError))
                }
                None => alias(zone, node, name, chain, message),
            }
        }
        Found::Hidden(node) => redirect(node, name, chain, message),
        // RFC 8020 §2 and RFC 6604 §3: of the last name of the chain.
        Found::Nothing => negative(zone, Rcode::NxDomain, message),
    }
}

/// Finds the set that a question is about.
fn held(node: &Node, rtype: Type) -> Option<&RecordSet> {
    match rtype {
        // RFC 8482 §4.1: ANY gets one of the sets.
        Type::ANY => node.sets.first(),
        rtype => node.set(rtype),
    }
}

/// Notes that a set was written, when it is one that a flip changes.
fn note<'z>(node: &'z Node, set: &RecordSet, given: &mut Given<'z>) {
    if let Some(lease) = node.lease(set) {
        given.note(lease, set.ttl);
    }
}

/// Follows a CNAME (RFC 1034 §4.3.2, step 3a); without one there is no such data.
fn alias<'z>(
    zone: &Zone,
    node: &'z Node,
    name: &Sought,
    chain: &Chain<'_>,
    message: &mut Message<'_>,
) -> Result<Step<'z>, Full> {
    let Some(cname) = node.set(Type::CNAME) else {
        return negative(zone, Rcode::NoError, message);
    };
    if chain.ends_at(node) {
        return Ok(Step::Done(Rcode::NoError));
    }
    message.set(Section::Answer, name.wire(), cname)?;
    Ok(match follow(cname) {
        Some(next) => Step::Alias(node, next),
        None => Step::Done(Rcode::NoError),
    })
}

fn follow(alias: &RecordSet) -> Option<Sought> {
    Sought::read(alias.rdatas.first()?)
}

/// Says that there is nothing, with the SOA that says for how long (RFC 2308 §2).
fn negative<'z>(zone: &Zone, rcode: Rcode, message: &mut Message<'_>) -> Result<Step<'z>, Full> {
    let (apex, soa) = zone.negative_soa();
    message.set(Section::Authority, apex, soa)?;
    Ok(Step::Done(rcode))
}

/// Redirects a name below a DNAME: the DNAME, and a CNAME made of it (RFC 6672 §3.1).
fn redirect<'z>(
    node: &'z Node,
    name: &Sought,
    chain: &Chain<'_>,
    message: &mut Message<'_>,
) -> Result<Step<'z>, Full> {
    let Some(dname) = node.set(Type::DNAME) else {
        return Ok(Step::Done(Rcode::ServFail));
    };
    if chain.ends_at(node) {
        return Ok(Step::Done(Rcode::NoError));
    }
    message.set(Section::Answer, &node.owner, dname)?;
    let kept = name.labels() - node.labels;
    let target = dname
        .rdatas
        .first()
        .and_then(|rdata| name.redirected(kept, rdata));
    let Some(target) = target else {
        // RFC 6672 §2.2: the new name is too long.
        return Ok(Step::Done(Rcode::YxDomain));
    };
    message.record(
        Section::Answer,
        name.wire(),
        (Type::CNAME, dname.ttl),
        target.wire(),
    )?;
    Ok(Step::Alias(node, target))
}

/// Refers to the servers of a delegation (RFC 1034 §4.3.2, step 3b), with their glue.
fn refer<'z>(
    zone: &'z Zone,
    node: &Node,
    message: &mut Message<'_>,
    given: &mut Given<'z>,
) -> Result<Step<'z>, Full> {
    let done = Ok(Step::Done(Rcode::NoError));
    // The authority is that of the first name; an alias before this was answered with it.
    message.authoritative(message.has_answer());
    let Some(servers) = node.set(Type::NS) else {
        return done;
    };
    message.set(Section::Authority, &node.owner, servers)?;
    for rdata in &servers.rdatas {
        let Some(server) = Sought::read(rdata).filter(|server| zone.covers(server)) else {
            continue;
        };
        let Some(glue) = zone.glue(&server) else {
            continue;
        };
        let needed = server.labels() >= node.labels
            && server.last(node.labels).eq_ignore_ascii_case(&node.owner);
        for set in [Type::A, Type::AAAA]
            .into_iter()
            .filter_map(|rtype| glue.set(rtype))
        {
            match message.set(Section::Additional, &glue.owner, set) {
                // RFC 9471 §3.1: without glue from below the cut the referral is of no use; that
                // from beside it may be left out.
                Err(full) if needed => return Err(full),
                Err(Full) => {}
                // A resolver may go by glue too.
                Ok(()) => note(glue, set, given),
            }
        }
    }
    done
}
