//! Checks: `preflight` and `flip.quiet`, what is asked and what passes.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, Method};

use super::super::check::{Ask, Check, DnsAsk, HttpAsk, Pattern, Peer, Preflight, Wanted};
use super::super::diagnostic::{Report, did_you_mean};
use super::super::freshness::Freshness;
use super::super::keys::TYPES;
use super::super::model::Side;
use super::super::scalar::{self, Underscores};
use super::super::schema::{At, Fields, Wrong};
use super::super::tree::Value;
use super::policy::{HOUR, MILLISECOND, MINUTE, span};

/// How many checks a site may have: each is made on each side, all the time.
const CHECKS_MAX: usize = 100;

/// The name of a check is a label in metrics and a word in a sentence.
const NAME_LETTERS_MAX: usize = 100;

/// What a check goes by where it does not say so itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) timeout: Duration,
    pub(super) tries: u32,
}

/// Reads `preflight:`; without it, there is nothing to check.
pub(super) fn preflight(
    report: &mut Report,
    at: Option<&At<'_>>,
    sides: &[Side],
) -> (Preflight, Defaults) {
    let mut preflight = Preflight {
        every: Duration::from_secs(10),
        checks: Vec::new(),
    };
    let mut defaults = Defaults {
        timeout: Duration::from_secs(3),
        tries: 2,
    };
    let Some(fields) = at.and_then(|at| at.fields(report)) else {
        return (preflight, defaults);
    };
    let bounds = Duration::from_millis(100)..=HOUR;
    preflight.every = span(report, &fields, "every", preflight.every, bounds);
    defaults.timeout = timeout(report, &fields, defaults.timeout);
    defaults.tries = tries(report, &fields, defaults.tries);
    let checks = fields.find(report, "checks");
    let items = checks.as_ref().and_then(|at| at.list(report));
    let items = items.unwrap_or_default();
    if let Some(at) = checks.filter(|_| items.len() > CHECKS_MAX) {
        let remedy = format!("write at most {CHECKS_MAX}; one page may look after many things");
        at.wrong(report, Wrong::new("there are too many checks", remedy));
        return (preflight, defaults);
    }
    for at in items {
        let Some(check) = check(report, &at, defaults, sides) else {
            continue;
        };
        if check.name == Freshness::CHECK {
            let message = "`freshness` is what the comparison of the sides is called";
            at.wrong(report, Wrong::new(message, "give the check another name"));
        }
        let mut others = preflight.checks.iter();
        if others.any(|other| other.name == check.name) {
            let message = format!("there is a check `{}` already", check.name);
            at.wrong(
                report,
                Wrong::new(message, "give each check a name of its own"),
            );
        }
        preflight.checks.push(check);
    }
    (preflight, defaults)
}

/// Reads `standby.expect`: what a visitor is to see.
pub(super) fn expect(report: &mut Report, at: &At<'_>, defaults: Defaults) -> Option<Check> {
    let fields = fields(report, at)?;
    let timeout = timeout(report, &fields, defaults.timeout);
    let (get, head) = (fields.find(report, "get"), fields.find(report, "head"));
    let (at, method) = match (get, head) {
        (Some(_), Some(head)) => {
            let message = "a check makes one request, and `get` is there already";
            head.wrong(report, Wrong::new(message, "keep one of the two"));
            return None;
        }
        (None, Some(head)) => (head, Method::HEAD),
        (Some(get), None) => (get, Method::GET),
        (None, None) => {
            fields.need(report, "get", "get: /");
            return None;
        }
    };
    Some(Check {
        name: "standby".into(),
        timeout,
        tries: 1,
        ask: Ask::Http(visit(report, &at, &fields, method)?),
    })
}

/// Reads `flip.quiet`.
pub(super) fn quiet(
    report: &mut Report,
    at: &At<'_>,
    defaults: Defaults,
    sides: &[Side],
) -> Option<Check> {
    let fields = fields(report, at)?;
    let timeout = timeout(report, &fields, defaults.timeout);
    let ask = ask(report, &fields, sides)?;
    Some(Check {
        name: "quiet".into(),
        timeout,
        tries: 1,
        ask,
    })
}

pub(super) fn timeout(report: &mut Report, fields: &Fields<'_>, default: Duration) -> Duration {
    span(report, fields, "timeout", default, MILLISECOND..=5 * MINUTE)
}

