//! From a check of the table to probes, and from what they found to words.

use http::{HeaderName, Method};

use crate::certs::Trust;
use crate::probe::{self, Body, CommandProbe, DnsProbe, Expect, HttpProbe, Probe, ProbeTls, Value};
use crate::table::{Ask, Check, DnsAsk, HttpAsk, OriginAddr, Pattern, Side, Site, Wanted};

/// What a check asks of one origin, or of a side as a whole.
#[derive(Debug)]
pub(super) struct Question<'t> {
    site: &'t Site,
    side: &'t Side,
    check: &'t Check,
    origin: &'t OriginAddr,
}

/// What a check asks on a side: a question for each origin, or one.
pub(super) fn questions<'t>(
    site: &'t Site,
    side: &'t Side,
    check: &'t Check,
) -> impl Iterator<Item = Question<'t>> {
    let asked = if check.ask.is_of_each_origin() {
        side.web.len()
    } else {
        1
    };
    side.web.iter().take(asked).map(move |origin| Question {
        site,
        side,
        check,
        origin,
    })
}

impl Question<'_> {
    /// Asks, at most so many times, until the check passes.
    ///
    /// # Errors
    /// In words, what was not as it should be the last time.
    pub(super) async fn ask(&self, tries: u32, trust: &Trust) -> Result<(), String> {
        let probe = self.probe(trust)?;
        let mut tried = 0;
        loop {
            tried += 1;
            match probe::run(&probe, self.check.timeout).await {
                Ok(_) => return Ok(()),
                Err(_) if tried < tries => {}
                Err(failed) => return Err(failed.to_string()),
            }
        }
    }

    /// Asks once; `None` when the check passes, or nobody answers.
    async fn answers_otherwise(&self, trust: &Trust) -> Option<String> {
        let probe = self.probe(trust).ok()?;
        let asked = probe::run(&probe, self.check.timeout).await;
        let failed = asked.err().filter(probe::Failed::is_an_answer)?;
        Some(format!("{} {failed}", self.place()))
    }

    /// Says whom it asks for what: `http://127.0.0.1:9101/quiz`.
    pub(super) fn place(&self) -> String {
        match &self.check.ask {
            Ask::Http(http) => format!("{}{}", self.origin, http.path),
            Ask::TcpOrigin => self.origin.authority(),
            Ask::Tcp(peer) => peer.address(self.side),
            Ask::Dns(dns) => format!(
                "{} for {} {}",
                dns.server.address(self.side),
                dns.name,
                dns.kind
            ),
            Ask::Command(argv) => format!("{} by {}", self.origin, argv[0]),
        }
    }

    /// Tells whether it is one of several, whose place has to be said.
    pub(super) fn is_one_of_several(&self) -> bool {
        self.check.ask.is_of_each_origin() && self.side.web.len() > 1
    }

    fn probe(&self, trust: &Trust) -> Result<Probe, String> {
        Ok(match &self.check.ask {
            Ask::Http(ask) => Probe::Http(Box::new(self.http(ask, trust)?)),
            Ask::TcpOrigin => Probe::Tcp(self.origin.authority()),
            Ask::Tcp(peer) => Probe::Tcp(peer.address(self.side)),
            Ask::Dns(ask) => Probe::Dns(self.dns(ask)),
            Ask::Command(argv) => Probe::Command(CommandProbe {
                argv: argv.clone(),
                environment: vec![
                    ("POINTSMAN_SITE", self.site.name.to_string()),
                    ("POINTSMAN_SIDE", self.side.name.to_string()),
                    ("POINTSMAN_ORIGIN", self.origin.to_string()),
                ],
            }),
        })
    }

    fn http(&self, ask: &HttpAsk, trust: &Trust) -> Result<HttpProbe, String> {
        let (method, path) = (ask.method.clone(), &ask.path);
        request(self.site, self.origin, trust, (method, path, expect(ask)?))
    }

    fn dns(&self, ask: &DnsAsk) -> DnsProbe {
        DnsProbe {
            server: ask.server.address(self.side),
            name: ask.name.clone(),
            kind: ask.kind,
            answer: ask.answer.clone(),
        }
    }
}

/// Asks every origin of a side once, and says who answers otherwise than is expected; `None` when
/// nobody does. Who does not answer says nothing.
pub(in crate::control) async fn who_answers_otherwise(
    site: &Site,
    side: &Side,
    expected: &Check,
    trust: &Trust,
) -> Option<String> {
    for question in questions(site, side, expected) {
        let otherwise = question.answers_otherwise(trust).await;
        if otherwise.is_some() {
            return otherwise;
        }
    }
    None
}

/// Makes a request to one origin, as a visitor of the site who knows its address.
///
/// # Errors
/// That the origin could not prove who it is, in words.
pub(in crate::control) fn request(
    site: &Site,
    origin: &OriginAddr,
    trust: &Trust,
    (method, path, expect): (Method, &str, Expect),
) -> Result<HttpProbe, String> {
    let tls = trust.of(origin).map_err(|why| why.to_string())?;
    Ok(HttpProbe {
        address: origin.authority(),
        tls: tls.map(|checked| ProbeTls {
            config: checked.config,
            server_name: checked.server_name,
        }),
        host: site.hosts[0].clone(),
        method,
        path: path.to_owned(),
        expect,
    })
}

fn expect(ask: &HttpAsk) -> Result<Expect, String> {
    let field = |(name, wanted): &(HeaderName, Wanted)| Ok((name.clone(), value(wanted)?));
    let fields: Result<Vec<_>, String> = ask.fields.iter().map(field).collect();
    let mut body: Vec<Body> = ask.body.iter().cloned().map(Body::Holds).collect();
    if let Some(pattern) = &ask.body_pattern {
        body.push(Body::Matches(compiled(pattern)?));
    }
    if let Some((pointer, wanted)) = &ask.json {
        body.push(Body::Json(pointer.clone(), value(wanted)?));
    }
    Ok(Expect {
        status: ask.status.clone(),
        fields: fields?,
        body,
    })
}

fn value(wanted: &Wanted) -> Result<Value, String> {
    Ok(match wanted {
        Wanted::Present => Value::Present,
        Wanted::Equals(text) => Value::Equals(text.clone()),
        Wanted::Matches(pattern) => Value::Matches(compiled(pattern)?),
    })
}

fn compiled(pattern: &Pattern) -> Result<regex::bytes::Regex, String> {
    pattern.compile().map_err(|error| error.to_string())
}
