//! Single values: durations, numbers, words, names and addresses.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::site::UnknownWord;

use super::diagnostic::did_you_mean;
use super::model::Network;
use super::schema::Wrong;

/// Reads `50ms`, `30s`, `5m` or `1h`, within bounds.
pub(super) fn duration(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    const REMEDY: &str = "write a whole number with ms, s, m or h, such as `30s`";
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(Wrong::new(format!("`{text}` is no duration"), REMEDY)),
    };
    let number: Result<u64, _> = number.parse();
    let Some(ms) = number.ok().and_then(|number| number.checked_mul(unit_ms)) else {
        return Err(Wrong::new(format!("`{text}` is no duration"), REMEDY));
    };
    let duration = Duration::from_millis(ms);
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(Wrong::new(
        format!("`{text}` is out of range"),
        format!("write {} to {}", Bound(*least), Bound(*most)),
    ))
}

/// Prints a bound the way a table writes it.
pub(super) struct Bound(pub(super) Duration);

impl Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_secs() {
            0 if self.0.is_zero() => write!(f, "0s"),
            hours if hours >= 3_600 && hours % 3_600 == 0 => write!(f, "{}h", hours / 3_600),
            minutes if minutes >= 60 && minutes % 60 == 0 => write!(f, "{}m", minutes / 60),
            _ => write!(f, "{:?}", self.0),
        }
    }
}

/// Units of bytes, each 1024 times the one before.
const UNITS: [&str; 4] = ["b", "kb", "mb", "gb"];

/// Reads `512kb`, `64mb` or `1gb`, within bounds in bytes.
pub(super) fn size(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, Wrong> {
    let wrong = |message| {
        let remedy = "write a whole number with b, kb, mb or gb, such as `64mb`";
        Err(Wrong::new(message, remedy))
    };
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let power = (0_u32..).zip(UNITS).find(|(_, known)| *known == unit);
    let number: Result<u64, _> = number.parse();
    let bytes = power
        .and_then(|(power, _)| 1024_u64.checked_pow(power))
        .and_then(|unit| number.ok()?.checked_mul(unit));
    let Some(bytes) = bytes else {
        return wrong(format!("`{text}` is no size"));
    };
    if bounds.contains(&bytes) {
        return Ok(bytes);
    }
    let (least, most) = (Bytes(*bounds.start()), Bytes(*bounds.end()));
    let message = format!("`{text}` is out of range");
    Err(Wrong::new(message, format!("write {least} to {most}")))
}

/// Prints a size the way a table writes it.
pub(super) struct Bytes(pub(super) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut number, mut unit) = (self.0, 0);
        while unit + 1 < UNITS.len() && number >= 1024 && number.is_multiple_of(1024) {
            number /= 1024;
            unit += 1;
        }
        write!(f, "{number}{}", UNITS[unit])
    }
}

/// Reads a duration of whole seconds: for fields that have no smaller unit on the wire.
pub(super) fn seconds(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let duration = duration(text, bounds)?;
    if duration.subsec_nanos() == 0 {
        return Ok(duration);
    }
    let message = format!("`{text}` is not a whole number of seconds");
    Err(Wrong::new(
        message,
        format!("write `{}s`", duration.as_secs() + 1),
    ))
}

/// Reads a whole number within bounds.
pub(super) fn number<N>(text: &str, bounds: RangeInclusive<N>) -> Result<N, Wrong>
where
    N: FromStr + PartialOrd + Display,
{
    let remedy = format!(
        "write a whole number from {} to {}",
        bounds.start(),
        bounds.end()
    );
    match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        Ok(_) => Err(Wrong::new(format!("{text} is out of range"), remedy)),
        Err(_) => Err(Wrong::new(
            format!("`{text}` is no number from that range"),
            remedy,
        )),
    }
}

/// Reads a yes or no (YAML 1.2, core schema).
pub(super) fn flag(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::new(
            format!("`{text}` is neither true nor false"),
            "write true or false",
        )),
    }
}