fn tries(report: &mut Report, fields: &Fields<'_>, default: u32) -> u32 {
    fields.value_or(report, "tries", default, |text| {
        scalar::number(text, 1..=100)
    })
}

fn check(report: &mut Report, at: &At<'_>, defaults: Defaults, sides: &[Side]) -> Option<Check> {
    let fields = fields(report, at)?;
    let name = fields
        .need(report, "name", "name: home")
        .and_then(|at| at.parse(report, name));
    let (timeout, tries) = (
        timeout(report, &fields, defaults.timeout),
        tries(report, &fields, defaults.tries),
    );
    let ask = ask(report, &fields, sides)?;
    Some(Check {
        name: name?,
        timeout,
        tries,
        ask,
    })
}

fn name(text: &str) -> Result<String, Wrong> {
    let is_long = text.chars().count() > NAME_LETTERS_MAX;
    if text.trim().is_empty() || is_long || text.contains(char::is_control) {
        let remedy = format!("write a word or a few, at most {NAME_LETTERS_MAX} letters");
        return Err(Wrong::new("cannot be the name of a check", remedy));
    }
    Ok(text.to_owned())
}

/// The keys that say what is asked; a check has one of them.
const ASKS: [&str; 5] = ["get", "head", "tcp", "dns", "command"];

/// Those that an answer by HTTP is held against.
const OF_ANSWERS: [&str; 5] = ["status", "header", "body", "body_regex", "json"];

/// The methods that change something, and are refused with a reason (RFC 9110 §9.2.1).
const UNSAFE: [&str; 4] = ["post", "put", "patch", "delete"];

/// Takes the mapping of a check; a method that changes something is no mere unknown key.
fn fields<'n>(report: &mut Report, at: &At<'n>) -> Option<Fields<'n>> {
    let mut entries = at.entries(report)?.iter();
    let Some(entry) = entries.find(|entry| UNSAFE.contains(&&*entry.key)) else {
        return at.fields(report);
    };
    let key = at.under(entry).key;
    let message = format!("`{}` changes something, and a check must not", entry.key);
    let remedy = "write `get: /path` or `head: /path`";
    report.mistake(entry.place, &key, message, remedy);
    None
}

fn ask(report: &mut Report, fields: &Fields<'_>, sides: &[Side]) -> Option<Ask> {
    let mut asks = Vec::new();
    for key in ASKS {
        asks.extend(fields.find(report, key).map(|at| (key, at)));
    }
    if let [(first, _), (_, second), ..] = asks.as_slice() {
        let message = format!("a check makes one request, and `{first}` is there already");
        second.wrong(report, Wrong::new(message, "keep one of the two"));
    }
    let Some((key, at)) = asks.into_iter().next() else {
        fields.need(report, "get", "get: /");
        return None;
    };
    match key {
        "get" => http(report, &at, fields, Method::GET),
        "head" => http(report, &at, fields, Method::HEAD),
        other => {
            refuse_answers(report, fields, other);
            match other {
                "tcp" => tcp(report, &at, sides),
                "dns" => dns(report, &at, sides).map(Ask::Dns),
                _ => command(report, &at),
            }
        }
    }
}

/// Reports what only an answer by HTTP can be held against.
fn refuse_answers(report: &mut Report, fields: &Fields<'_>, ask: &str) {
    for key in OF_ANSWERS {
        if let Some(at) = fields.find(report, key) {
            let message = format!("`{ask}` has no answer with a {key}");
            let remedy = format!("write it beside `get`, or leave `{key}` out");
            at.wrong(report, Wrong::new(message, remedy));
        }
    }
}

fn http(report: &mut Report, at: &At<'_>, fields: &Fields<'_>, method: Method) -> Option<Ask> {
    if method == Method::HEAD {
        has_no_body(report, fields, "json");
    }
    let header = fields.find(report, "header");
    let header = header.map(|at| header_fields(report, &at));
    let json = fields.find(report, "json");
    let json = json.and_then(|at| json_value(report, &at));
    Some(Ask::Http(HttpAsk {
        fields: header.unwrap_or_default(),
        json,
        ..visit(report, at, fields, method)?
    }))
}

