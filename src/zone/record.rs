//! Record types and sets of records.

use std::fmt;

/// A record type by number (RFC 1035 §3.2.2); those without a name here are served all the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Type(pub(super) u16);

impl Type {
    pub(super) const A: Self = Self(1);
    pub(super) const NS: Self = Self(2);
    pub(super) const CNAME: Self = Self(5);
    pub(super) const SOA: Self = Self(6);
    pub(super) const PTR: Self = Self(12);
    pub(super) const MX: Self = Self(15);
    pub(super) const TXT: Self = Self(16);
    pub(super) const AAAA: Self = Self(28);
    pub(super) const SRV: Self = Self(33);
    pub(super) const NAPTR: Self = Self(35);
    pub(super) const DNAME: Self = Self(39);
    pub(super) const OPT: Self = Self(41);
    pub(super) const DS: Self = Self(43);
    pub(super) const SVCB: Self = Self(64);
    pub(super) const HTTPS: Self = Self(65);
    pub(super) const IXFR: Self = Self(251);
    pub(super) const AXFR: Self = Self(252);
    pub(super) const ANY: Self = Self(255);

    /// Tells whether it can be asked for but not held (RFC 6895 §3.1), `ANY` apart.
    pub(super) fn is_meta(self) -> bool {
        (128..=254).contains(&self.0)
    }

    /// Tells where names stand in the RDATA that may be compressed: those of RFC 1035 only, as
    /// RFC 3597 §4 asks. Gives the bytes before the first name, and how many names follow.
    pub(super) fn compressible(self) -> (usize, usize) {
        match self {
            Self::NS | Self::CNAME | Self::PTR => (0, 1),
            Self::MX => (2, 1),
            Self::SOA => (0, 2),
            _ => (0, 0),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&hickory_proto::rr::RecordType::from(self.0), f)
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Every record of one owner and type (RFC 2181 §5).
#[derive(Clone, Debug)]
pub(super) struct RecordSet {
    /// The type.
    pub(super) rtype: Type,
    /// Time to live, in seconds: one for the whole set (RFC 2181 §5.2).
    pub(super) ttl: u32,
    /// RDATA in wire form, names not compressed; never empty, no two alike.
    pub(super) rdatas: Vec<Box<[u8]>>,
}

/// An SOA's numbers follow its two names (RFC 1035 §3.3.13): five of four bytes each.
pub(super) const SOA_NUMBERS_BYTES: usize = 20;

/// Reads one of the five numbers of an SOA: 0 is the serial, 4 the minimum.
pub(super) fn soa_number(rdata: &[u8], which: usize) -> u32 {
    let at = rdata.len().saturating_sub(SOA_NUMBERS_BYTES) + 4 * which;
    rdata
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// Lowers the minimum in an SOA's RDATA, unless it is as low.
pub(super) fn lower_soa_minimum(rdata: &mut [u8], most: u32) {
    let minimum = soa_number(rdata, 4).min(most);
    let at = rdata.len().saturating_sub(4);
    if rdata.len() >= SOA_NUMBERS_BYTES {
        rdata[at..].copy_from_slice(&minimum.to_be_bytes());
    }
}

/// Writes the serial into an SOA's RDATA.
pub(super) fn set_soa_serial(rdata: &mut [u8], serial: u32) {
    let at = rdata.len().saturating_sub(SOA_NUMBERS_BYTES);
    if let Some(place) = rdata.get_mut(at..at + 4) {
        place.copy_from_slice(&serial.to_be_bytes());
    }
}
