//! An answer being written: sections in order, names compressed, never over its limit.

use super::name::Sought;
use super::query::{Edns, HEADER_BYTES, Header, Query, Rcode, UDP_PAYLOAD_MAX};
use super::record::{RecordSet, Type};

/// Bytes of our OPT record: it carries no options.
const OPT_BYTES: usize = 11;

/// Suffixes that are remembered to point at; what comes later is written in full.
const SPOTS_MAX: usize = 40;

/// What does not fit is not written; the answer is truncated.
#[derive(Debug)]
pub(super) struct Full;

/// Where a record goes (RFC 1035 §4.1).
#[derive(Clone, Copy, Debug)]
pub(super) enum Section {
    Answer,
    Authority,
    Additional,
}

/// A name written before: where, and how many bytes it has without compression.
#[derive(Clone, Copy, Default)]
struct Spot {
    at: u16,
    bytes: u8,
}

/// A message being written.
pub(super) struct Message<'a> {
    out: &'a mut [u8],
    len: usize,
    question_end: usize,
    /// Room for everything but the OPT.
    limit: usize,
    spots: [Spot; SPOTS_MAX],
    spots_used: usize,
    counts: [u16; 3],
    header: Header,
    edns: Option<Edns>,
    authoritative: bool,
    truncated: bool,
}

/// Writes an answer that is a header only; `None` when even that does not fit.
pub(super) fn bare(header: Header, rcode: Rcode, out: &mut [u8]) -> Option<usize> {
    let place = out.first_chunk_mut::<HEADER_BYTES>()?;
    *place = [0; HEADER_BYTES];
    place[..2].copy_from_slice(&header.id);
    place[2] = 0x80 | header.copied;
    place[3] = header.checking_disabled | low_nibble(rcode);
    Some(HEADER_BYTES)
}

fn low_nibble(rcode: Rcode) -> u8 {
    rcode.number().to_be_bytes()[1] & 0x0f
}

impl<'a> Message<'a> {
    /// Begins an answer with its question; `None` when `out` has no room for that.
    pub(super) fn begin(query: &Query<'_>, limit: usize, out: &'a mut [u8]) -> Option<Self> {
        let reserved = query.edns.map_or(0, |_| OPT_BYTES);
        let limit = limit.min(out.len()).checked_sub(reserved)?;
        let question_end = HEADER_BYTES + query.question.len();
        if question_end > limit {
            return None;
        }
        out[HEADER_BYTES..question_end].copy_from_slice(query.question);
        let mut message = Self {
            out,
            len: question_end,
            question_end,
            limit,
            spots: [Spot::default(); SPOTS_MAX],
            spots_used: 0,
            counts: [0; 3],
            header: query.header,
            edns: query.edns,
            authoritative: false,
            truncated: false,
        };
        message.remember(HEADER_BYTES, query.name.wire());
        Some(message)
    }

    /// Says whether the answer comes with authority (RFC 1035 §4.1.1).
    pub(super) fn authoritative(&mut self, authoritative: bool) {
        self.authoritative = authoritative;
    }

    /// Tells whether the answer section has something in it.
    pub(super) fn has_answer(&self) -> bool {
        self.counts[0] > 0
    }

    /// Writes a whole set, or nothing of it.
    pub(super) fn set(
        &mut self,
        section: Section,
        owner: &[u8],
        set: &RecordSet,
    ) -> Result<(), Full> {
        let before = (self.len, self.spots_used, self.counts);
        for rdata in &set.rdatas {
            if let Err(full) = self.record(section, owner, (set.rtype, set.ttl), rdata) {
                (self.len, self.spots_used, self.counts) = before;
                return Err(full);
            }
        }
        Ok(())
    }

    /// Writes one record.
    pub(super) fn record(
        &mut self,
        section: Section,
        owner: &[u8],
        (rtype, ttl): (Type, u32),
        rdata: &[u8],
    ) -> Result<(), Full> {
        self.name(owner)?;
        self.bytes(&rtype.0.to_be_bytes())?;
        self.bytes(&1_u16.to_be_bytes())?;
        self.bytes(&ttl.to_be_bytes())?;
        let length_at = self.len;
        self.bytes(&[0; 2])?;
        self.rdata(rtype, rdata)?;
        let length = u16::try_from(self.len - length_at - 2).map_err(|_| Full)?;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        self.counts[section as usize] += 1;
        Ok(())
    }