/// Reads one of the words of an enum.
pub(super) fn word<W: FromStr<Err = UnknownWord>>(text: &str) -> Result<W, Wrong> {
    text.parse().map_err(|unknown: UnknownWord| {
        let remedy = did_you_mean(text, unknown.allowed.iter().copied());
        Wrong::new(format!("`{text}` is not one of the words for this"), remedy)
    })
}

/// Reads the name of a site or side: it goes into metrics, URLs and shell commands unquoted.
pub(super) fn label(text: &str) -> Result<&str, Wrong> {
    const LETTERS_MAX: usize = 63;
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    let begins_well = text
        .as_bytes()
        .first()
        .is_some_and(u8::is_ascii_alphanumeric);
    if begins_well && text.len() <= LETTERS_MAX && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(Wrong::new(
        format!("`{text}` cannot be a name"),
        format!("use letters, digits, `-` and `_`, at most {LETTERS_MAX}, a letter or digit first"),
    ))
}

/// Whether a DNS name may have underscores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Underscores {
    /// As in any owner of a record (RFC 2181 §11).
    Allowed,
    /// As in the name of a host (RFC 1123 §2.1).
    Refused,
}

/// Reads a network, `10.0.0.0/8`, or one address for itself alone.
pub(super) fn network(text: &str) -> Result<Network, Wrong> {
    let (first, bits) = match text.split_once('/') {
        Some((first, bits)) => (first, Some(bits)),
        None => (text, None),
    };
    let first = address(first)?;
    let most = if first.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |bits| number(bits, 0..=most))?;
    let network = Network { first, bits };
    let is_first = match first {
        IpAddr::V4(first) => u32::from(first).trailing_zeros() >= (32 - bits).into(),
        IpAddr::V6(first) => u128::from(first).trailing_zeros() >= (128 - bits).into(),
    };
    if is_first {
        return Ok(network);
    }
    let message = format!("`{text}` has bits beyond its first {bits}");
    let remedy = format!("write the first address of the network, or `{first}` for it alone");
    Err(Wrong::new(message, remedy))
}

/// Reads a DNS name: lower case, without the final dot.
pub(super) fn name(text: &str, underscores: Underscores) -> Result<String, Wrong> {
    let wrong = |remedy: &str| Err(Wrong::new(format!("`{text}` is no host name"), remedy));
    if text.contains("://") || text.contains('/') {
        return wrong("write the name alone, without `http://` and path");
    }
    if text.contains(':') {
        return wrong("write the name alone, without a port");
    }
    if text.contains('*') {
        return wrong("write the name out; only a host may begin with `*.`, for all names below");
    }
    if !text.is_ascii() {
        return wrong("write an international name in its `xn--` form");
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    // RFC 1035 §2.3.4: 255 octets on the wire, which is 253 characters of text.
    if bare.len() > 253 {
        return wrong("write at most 253 characters");
    }
    let letter = |byte: u8| {
        let underscore = underscores == Underscores::Allowed && byte == b'_';
        byte.is_ascii_alphanumeric() || byte == b'-' || underscore
    };
    // RFC 1035 §2.3.4: a label has 1 to 63 octets. RFC 1123 §2.1: no hyphen first or last.
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !bare.split('.').all(label) {
        return wrong("use letters, digits, `-` and dots, each part 1 to 63 long");
    }
    Ok(bare.to_ascii_lowercase())
}

/// Reads an IP address.
pub(super) fn address(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| {
        let message = format!("`{text}` is no IP address");
        Wrong::new(
            message,
            "write an address without a port, such as `127.0.0.1`",
        )
    })
}

/// Reads an address to listen on; port 0 lets the system choose.
pub(super) fn listener(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(
            format!("`{text}` is no address to listen on"),
            "write an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`",
        )
    })
}

