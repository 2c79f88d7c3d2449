//! A check by DNS: one question to one server.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::Failed;
use super::connect::{connect, look_up, plain};
use super::expect::shown;

/// After how long a query is sent again: UDP may lose one.
const AGAIN: Duration = Duration::from_secs(1);

/// What a datagram without EDNS may have (RFC 1035 §4.2.1); servers answer the rest over TCP.
const DATAGRAM_MAX: usize = 512;

/// How many of the answers are shown.
const SHOWN: usize = 5;

/// One question.
#[derive(Clone, Debug)]
pub struct DnsProbe {
    /// Whom to ask: `host:port`, an IPv6 address in brackets.
    pub server: String,
    /// The name.
    pub name: String,
    /// The type of the records, by its word: `AAAA`.
    pub kind: &'static str,
    /// What one of the records must say; any record will do without.
    pub answer: Option<String>,
}

/// Asks, and looks for the record that is wanted.
///
/// # Errors
/// The first thing that was not as expected.
pub(super) async fn check(probe: &DnsProbe) -> Result<(), Failed> {
    let unsendable = |why: String| Failed::Unsendable(why);
    let mut name = Name::from_utf8(&probe.name).map_err(|error| unsendable(error.to_string()))?;
    name.set_fqdn(true);
    let kind = probe.kind.parse::<RecordType>();
    let kind = kind.map_err(|error| unsendable(error.to_string()))?;
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    let packet = message
        .to_vec()
        .map_err(|error| unsendable(error.to_string()))?;

    let mut answer = over_udp(&probe.server, &packet, &message).await?;
    if answer.metadata.truncation {
        answer = over_tcp(&probe.server, &packet, &message).await?;
    }
    judge(probe, kind, &answer)
}

fn judge(probe: &DnsProbe, kind: RecordType, answer: &Message) -> Result<(), Failed> {
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(Failed::Answer(format!("answered {code}")));
    }
    let of_kind = |record: &&Record| record.record_type() == kind;
    let records = answer.answers.iter().filter(of_kind);
    let said: Vec<_> = records.map(|record| record.data.to_string()).collect();
    if said.is_empty() {
        return Err(Failed::Answer(format!(
            "{} has no {kind} record",
            probe.name
        )));
    }
    let Some(wanted) = &probe.answer else {
        return Ok(());
    };
    if said.iter().any(|said| same(said, wanted)) {
        return Ok(());
    }
    let said: Vec<_> = said.iter().take(SHOWN).map(|said| shown(said)).collect();
    let said = said.join(", ");
    Err(Failed::Answer(format!(
        "answered {said} instead of {wanted:?}"
    )))
}

/// Names are the same in upper and lower case, with and without the final dot (RFC 1035 §2.3.3).
fn same(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    bare(one) == bare(other)
}

async fn over_udp(server: &str, packet: &[u8], asked: &Message) -> Result<Message, Failed> {
    let failed = |error: io::Error| Failed::Connect(plain(&error));
    let found = look_up(server).await?.into_iter().next();
    let server = found.ok_or_else(|| Failed::Connect("the name has no address".into()))?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    let mut buffer = [0; DATAGRAM_MAX];
    // Its caller has the deadline.
    loop {
        socket.send(packet).await.map_err(failed)?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await.map_err(failed)?;
                // Whatever else comes is not for this question.
                if let Some(answer) = read(&buffer[..length], asked) {
                    return Ok(answer);
                }
            }
        };
        if let Ok(answered) = timeout(AGAIN, answer).await {
            return answered;
        }
    }
}

/// Over TCP each message has its length in front (RFC 1035 §4.2.2).
async fn over_tcp(server: &str, packet: &[u8], asked: &Message) -> Result<Message, Failed> {
    let broken = |error: io::Error| Failed::Broken(error.to_string());
    let mut stream = connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(|error| broken(io::Error::other(error)))?;
    let framed = [&length.to_be_bytes(), packet].concat();
    stream.write_all(&framed).await.map_err(broken)?;
    let length = stream.read_u16().await.map_err(broken)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    read(&answer, asked).ok_or_else(|| Failed::Broken("what came is no answer".into()))
}

/// Reads an answer; `None` when it is none to this question.
fn read(packet: &[u8], asked: &Message) -> Option<Message> {
    let answer = Message::from_vec(packet).ok()?;
    let is_answer = answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == asked.metadata.id
        && answer.queries == asked.queries;
    is_answer.then_some(answer)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::{A, CNAME, TXT};

    use super::*;

    fn judged(kind: RecordType, wanted: Option<&str>, data: Vec<RData>) -> Result<(), String> {
        let name = Name::from_str("db.ispot.example.").expect("a name");
        let mut answer = Message::query();
        for data in data {
            answer.add_answer(Record::from_rdata(name.clone(), 5, data));
        }
        let probe = DnsProbe {
            server: String::new(),
            name: "db.ispot.example".into(),
            kind: "A",
            answer: wanted.map(str::to_owned),
        };
        judge(&probe, kind, &answer).map_err(|failed| failed.to_string())
    }

    #[test]
    fn one_record_of_the_type_is_enough_and_others_are_said() {
        let address = |last| RData::A(A::new(127, 0, 1, last));
        let two = || vec![address(11), address(12)];
        assert_eq!(judged(RecordType::A, Some("127.0.1.12"), two()), Ok(()));
        assert_eq!(judged(RecordType::A, None, two()), Ok(()));
        let words = r#"answered "127.0.1.11", "127.0.1.12" instead of "127.0.1.13""#;
        assert_eq!(
            judged(RecordType::A, Some("127.0.1.13"), two()),
            Err(words.into())
        );
        let words = "db.ispot.example has no AAAA record";
        assert_eq!(judged(RecordType::AAAA, None, two()), Err(words.into()));
    }

    #[test]
    fn names_are_compared_as_names_and_texts_are_joined() {
        let target = Name::from_str("Web1.ispot.example.").expect("a name");
        let alias = || vec![RData::CNAME(CNAME(target.clone()))];
        assert_eq!(
            judged(RecordType::CNAME, Some("web1.ispot.example"), alias()),
            Ok(())
        );
        let text = || vec![RData::TXT(TXT::new(vec!["epoch=".into(), "7".into()]))];
        assert_eq!(judged(RecordType::TXT, Some("epoch=7"), text()), Ok(()));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_passed_over() {
        let mut asked = Message::query();
        let name = Name::from_str("a.example.").expect("a name");
        asked.add_query(Query::query(name, RecordType::A));
        let own = asked.to_vec().expect("a packet");
        assert!(read(&own, &asked).is_none(), "a question is no answer");
        let mut other = asked.clone().into_response();
        assert!(read(&other.to_vec().expect("a packet"), &asked).is_some());
        other.metadata.id ^= 1;
        assert!(read(&other.to_vec().expect("a packet"), &asked).is_none());
        assert!(read(b"x", &asked).is_none());
    }
}
