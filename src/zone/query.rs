//! The one parser of queries, strict.

use super::name::Sought;
use super::record::Type;

/// Bytes of a header (RFC 1035 §4.1.1).
pub(super) const HEADER_BYTES: usize = 12;

/// The greatest UDP answer that is sent, in bytes: it fits any path without fragments
/// (the number of the DNS flag day 2020; RFC 9715 §3.1 asks for at most 1400).
pub const UDP_PAYLOAD_MAX: usize = 1232;

/// The least that every client takes (RFC 1035 §4.2.1, RFC 6891 §6.2.3).
pub(super) const UDP_PAYLOAD_MIN: usize = 512;

/// An answer's code (RFC 6895 §2.3), those used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rcode {
    /// The answer follows, even if it is empty.
    NoError,
    /// The query makes no sense.
    FormErr,
    /// The answer is in doubt.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// What the query asks for is not done here.
    NotImp,
    /// The name is none of ours, or the question is not answered to anybody.
    Refused,
    /// A DNAME makes the name too long (RFC 6672 §2.2).
    YxDomain,
    /// The EDNS version is unknown (RFC 6891 §6.1.3).
    BadVers,
}

impl Rcode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::YxDomain,
        Self::BadVers,
    ];

    /// Gives the number on the wire; what is over 15 needs EDNS.
    pub fn number(self) -> u16 {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::YxDomain => 6,
            Self::BadVers => 16,
        }
    }

    /// Gives the word for metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::YxDomain => "YXDOMAIN",
            Self::BadVers => "BADVERS",
        }
    }
}

/// What of a header is answered with: its id and the bits that are copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) id: [u8; 2],
    /// Opcode and RD of the first flag byte, in place.
    pub(super) copied: u8,
    /// CD, in place (RFC 4035 §3.2.2).
    pub(super) checking_disabled: u8,
}

/// EDNS as the client sent it (RFC 6891 §6.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Edns {
    pub(super) payload: usize,
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
}

/// A query that has one question.
pub(super) struct Query<'a> {
    pub(super) header: Header,
    /// Name, type and class as they were asked, for the echo.
    pub(super) question: &'a [u8],
    pub(super) name: Sought,
    pub(super) rtype: Type,
    pub(super) class: u16,
    pub(super) edns: Option<Edns>,
}

/// A packet that is no such query.
pub(super) enum Unanswerable {
    /// Not even a header.
    Short,
    /// A response: to answer it could start a loop between two servers.
    Response,
    /// A header to refuse by.
    Refused(Header, Rcode),
}

impl<'a> Query<'a> {
    /// Parses a packet.
    pub(super) fn parse(packet: &'a [u8]) -> Result<Self, Unanswerable> {
        let Some((header, body)) = packet.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Unanswerable::Short);
        };
        // Before anything else: a response is never answered.
        if header[2] & 0x80 != 0 {
            return Err(Unanswerable::Response);
        }
        let copied = Header {
            id: [header[0], header[1]],
            copied: header[2] & 0x79,
            checking_disabled: header[3] & 0x10,
        };
        let opcode = header[2] >> 3 & 0x0f;
        if opcode != 0 {
            return Err(Unanswerable::Refused(copied, Rcode::NotImp));
        }
        Self::parse_body(copied, header, body).ok_or(Unanswerable::Refused(copied, Rcode::FormErr))
    }

    fn parse_body(copied: Header, header: &[u8; HEADER_BYTES], body: &'a [u8]) -> Option<Self> {
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        // RFC 9619 §4: a query has one question. Nothing is answered in it.
        if count(4) != 1 || count(6) != 0 {
            return None;
        }
        let name = Sought::read(body)?;
        let question_bytes = name.wire().len() + 4;
        let (question, mut rest) = body.split_at_checked(question_bytes)?;
        let numbers = question.last_chunk::<4>()?;
        let mut edns = None;
        // An IXFR brings its SOA as authority (RFC 1995 §3).
        for _ in 0..count(8) {
            rest = Record::read(rest)?.1;
        }
        for _ in 0..count(10) {
            let (record, after) = Record::read(rest)?;
            rest = after;
            if record.rtype == Type::OPT {
                // RFC 6891 §6.1.1: at most one OPT; §6.1.2: owned by the root.
                if edns.is_some() || !record.root {
                    return None;
                }
                edns = Some(record.edns()?);
            }
        }
        rest.is_empty().then_some(Self {
            header: copied,
            question,
            name,
            rtype: Type(u16::from_be_bytes([numbers[0], numbers[1]])),
            class: u16::from_be_bytes([numbers[2], numbers[3]]),
            edns,
        })
    }
}

/// A record that a query brings, its owner skipped.
struct Record<'a> {
    root: bool,
    rtype: Type,
    class: u16,
    ttl: [u8; 4],
    rdata: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let rest = skip_name(bytes)?;
        let (fixed, rest) = rest.split_first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let (rdata, rest) = rest.split_at_checked(length)?;
        let record = Self {
            root: bytes[0] == 0,
            rtype: Type(u16::from_be_bytes([fixed[0], fixed[1]])),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
            ttl: [fixed[4], fixed[5], fixed[6], fixed[7]],
            rdata,
        };
        Some((record, rest))
    }

    /// Reads it as an OPT (RFC 6891 §6.1.3); `None` when an option is cut short.
    fn edns(&self) -> Option<Edns> {
        let mut options = self.rdata;
        while !options.is_empty() {
            let (head, rest) = options.split_first_chunk::<4>()?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            options = rest.get(length..)?;
        }
        Some(Edns {
            payload: usize::from(self.class),
            version: self.ttl[1],
            dnssec_ok: self.ttl[2] & 0x80 != 0,
        })
    }
}

/// Skips a name that may end in a compression pointer; it is not followed.
fn skip_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            0xc0.. => return rest.get(1..),
            1..=63 => bytes = rest.get(usize::from(*length)..)?,
            64..0xc0 => return None,
        }
    }
}
