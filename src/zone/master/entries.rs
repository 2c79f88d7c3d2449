//! Entries to records: control entries, owners, TTLs, classes and types (RFC 1035 §5.1).

use std::str::FromStr;

use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::txt::parse_ttl;

use super::super::name::Name;
use super::super::record::Type;
use super::lexer::{self, Entry, Token};
use super::{Mistake, rdata};

/// The greatest TTL, in seconds (RFC 2181 §8).
const TTL_MAX: u32 = i32::MAX.unsigned_abs();

/// A record, and where it was written.
#[derive(Clone, Debug)]
pub(in super::super) struct Placed {
    /// 1-based line.
    pub(in super::super) line: usize,
    /// 1-based column, in characters.
    pub(in super::super) column: usize,
    pub(in super::super) owner: Name,
    pub(in super::super) rtype: Type,
    /// Seconds.
    pub(in super::super) ttl: u32,
    pub(in super::super) rdata: Box<[u8]>,
}

/// Reads a whole zone file whose first origin is the zone's name.
///
/// # Errors
/// Every mistake in it, in the order of their places.
pub(in super::super) fn read(text: &str, apex: &Name) -> Result<Vec<Placed>, Vec<Mistake>> {
    let (entries, mut mistakes) = lexer::entries(text);
    let mut reader = Reader {
        origin: apex.clone(),
        owner: None,
        default_ttl: None,
        last_ttl: None,
    };
    let mut records = Vec::new();
    for entry in &entries {
        match reader.entry(entry) {
            Ok(record) => records.extend(record),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        return Ok(records);
    }
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    Err(mistakes)
}

/// What one entry leaves for the next.
struct Reader {
    origin: Name,
    owner: Option<Name>,
    /// `$TTL` (RFC 2308 §4).
    default_ttl: Option<u32>,
    /// The last stated TTL (RFC 1035 §5.1).
    last_ttl: Option<u32>,
}

impl Reader {
    fn entry(&mut self, entry: &Entry) -> Result<Option<Placed>, Mistake> {
        let Some((first, rest)) = entry.tokens.split_first() else {
            return Ok(None);
        };
        if !entry.indented && !first.quoted && first.text.starts_with('$') {
            self.control(first, rest)?;
            return Ok(None);
        }
        let rest = if entry.indented {
            &entry.tokens
        } else {
            // Even when the rest is wrong, the entries below that leave the owner out mean this.
            self.owner = Some(name(first, &self.origin)?);
            rest
        };
        let owner = self.owner.clone().ok_or_else(|| {
            first.mistake(
                "no owner is known here".into(),
                "begin the line with a name",
            )
        })?;
        self.record(owner, first, rest).map(Some)
    }

    fn control(&mut self, word: &Token, rest: &[Token]) -> Result<(), Mistake> {
        let argument = rest
            .first()
            .ok_or_else(|| word.mistake(format!("{} without a value", word.text), "add its value"));
        match word.text.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.origin = name(argument?, &self.origin)?,
            "$TTL" => {
                let token = argument?;
                self.default_ttl = Some(ttl(token).ok_or_else(|| {
                    token.mistake(
                        format!("{:?} is no TTL", token.text),
                        "write seconds, or 1h30m",
                    )
                })?);
            }
            _ => {
                return Err(word.mistake(
                    format!("{} is not supported", word.text),
                    "write the records into this file",
                ));
            }
        }
        Ok(())
    }

    /// Reads `[ttl] [class] type rdata`, the first two in either order.
    fn record(&mut self, owner: Name, first: &Token, rest: &[Token]) -> Result<Placed, Mistake> {
        let (mut stated, mut class, mut rest) = (None, None, rest);
        let (token, rtype) = loop {
            let Some((token, after)) = rest.split_first() else {
                return Err(
                    first.mistake("a record without a type".into(), "write owner, type, data")
                );
            };
            rest = after;
            if stated.is_none() && ttl(token).is_some() {
                stated = ttl(token);
            } else if let (None, Ok(found)) =
                (class, DNSClass::from_str(&token.text.to_ascii_uppercase()))
            {
                class = Some(found);
            } else {
                break (token, self.rtype(token)?);
            }
        };
        if class.is_some_and(|class| class != DNSClass::IN) {
            return Err(first.mistake("a class other than IN".into(), "write IN, or leave it out"));
        }
        self.last_ttl = stated.or(self.last_ttl);
        let ttl = stated
            .or(self.default_ttl)
            .or(self.last_ttl)
            .ok_or_else(|| {
                token.mistake(
                    "no TTL is known here".into(),
                    "add a line `$TTL 300` at the top",
                )
            })?;
        let rdata = rdata::read(rtype, rest, &self.origin).map_err(|message| {
            let place = rest.first().unwrap_or(token);
            place.mistake(
                format!("{rtype} record: {message}"),
                "write the data as RFC 1035 section 5 shows it",
            )
        })?;
        Ok(Placed {
            line: first.line,
            column: first.column,
            owner,
            rtype,
            ttl,
            rdata,
        })
    }

    fn rtype(&self, token: &Token) -> Result<Type, Mistake> {
        let upper = token.text.to_ascii_uppercase();
        // RFC 3597 §5: any type by number.
        let numbered = upper
            .strip_prefix("TYPE")
            .and_then(|number| number.parse().ok());
        let named = || RecordType::from_str(&upper).ok().map(u16::from);
        let rtype = numbered.or_else(named).map(Type).ok_or_else(|| {
            token.mistake(
                format!("{:?} is no record type", token.text),
                "write a type such as A, MX or TXT, or TYPE<number>",
            )
        })?;
        if rtype.is_meta() || [Type::ANY, Type::OPT, Type(0)].contains(&rtype) {
            return Err(token.mistake(format!("a zone cannot hold {rtype}"), "take the line out"));
        }
        Ok(rtype)
    }
}