    fn rdata(&mut self, rtype: Type, rdata: &[u8]) -> Result<(), Full> {
        let (before, names) = rtype.compressible();
        let (front, mut rest) = rdata.split_at_checked(before).unwrap_or((rdata, &[]));
        self.bytes(front)?;
        for _ in 0..names {
            // Made by the zone file's reader or by us, so it is well formed; were it not, it
            // would be copied as it is.
            let Some(name) = Sought::read(rest) else {
                break;
            };
            self.name(name.wire())?;
            rest = &rest[name.wire().len()..];
        }
        self.bytes(rest)
    }

    /// Writes a name, its longest known end as a pointer (RFC 1035 §4.1.4).
    fn name(&mut self, name: &[u8]) -> Result<(), Full> {
        let start = self.len;
        let mut at = 0;
        while name[at] > 0 {
            if let Some(known) = self.known(&name[at..]) {
                self.bytes(&name[..at])?;
                self.bytes(&(0xc000 | known).to_be_bytes())?;
                self.remember_front(start, name, at);
                return Ok(());
            }
            at += 1 + usize::from(name[at]);
        }
        self.bytes(name)?;
        self.remember_front(start, name, at);
        Ok(())
    }

    fn known(&self, suffix: &[u8]) -> Option<u16> {
        let same_length = |spot: &&Spot| usize::from(spot.bytes) == suffix.len();
        self.spots[..self.spots_used]
            .iter()
            .filter(same_length)
            .find(|spot| self.is_at(usize::from(spot.at), suffix))
            .map(|spot| spot.at)
    }

    /// Compares a name with one written before, in any case (RFC 4343 §3).
    fn is_at(&self, mut at: usize, mut name: &[u8]) -> bool {
        loop {
            let length = self.out[at];
            if length >= 0xc0 {
                // Pointers are our own and point backwards, so this ends.
                at = usize::from(u16::from_be_bytes([length & 0x3f, self.out[at + 1]]));
                continue;
            }
            let bytes = 1 + usize::from(length);
            if name.len() < bytes || !self.out[at..at + bytes].eq_ignore_ascii_case(&name[..bytes])
            {
                return false;
            }
            if length == 0 {
                return true;
            }
            at += bytes;
            name = &name[bytes..];
        }
    }

    fn remember(&mut self, start: usize, name: &[u8]) {
        self.remember_front(start, name, name.len() - 1);
    }

    /// Remembers the suffixes that begin before `end`.
    fn remember_front(&mut self, start: usize, name: &[u8], end: usize) {
        let mut at = 0;
        while at < end && self.spots_used < SPOTS_MAX {
            // A pointer has 14 bits; a name has at most 255 bytes.
            let (Ok(place @ ..0x4000), Ok(bytes)) =
                (u16::try_from(start + at), u8::try_from(name.len() - at))
            else {
                return;
            };
            self.spots[self.spots_used] = Spot { at: place, bytes };
            self.spots_used += 1;
            at += 1 + usize::from(name[at]);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Takes every record out and says that the answer is truncated (RFC 2181 §9).
    pub(super) fn truncate(&mut self) {
        self.clear();
        self.truncated = true;
    }

    /// Takes every record out.
    pub(super) fn clear(&mut self) {
        self.len = self.question_end;
        self.counts = [0; 3];
        self.spots_used = 0;
    }

    /// Writes the header and the OPT; gives the length of the whole.
    pub(super) fn finish(mut self, rcode: Rcode) -> usize {
        let mut additional = self.counts[2];
        if let Some(edns) = self.edns {
            additional += 1;
            let opt = &mut self.out[self.len..self.len + OPT_BYTES];
            opt.fill(0);
            opt[1..3].copy_from_slice(&Type::OPT.0.to_be_bytes());
            // RFC 6891 §6.2.3: the class tells what we take.
            let payload = u16::try_from(UDP_PAYLOAD_MAX).unwrap_or(u16::MAX);
            opt[3..5].copy_from_slice(&payload.to_be_bytes());
            // RFC 6891 §6.1.3: the upper bits of the code; the version stays 0.
            opt[5] = (rcode.number() >> 4).to_be_bytes()[1];
            // RFC 3225 §3: DO is copied.
            opt[7] = if edns.dnssec_ok { 0x80 } else { 0 };
            self.len += OPT_BYTES;
        }
        let header = &mut self.out[..HEADER_BYTES];
        header[..2].copy_from_slice(&self.header.id);
        let (authoritative, truncated) = (u8::from(self.authoritative), u8::from(self.truncated));
        header[2] = 0x80 | self.header.copied | authoritative << 2 | truncated << 1;
        header[3] = self.header.checking_disabled | low_nibble(rcode);
        header[4..6].copy_from_slice(&1_u16.to_be_bytes());
        let [answers, authorities, _] = self.counts;
        for (at, count) in [(6, answers), (8, authorities), (10, additional)] {
            header[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        self.len
    }
}
