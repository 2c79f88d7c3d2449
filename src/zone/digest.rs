//! A digest of what a zone holds.

use std::collections::BTreeMap;

use super::contents::Held;
use super::name::Name;

/// FNV-1a, 64 bit: the same in every process and on every machine, unlike the standard hasher,
/// whose algorithm may change. It guards against nobody: the input is the operator's own.
struct Fnv(u64);

impl Fnv {
    fn eat(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Eats the length first, so that two neighbours never run into each other.
    fn eat_sized(&mut self, bytes: &[u8]) {
        self.eat(&length(bytes.len()));
        self.eat(bytes);
    }
}

/// The same eight bytes whatever the width of a `usize`.
fn length(count: usize) -> [u8; 8] {
    u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes()
}

/// Digests every name, set and datum, in the order they are answered.
pub(super) fn digest(names: &BTreeMap<Name, Held>) -> u64 {
    let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
    for (name, held) in names {
        fnv.eat_sized(name.wire());
        fnv.eat(&[u8::from(held.doubt)]);
        fnv.eat(&length(held.sets.len()));
        for set in &held.sets {
            fnv.eat(&set.rtype.0.to_be_bytes());
            fnv.eat(&set.ttl.to_be_bytes());
            fnv.eat(&length(set.rdatas.len()));
            for rdata in &set.rdatas {
                fnv.eat_sized(rdata);
            }
        }
    }
    fnv.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_fnv_1a() {
        let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
        fnv.eat(b"foobar");
        assert_eq!(fnv.0, 0x8594_4171_f739_67e8);
    }
}
