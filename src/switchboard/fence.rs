//! The fence: the signature by which an origin can believe what a request says of its lane.
//!
//! ```text
//! signature = KEY "." TIME "." MAC        TIME in whole seconds since the Unix epoch
//! MAC = HMAC-SHA256(key, "pointsman-fence-1" LF SITE LF SIDE LF EPOCH LF TIME LF), in lower-case
//!       hexadecimal
//! ```
//!
//! None of the parts can hold a line feed, so no two claims have the same text. A signature says
//! nothing of the request that it comes with: it is made once a second for all of a lane, and
//! whoever can read one can send it again for as long as origins take it. `docs/fence.md` has the
//! whole of it for those who check signatures elsewhere.

use std::fmt::Write as _;

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;

use crate::site::{Epoch, SideName, SiteName};
use crate::table::FenceKey;

/// How far the time of a signature may be from ours, in seconds: clocks differ, and an upload is
/// signed when it begins. It is what `docs/fence.md` tells origins to allow.
pub const SIGNED_FOR_S: u64 = 300;

/// The first line of what is signed: no key ever signs anything of another kind that begins so.
const KIND: &str = "pointsman-fence-1";

/// What a request claims: where it was sent, and when.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'c> {
    /// The site.
    pub site: &'c SiteName,
    /// The side that the request was sent to.
    pub side: &'c SideName,
    /// The epoch of the lane that it was admitted to.
    pub epoch: Epoch,
}

impl Claim<'_> {
    /// Signs the claim at a time, in seconds since the Unix epoch.
    pub fn sign(&self, key: &FenceKey, at_s: u64) -> String {
        let Self { site, side, epoch } = self;
        let text = format!("{KIND}\n{site}\n{side}\n{epoch}\n{at_s}\n");
        let secret = hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes());
        let mac = hmac::sign(&secret, text.as_bytes());
        let mut signature = format!("{}.{at_s}.", key.id);
        for byte in mac.as_ref() {
            // Writing into a string cannot fail.
            let _ = write!(signature, "{byte:02x}");
        }
        signature
    }

    /// Tells whether one of the keys signed the claim not long before or after `now_s`.
    pub fn is_signed(&self, keys: &[FenceKey], signature: &[u8], now_s: u64) -> bool {
        let Some((id, at_s)) = key_and_time(signature) else {
            return false;
        };
        let is_recent = now_s.abs_diff(at_s) <= SIGNED_FOR_S;
        let Some(key) = keys.iter().find(|key| key.id == id && is_recent) else {
            return false;
        };
        // Written anew and compared whole, in a time that says nothing of where they differ: so a
        // signature has one form only, and no part of it is believed before.
        let ours = self.sign(key, at_s);
        constant_time::verify_slices_are_equal(ours.as_bytes(), signature).is_ok()
    }
}

/// Reads which key a signature names, and when; neither is to be believed yet.
fn key_and_time(signature: &[u8]) -> Option<(&str, u64)> {
    let mut parts = std::str::from_utf8(signature).ok()?.split('.');
    let (id, at_s) = (parts.next()?, parts.next()?);
    Some((id, at_s.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_266_156_000;

    fn key(id: &str) -> FenceKey {
        FenceKey::new(id, &format!("{id}{}", "-0123456789".repeat(3)))
    }

    fn signed<T>(site: &str, epoch: u64, act: impl FnOnce(Claim<'_>) -> T) -> T {
        let (site, side) = (SiteName::new(site), SideName::new("live"));
        act(Claim {
            site: &site,
            side: &side,
            epoch: Epoch(epoch),
        })
    }

    fn is_good(signature: &str, now_s: u64) -> bool {
        let keys = [key("b"), key("a")];
        signed("ispot", 7, |claim| {
            claim.is_signed(&keys, signature.as_bytes(), now_s)
        })
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_before_and_after() {
        let signature = signed("ispot", 7, |claim| claim.sign(&key("a"), NOW_S));

        for now_s in [NOW_S - SIGNED_FOR_S, NOW_S, NOW_S + SIGNED_FOR_S] {
            assert!(is_good(&signature, now_s), "{now_s}");
        }
        for now_s in [0, NOW_S - SIGNED_FOR_S - 1, NOW_S + SIGNED_FOR_S + 1] {
            assert!(!is_good(&signature, now_s), "{now_s}");
        }
    }

    #[test]
    fn it_is_good_for_one_claim_under_a_key_that_is_known() {
        let by = |id: &str, site, epoch| signed(site, epoch, |claim| claim.sign(&key(id), NOW_S));

        assert!(is_good(&by("a", "ispot", 7), NOW_S));
        assert!(is_good(&by("b", "ispot", 7), NOW_S));
        assert!(!is_good(&by("c", "ispot", 7), NOW_S));
        assert!(!is_good(&by("a", "ispot", 6), NOW_S));
        assert!(!is_good(&by("a", "megalab", 7), NOW_S));
        assert!(!is_good(&by("a", "ispot", 7).replacen('a', "b", 1), NOW_S));
    }

    #[test]
    fn what_was_changed_or_is_garbage_is_no_signature() {
        let signature = signed("ispot", 7, |claim| claim.sign(&key("a"), NOW_S));

        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let good = signed("ispot", 7, |claim| {
                claim.is_signed(&[key("a"), key("b")], &changed, NOW_S)
            });
            assert!(!good, "bit {bit}");
        }
        let upper = signature.to_uppercase();
        let longer = format!("{signature}.");
        for garbage in ["", ".", "a", "a.", "a..", "a.1.", &upper, &longer] {
            assert!(!is_good(garbage, NOW_S), "{garbage}");
        }
    }
}
