//! A zone's serial, in the circular order of RFC 1982.

/// A zone's serial (RFC 1982 arithmetic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serial(pub u32);

impl Serial {
    /// Gives the serial of a zone's first published content: max(unix time, the zone file's + 1).
    ///
    /// Times past 2106 wrap, as the serial does.
    pub fn first(unix_time: u64, file: Option<Self>) -> Self {
        let bytes = unix_time.to_be_bytes();
        let time = Self(u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]));
        match file.map(Self::next) {
            Some(file) if file.follows(time) => file,
            _ => time,
        }
    }

    /// Counts one further, wrapping ([RFC 1982 §3.1]).
    ///
    /// [RFC 1982 §3.1]: https://www.rfc-editor.org/rfc/rfc1982#section-3.1
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Tells whether this serial is greater ([RFC 1982 §3.2]); two half a circle apart are in no
    /// order, and then it is not.
    ///
    /// [RFC 1982 §3.2]: https://www.rfc-editor.org/rfc/rfc1982#section-3.2
    #[must_use]
    pub fn follows(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1982_order_is_circular() {
        assert!(Serial(0).follows(Serial(u32::MAX)));
        assert!(!Serial(u32::MAX).follows(Serial(0)));
        assert!(!Serial(7).follows(Serial(7)));
        assert!(!Serial(1 << 31).follows(Serial(0)));
        assert_eq!(Serial(u32::MAX).next(), Serial(0));
    }

    #[test]
    fn the_first_serial_is_past_the_file_and_not_before_the_clock() {
        assert_eq!(Serial::first(1_700_000_000, None), Serial(1_700_000_000));
        assert_eq!(
            Serial::first(1_700_000_000, Some(Serial(3))),
            Serial(1_700_000_000)
        );
        assert_eq!(
            Serial::first(1_700_000_000, Some(Serial(2_026_112_301))),
            Serial(2_026_112_302)
        );
    }
}