/// Reads what a visitor can see of an answer.
fn visit(report: &mut Report, at: &At<'_>, fields: &Fields<'_>, method: Method) -> Option<HttpAsk> {
    if method == Method::HEAD {
        has_no_body(report, fields, "body");
        has_no_body(report, fields, "body_regex");
    }
    let status = fields.find(report, "status");
    let status = status.map_or(vec![200..=200], |at| statuses(report, &at));
    let body = fields.find(report, "body");
    let body = body.and_then(|at| at.text(report));
    let body_pattern = fields.find(report, "body_regex");
    let body_pattern = body_pattern.and_then(|at| at.parse(report, pattern));
    Some(HttpAsk {
        path: at.parse(report, request_target)?,
        method,
        status,
        fields: Vec::new(),
        body: body.map(str::to_owned),
        body_pattern,
        json: None,
    })
}

/// RFC 9110 §9.3.2: a response to HEAD has no content.
fn has_no_body(report: &mut Report, fields: &Fields<'_>, key: &str) {
    if let Some(at) = fields.find(report, key) {
        let message = "an answer to HEAD has no body to look at";
        let remedy = format!("write `get`, or leave `{key}` out");
        at.wrong(report, Wrong::new(message, remedy));
    }
}

fn statuses(report: &mut Report, at: &At<'_>) -> Vec<RangeInclusive<u16>> {
    let Value::List(items) = &at.node.value else {
        return at.parse(report, status).into_iter().collect();
    };
    if items.is_empty() {
        let wrong = Wrong::new("is empty", "write at least one status: `[200, 2xx]`");
        at.wrong(report, wrong);
    }
    let items = at.list(report).unwrap_or_default().into_iter();
    items.filter_map(|at| at.parse(report, status)).collect()
}

/// Reads `200`, or `2xx` for all of its class.
fn status(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
    if let Some(class @ 2..=5_u16) = class {
        return Ok(class * 100..=class * 100 + 99);
    }
    let wrong = |wrong: Wrong| Wrong {
        remedy: format!("{}, or `2xx` for all that begin so", wrong.remedy),
        ..wrong
    };
    let number = scalar::number(text, 200..=599).map_err(wrong)?;
    Ok(number..=number)
}

fn header_fields(report: &mut Report, at: &At<'_>) -> Vec<(HeaderName, Wanted)> {
    let mut all = Vec::new();
    for entry in at.entries(report).unwrap_or_default() {
        let at = at.under(entry);
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            let message = format!("`{}` is no name of a field", entry.key);
            let remedy = "write a name such as `content-type`";
            report.mistake(entry.place, &at.key, message, remedy);
            continue;
        };
        let wanted = if let Value::Map(_) = &at.node.value {
            at.fields(report).and_then(|fields| wanted(report, &fields))
        } else {
            at.text(report).map(|text| Wanted::Equals(text.to_owned()))
        };
        all.extend(wanted.map(|wanted| (name, wanted)));
    }
    all
}

/// Reads `equals` or `matches`.
fn wanted(report: &mut Report, fields: &Fields<'_>) -> Option<Wanted> {
    let equals = fields.find(report, "equals");
    let matches = fields.find(report, "matches");
    if let (Some(_), Some(at)) = (&equals, &matches) {
        let message = "`equals` says already what the value is";
        at.wrong(report, Wrong::new(message, "keep one of the two"));
    }
    match (equals, matches) {
        (Some(at), _) => Some(Wanted::Equals(at.text(report)?.to_owned())),
        (None, Some(at)) => Some(Wanted::Matches(at.parse(report, pattern)?)),
        (None, None) => Some(Wanted::Present),
    }
}

fn json_value(report: &mut Report, at: &At<'_>) -> Option<(String, Wanted)> {
    let fields = at.fields(report)?;
    let pointer = fields.need(report, "pointer", "pointer: /status");
    let pointer = pointer.and_then(|at| at.parse(report, pointer_text));
    let wanted = wanted(report, &fields)?;
    Some((pointer?, wanted))
}

/// Reads a pointer (RFC 6901 §3).
pub(super) fn pointer_text(text: &str) -> Result<String, Wrong> {
    let mut escapes = text.split('~').skip(1);
    let is_sound = escapes.all(|rest| rest.starts_with(['0', '1']));
    if text.starts_with('/') && is_sound {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is no pointer into JSON"),
        "begin it with `/`, and go down by `/`: `/database/state`; write `~` as `~0`",
    ))
}

