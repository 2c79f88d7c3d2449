//! The text of a record's data to its wire form.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use hickory_proto::serialize::txt::parse_ttl;

use super::super::name::{Name, unescape};
use super::super::record::Type;
use super::lexer::Token;

/// Bytes of the longest character string (RFC 1035 §3.3).
const STRING_BYTES_MAX: usize = 255;

/// The words of a record's data, taken one after the other.
struct Words<'a> {
    rest: &'a [Token],
    origin: &'a Name,
    wire: Vec<u8>,
}

/// Reads the data of one record.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(rtype: Type, tokens: &[Token], origin: &Name) -> Result<Box<[u8]>, String> {
    let mut words = Words {
        rest: tokens,
        origin,
        wire: Vec::new(),
    };
    if tokens
        .first()
        .is_some_and(|token| token.text == "\\#" && !token.quoted)
    {
        words.unknown()?;
    } else {
        words.known(rtype)?;
    }
    if let Some(extra) = words.rest.first() {
        return Err(format!("{:?} is too much", extra.text));
    }
    // The length of RDATA is told in 16 bits (RFC 1035 §3.2.1).
    if u16::try_from(words.wire.len()).is_err() {
        return Err("more than 65535 bytes".into());
    }
    Ok(words.wire.into())
}

impl Words<'_> {
    fn known(&mut self, rtype: Type) -> Result<(), String> {
        match rtype {
            Type::A => {
                let address: Ipv4Addr = self.parsed("an IPv4 address")?;
                self.wire.extend(address.octets());
            }
            Type::AAAA => {
                let address: Ipv6Addr = self.parsed("an IPv6 address")?;
                self.wire.extend(address.octets());
            }
            Type::NS | Type::CNAME | Type::PTR | Type::DNAME => self.name()?,
            Type::MX => {
                self.number()?;
                self.name()?;
            }
            Type::SRV => {
                (0..3).try_for_each(|_| self.number())?;
                self.name()?;
            }
            Type::NAPTR => {
                (0..2).try_for_each(|_| self.number())?;
                (0..3).try_for_each(|_| self.string())?;
                self.name()?;
            }
            Type::SOA => {
                self.name()?;
                self.name()?;
                let serial: u32 = self.parsed("a serial")?;
                self.wire.extend(serial.to_be_bytes());
                (0..4).try_for_each(|_| self.period())?;
            }
            Type::TXT => {
                self.string()?;
                while !self.rest.is_empty() {
                    self.string()?;
                }
            }
            rarer => self.rarer(rarer)?,
        }
        Ok(())
    }

    /// Reads `\# length hex...`, the form for any type (RFC 3597 §5).
    fn unknown(&mut self) -> Result<(), String> {
        self.next("\\#")?;
        let length: u16 = self.parsed("a length")?;
        let mut digits = String::new();
        while !self.rest.is_empty() {
            digits.push_str(&self.next("hexadecimal digits")?.text);
        }
        let nibbles: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
        let nibbles = nibbles.ok_or("hexadecimal digits are meant")?;
        if nibbles.len() != 2 * usize::from(length) {
            return Err(format!("{length} bytes are meant, two digits each"));
        }
        for pair in nibbles.chunks_exact(2) {
            // Each nibble is below 16, so the sum fits a byte.
            self.wire.extend(u8::try_from(pair[0] * 16 + pair[1]));
        }
        Ok(())
    }

    /// Leaves the rarer types to hickory, names made absolute first as it knows no origin here.
    fn rarer(&mut self, rtype: Type) -> Result<(), String> {
        let mut text = String::new();
        for (place, token) in self.rest.iter().enumerate() {
            let is_target = place == 1 && matches!(rtype, Type::SVCB | Type::HTTPS);
            if is_target {
                let target = Name::parse(&token.text, Some(self.origin));
                text.push_str(&target.map_err(|error| error.to_string())?.to_string());
            } else if token.quoted {
                text.push_str(&format!("\"{}\"", token.text));
            } else {
                text.push_str(&token.text);
            }
            text.push(' ');
        }
        self.rest = &[];
        let parsed = RData::try_from_str(RecordType::from(rtype.0), &text)
            .map_err(|error| format!("{error} (the form `\\# length hex` always works)"))?;
        let mut encoder = BinEncoder::new(&mut self.wire);
        encoder.set_name_encoding(hickory_proto::serialize::binary::NameEncoding::Uncompressed);
        parsed.emit(&mut encoder).map_err(|error| error.to_string())
    }

    fn next(&mut self, what: &str) -> Result<&Token, String> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| format!("{what} is missing"))?;
        self.rest = rest;
        Ok(first)
    }

    fn parsed<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let text = &self.next(what)?.text;
        text.parse().map_err(|_| format!("{text:?} is not {what}"))
    }

    fn number(&mut self) -> Result<(), String> {
        let number: u16 = self.parsed("a number up to 65535")?;
        self.wire.extend(number.to_be_bytes());
        Ok(())
    }

    fn period(&mut self) -> Result<(), String> {
        let text = &self.next("a period")?.text;
        let seconds = parse_ttl(text).map_err(|_| format!("{text:?} is no period"))?;
        self.wire.extend(seconds.to_be_bytes());
        Ok(())
    }

    fn name(&mut self) -> Result<(), String> {
        let origin = self.origin;
        let text = &self.next("a name")?.text;
        let name = Name::parse(text, Some(origin)).map_err(|error| format!("{text:?}: {error}"))?;
        self.wire.extend(name.wire());
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        let mut rest = self.next("a text")?.text.as_bytes();
        let mut string = Vec::new();
        while let Some((byte, after)) = rest.split_first() {
            let escaped = (*byte == b'\\').then(|| unescape(after).ok_or("a broken escape"));
            let (byte, after) = escaped.transpose()?.unwrap_or((*byte, after));
            string.push(byte);
            rest = after;
        }
        let length = u8::try_from(string.len());
        let length = length.map_err(|_| format!("a text of more than {STRING_BYTES_MAX} bytes"))?;
        self.wire.push(length);
        self.wire.extend(string);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::read as read_file;
    use super::*;

    fn rdata(text: &str) -> Box<[u8]> {
        let apex = Name::parse("x.", None).expect("a name of the test");
        let records = read_file(&format!("@ 60 {text}\n"), &apex).expect("a good record");
        records[0].rdata.clone()
    }

    #[test]
    fn each_type_has_its_wire_form() {
        assert_eq!(&*rdata("A 192.0.2.1"), [192, 0, 2, 1]);
        assert_eq!(&*rdata("DNAME y"), b"\x01y\x01x\x00");
        assert_eq!(&*rdata("MX 10 m.y."), b"\x00\x0a\x01m\x01y\x00");
        assert_eq!(
            &*rdata("SRV 1 2 53 @"),
            b"\x00\x01\x00\x02\x00\x35\x01x\x00"
        );
        assert_eq!(&*rdata(r#"TXT "a \"b\"\; \065" c"#), b"\x08a \"b\"; A\x01c");
        assert_eq!(
            &*rdata("NAPTR 1 2 S SIP+D2U \"\" t"),
            b"\0\x01\0\x02\x01S\x07SIP+D2U\0\x01t\x01x\0"
        );
        assert_eq!(&*rdata("TYPE65280 \\# 3 0a0B ff"), [10, 11, 255]);
        assert_eq!(&*rdata("A \\# 4 c0000201"), [192, 0, 2, 1]);
        let soa = rdata("SOA n h (1 1h 2 3\n 4)");
        assert_eq!(&soa[..8], b"\x01n\x01x\0\x01h\x01");
        assert_eq!(&soa[10..18], [0, 0, 0, 1, 0, 0, 0x0e, 0x10]);
    }

    #[test]
    fn the_rarer_types_are_read_too() {
        assert_eq!(
            &*rdata(r#"CAA 0 issue "ca.example""#),
            b"\0\x05issueca.example"
        );
        assert_eq!(&rdata("HTTPS 1 h alpn=h2")[..7], b"\0\x01\x01h\x01x\0");
    }
}
