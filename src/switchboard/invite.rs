//! Invitations: signed, expiring tokens that let an operator look behind the page of one site.
//!
//! ```text
//! token = SITE "." EXPIRES "." MAC        EXPIRES in seconds since the Unix epoch
//! MAC   = HMAC-SHA256(key, SITE "." EXPIRES), in lower-case hexadecimal
//! ```
//!
//! Nothing is remembered of a token: the key and the clock say whether it is good. All of it may
//! stand in a query (RFC 3986 §3.4) and in a cookie (RFC 6265 §4.1.1) as it is.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;

use crate::site::SiteName;

/// The longest token, in bytes: a name of 63, a number of 20 digits, 32 bytes in hexadecimal, and
/// two dots. What is longer is none, and is not looked at.
const TOKEN_BYTES_MAX: usize = 63 + 1 + 20 + 1 + 64;

/// Writes invitations, and tells those that it wrote.
#[derive(Clone, Debug)]
pub struct Invites {
    key: hmac::Key,
}

impl Invites {
    /// The length of a key, in bytes: that of the hash, the shortest to be had (RFC 2104 §3).
    pub const KEY_BYTES: usize = 32;

    /// Takes the key, which nobody else may know.
    pub fn new(key: &[u8; Self::KEY_BYTES]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// Writes an invitation to a site, good until `expires_s`, in seconds since the Unix epoch.
    pub fn issue(&self, site: &SiteName, expires_s: u64) -> String {
        let mut token = format!("{site}.{expires_s}");
        let mac = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        for byte in mac.as_ref() {
            // Writing into a string cannot fail.
            let _ = write!(token, "{byte:02x}");
        }
        token
    }

    /// Tells whether an invitation is to this site, and good at `now_s`.
    pub fn admits(&self, site: &SiteName, token: &[u8], now_s: u64) -> bool {
        self.time_left(site, token, now_s).is_some()
    }

    /// Tells how long an invitation to this site is good from `now_s` on; `None` when it is not.
    pub fn time_left(&self, site: &SiteName, token: &[u8], now_s: u64) -> Option<Duration> {
        let expires_s = expires_s(token)?;
        // Written anew and compared whole, in a time that says nothing of where they differ: so a
        // token has one form only, and no part of it is believed before.
        let ours = self.issue(site, expires_s);
        constant_time::verify_slices_are_equal(ours.as_bytes(), token).ok()?;
        let left_s = expires_s.checked_sub(now_s).filter(|&left_s| left_s > 0)?;
        Some(Duration::from_secs(left_s))
    }
}

/// Reads when a token says that it expires; that is not to be believed yet.
fn expires_s(token: &[u8]) -> Option<u64> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let token = std::str::from_utf8(token).ok()?;
    // From its end: a name has no dot, and if one had, the number would still be found.
    token.rsplit('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_266_156_000;
    const LATER_S: u64 = NOW_S + 3600;

    fn invites() -> Invites {
        Invites::new(&[7; Invites::KEY_BYTES])
    }

    fn ispot() -> SiteName {
        SiteName::new("ispot")
    }

    fn admits(token: &[u8]) -> bool {
        invites().admits(&ispot(), token, NOW_S)
    }

    #[test]
    fn what_was_issued_is_admitted_until_it_expires() {
        let token = invites().issue(&ispot(), LATER_S);
        let left = |now_s| invites().time_left(&ispot(), token.as_bytes(), now_s);

        assert!(admits(token.as_bytes()));
        assert_eq!(left(NOW_S), Some(Duration::from_secs(3600)));
        assert_eq!(left(LATER_S - 1), Some(Duration::from_secs(1)));
        assert_eq!(left(LATER_S), None);
        assert_eq!(left(u64::MAX), None);
    }

    #[test]
    fn it_is_good_for_its_own_site_and_under_its_own_key() {
        let token = invites().issue(&SiteName::new("megalab"), LATER_S);
        let other_key = Invites::new(&[8; Invites::KEY_BYTES]).issue(&ispot(), LATER_S);

        assert!(!admits(token.as_bytes()));
        assert!(!admits(token.replacen("megalab", "ispot", 1).as_bytes()));
        assert!(!admits(other_key.as_bytes()));
    }

    #[test]
    fn a_token_with_one_bit_changed_is_none() {
        let token = invites().issue(&ispot(), LATER_S).into_bytes();

        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!admits(&changed), "bit {bit}");
        }
    }

    #[test]
    fn a_token_that_was_cut_or_added_to_is_none() {
        let token = invites().issue(&ispot(), LATER_S);

        for length in 0..token.len() {
            assert!(!admits(&token.as_bytes()[..length]), "{length}");
        }
        for changed in [
            format!("{token}0"),
            format!(" {token}"),
            token.replace(&LATER_S.to_string(), &format!("0{LATER_S}")),
            token.replace(&LATER_S.to_string(), &format!("+{LATER_S}")),
            token.to_uppercase(),
        ] {
            assert!(!admits(changed.as_bytes()), "{changed}");
        }
    }

    #[test]
    fn garbage_is_none_however_much_there_is() {
        for garbage in ["", ".", "..", "ispot", "ispot..", "ispot.1.", "é.1.é"] {
            assert!(!admits(garbage.as_bytes()), "{garbage:?}");
        }
        assert!(!admits(&[0xff; 80]));
        assert!(!admits(&[b'.'; 1_000_000]));
    }

    #[test]
    fn the_longest_name_at_the_last_second_still_fits() {
        let site = SiteName::new(&"a".repeat(63));
        let token = invites().issue(&site, u64::MAX);

        assert_eq!(token.len(), TOKEN_BYTES_MAX);
        assert!(invites().admits(&site, token.as_bytes(), NOW_S));
    }

    #[test]
    fn a_token_may_stand_in_a_query_and_in_a_cookie_as_it_is() {
        let token = invites().issue(&SiteName::new("evolution_mega-lab2"), LATER_S);

        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        assert!(token.bytes().all(unreserved), "{token}");
    }
}