pub(super) fn pattern(text: &str) -> Result<Pattern, Wrong> {
    Pattern::new(text).map_err(|error| {
        if let regex::Error::CompiledTooBig(_) = error {
            return Wrong::new(
                "is too large a regular expression",
                "look for less: smaller counts such as `{1,9}`, fewer alternatives",
            );
        }
        // The last line of several says what it is; those before it draw an arrow.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        Wrong::new(
            format!("is no regular expression: {why}"),
            "correct it, with a `\\` before a sign that stands for itself",
        )
    })
}

fn tcp(report: &mut Report, at: &At<'_>, sides: &[Side]) -> Option<Ask> {
    if at.text(report)? == "origin" {
        return Some(Ask::TcpOrigin);
    }
    let peer = at.parse(report, |text| {
        let remedy = "write `origin` for the origin itself, or `host:port`, such as `db:5432`";
        peer(text, None, remedy)
    })?;
    look_at_names(report, at, &peer, sides);
    Some(Ask::Tcp(peer))
}

/// Reads `host:port`; the port may be left out where there is a usual one.
fn peer(text: &str, usual: Option<u16>, remedy: &str) -> Result<Peer, Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is nobody to connect to"), remedy);
    let has_port = match text.rsplit_once(':') {
        Some((_, port)) => !port.contains(']'),
        None => false,
    };
    let origin = scalar::origin(&format!("http://{text}")).map_err(|_| wrong())?;
    let port = usual
        .filter(|_| !has_port)
        .or(has_port.then_some(origin.port));
    Ok(Peer {
        host: origin.host,
        port: port.ok_or_else(wrong)?,
    })
}

/// A host that is named by some sides must be named by all.
fn look_at_names(report: &mut Report, at: &At<'_>, peer: &Peer, sides: &[Side]) {
    let has = |side: &&Side| side.names.contains_key(&peer.host);
    let lacking = sides.iter().find(|side| !has(side));
    if let (Some(lacking), true) = (lacking, sides.iter().any(|side| has(&side))) {
        let message = format!(
            "side {} has no `{}` in its `names`",
            lacking.name, peer.host
        );
        let remedy = "write it there, or an address here that is the same for all sides";
        at.wrong(report, Wrong::new(message, remedy));
    }
}

fn dns(report: &mut Report, at: &At<'_>, sides: &[Side]) -> Option<DnsAsk> {
    let fields = at.fields(report)?;
    let name = fields.need(report, "name", "name: db.site.example");
    let name =
        name.and_then(|at| at.parse(report, |text| scalar::name(text, Underscores::Allowed)));
    let kind = fields.need(report, "type", "type: A");
    let kind = kind.and_then(|at| at.parse(report, record_type));
    let server = fields.need(report, "server", "server: 127.0.0.1");
    let server = server.and_then(|at| {
        let remedy = "write an address or a host name, and a port if it is not 53";
        let peer = at.parse(report, |text| peer(text, Some(53), remedy))?;
        look_at_names(report, &at, &peer, sides);
        Some(peer)
    });
    let answer = fields.find(report, "answer");
    let answer = answer.and_then(|at| at.text(report));
    Some(DnsAsk {
        server: server?,
        name: name?,
        kind: kind?,
        answer: answer.map(str::to_owned),
    })
}

fn record_type(text: &str) -> Result<&'static str, Wrong> {
    let found = TYPES.iter().find(|kind| **kind == text);
    found.copied().ok_or_else(|| {
        let message = format!("`{text}` is no type of record that a check asks for");
        Wrong::new(message, did_you_mean(text, TYPES.iter().copied()))
    })
}

fn command(report: &mut Report, at: &At<'_>) -> Option<Ask> {
    let items = at.list(report)?;
    let mut argv = Vec::with_capacity(items.len());
    for at in &items {
        argv.push(at.text(report)?.to_owned());
    }
    if argv.first().is_none_or(String::is_empty) {
        let remedy = "write the program and its arguments: `[/usr/local/bin/check-db, --quick]`";
        at.wrong(report, Wrong::new("names no program", remedy));
        return None;
    }
    Some(Ask::Command(argv))
}

pub(super) fn request_target(text: &str) -> Result<String, Wrong> {
    let parsed: Result<PathAndQuery, _> = text.parse();
    let clean = text.is_ascii() && !text.contains(['#', ' ']);
    if text.starts_with('/') && clean && parsed.is_ok() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is no path to ask for"),
        "begin it with `/`, and write blanks and other letters as `%20`",
    ))
}