fn name(token: &Token, origin: &Name) -> Result<Name, Mistake> {
    Name::parse(&token.text, Some(origin)).map_err(|error| {
        token.mistake(
            format!("{:?} is no name: {error}", token.text),
            "write labels and dots",
        )
    })
}

fn ttl(token: &Token) -> Option<u32> {
    let starts = token.text.starts_with(|first: char| first.is_ascii_digit());
    let seconds = parse_ttl(&token.text)
        .ok()
        .filter(|_| starts && !token.quoted)?;
    (seconds <= TTL_MAX).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apex() -> Name {
        Name::parse("ispot.example.", None).expect("a name of the test")
    }

    #[test]
    fn owners_ttls_and_origins_carry_over() {
        let text = "$TTL 1h\n@ NS ns1\n  IN 60 NS ns2.other.\n$ORIGIN lab\nwww A 192.0.2.1\n";
        let shown: Vec<_> = read(text, &apex())
            .expect("a good file")
            .iter()
            .map(|record| format!("{} {} {}", record.owner, record.ttl, record.rtype))
            .collect();
        assert_eq!(
            shown,
            [
                "ispot.example. 3600 NS",
                "ispot.example. 60 NS",
                "www.lab.ispot.example. 3600 A"
            ]
        );
    }

    #[test]
    fn every_mistake_is_found_at_its_place() {
        let text = "a A 192.0.2.1\n$TTL 60\nb A 192.0.2\nc NOPE x\n$INCLUDE f\nd..e A 192.0.2.1\n\
                    f CH A 192.0.2.1\ng\nh A 192.0.2.1 5\n";
        let mistakes = read(text, &apex()).expect_err("a bad file");
        let places: Vec<_> = mistakes
            .iter()
            .map(|wrong| (wrong.line, wrong.column))
            .collect();
        assert_eq!(
            places,
            [
                (1, 3),
                (3, 5),
                (4, 3),
                (5, 1),
                (6, 1),
                (7, 1),
                (8, 1),
                (9, 5)
            ]
        );
    }
}