/// An origin as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) host: String,
    pub(super) port: u16,
    /// It begins with `https`.
    pub(super) is_tls: bool,
}

/// Reads `http://host:port` or `https://host:port`; the port is 80 or 443 when left out
/// (RFC 9110 §4.2.1, §4.2.2).
pub(super) fn origin(text: &str) -> Result<Origin, Wrong> {
    let wrong = |remedy: String| Err(Wrong::new(format!("`{text}` is no origin"), remedy));
    let (scheme, default_port, authority) = match text.split_once("://") {
        Some((scheme @ "http", rest)) => (scheme, 80, rest),
        Some((scheme @ "https", rest)) => (scheme, 443, rest),
        Some((_, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            return wrong(format!("write `http://{host}`"));
        }
        None => {
            let host = text.split('/').next().unwrap_or_default();
            return wrong(format!("write `http://{host}`"));
        }
    };
    if let Some(end) = authority.find(['/', '?', '#']) {
        let host = &authority[..end];
        return wrong(format!("write `{scheme}://{host}`, without a path"));
    }
    if authority.contains('@') {
        return wrong("write it without a user name".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port.map_or(Ok(default_port), str::parse) {
        Ok(port) if port != 0 => port,
        _ => return wrong("write a port from 1 to 65535".to_owned()),
    };
    let host = origin_host(host).map_err(|wrong| Wrong {
        message: format!("`{text}` is no origin"),
        ..wrong
    })?;
    let is_tls = scheme == "https";
    Ok(Origin { host, port, is_tls })
}

fn origin_host(host: &str) -> Result<String, Wrong> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let parsed: Result<Ipv6Addr, _> = inner.parse();
        return parsed.map(|address| address.to_string()).map_err(|_| {
            Wrong::new(
                "",
                "write an IPv6 address in brackets, such as `http://[::1]:8080`",
            )
        });
    }
    let host = name(host, Underscores::Allowed)?;
    // A name whose last label is a number is meant as an address: an octet too many or too large.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(Wrong::new(
            "",
            "write four numbers from 0 to 255, or a host name",
        ));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> RangeInclusive<Duration> {
        Duration::ZERO..=Duration::from_secs(3_600)
    }

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        for (text, ms) in [
            ("50ms", 50),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                duration(text, any()),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1d",
            "99999999999999999999s",
        ] {
            assert!(duration(text, any()).is_err(), "{text}");
        }
        assert!(duration("2h", any()).is_err());
        assert!(seconds("1500ms", any()).is_err());
    }

    #[test]
    fn names_are_lower_case_and_bounded() {
        let host = |text: &str| name(text, Underscores::Refused).ok();
        assert_eq!(host("WWW.iSpot.Example."), Some("www.ispot.example".into()));
        let long = "a".repeat(64);
        for text in [
            "", ".", "a..b", "-a.b", "a-.b", "a_b", "*.a", "a:80", "é.a", &long,
        ] {
            assert_eq!(host(text), None, "{text}");
        }
        assert!(name("_flip.a", Underscores::Allowed).is_ok());
    }

    #[test]
    fn origins_are_http_or_https_and_have_no_path() {
        let shown = |text: &str| origin(text).ok();
        for (text, host, port, is_tls) in [
            ("http://127.0.0.1:9101", "127.0.0.1", 9101, false),
            ("http://web1", "web1", 80, false),
            ("http://[::1]:81", "::1", 81, false),
            ("https://[::1]", "::1", 443, true),
            ("https://web1:8443", "web1", 8443, true),
        ] {
            let host = host.to_owned();
            let whole = Origin { host, port, is_tls };
            assert_eq!(shown(text), Some(whole), "{text}");
        }
        for text in [
            "ftp://a",
            "https://a/",
            "a:80",
            "http://a/",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "http://a:0",
            "http://a:65536",
            "http://",
            "http://127.0.0.300",
            "http://[::1",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
