//! `admin`: who may use the API from other hosts.

use super::super::model::{Admin, Listen, Token};
use super::super::scalar;
use super::super::schema::{At, Fields, Wrong};
use super::{Context, tls};

/// Every request with a token is held against all of them, so there is a limit.
const TOKENS_MAX: usize = 256;

/// Reads `admin:`.
pub(super) fn resolve(context: &mut Context<'_>, root: &Fields<'_>, listen: &Listen) -> Admin {
    let Some(at) = root.find(&mut context.report, "admin") else {
        return Admin::default();
    };
    let Some(fields) = at.fields(&mut context.report) else {
        return Admin::default();
    };
    let tls = tls::own_certificate(context, &fields);
    if tls.is_some() && listen.admin_tls.is_empty() {
        let remedy = "add `admin_tls: [0.0.0.0:9902]` to `listen`, or leave `tls` out";
        let place = fields.find(&mut context.report, "tls");
        let wrong = Wrong::new("nobody listens for it", remedy);
        place.unwrap_or(at).wrong(&mut context.report, wrong);
    }
    let tokens = fields.find(&mut context.report, "tokens");
    let tokens = tokens.map(|at| {
        let tokens = tokens_of(context, &at);
        warn_of_plain_tcp(context, &at, &tokens, listen);
        tokens
    });
    Admin {
        tls,
        tokens: tokens.unwrap_or_default(),
    }
}

fn tokens_of(context: &mut Context<'_>, at: &At<'_>) -> Vec<Token> {
    let items = at.list(&mut context.report).unwrap_or_default();
    if items.len() > TOKENS_MAX {
        let wrong = Wrong::new(
            format!("{} tokens are too many", items.len()),
            format!("write at most {TOKENS_MAX}"),
        );
        at.wrong(&mut context.report, wrong);
        return Vec::new();
    }
    let mut tokens: Vec<Token> = Vec::with_capacity(items.len());
    for at in items {
        let Some(token) = token(context, &at) else {
            continue;
        };
        let same = |part: &str| {
            Wrong::new(
                format!("has the {part} of another token"),
                format!(
                    "give each its own {part}; `pointsman token {} --scope …` makes one",
                    token.name
                ),
            )
        };
        if tokens.iter().any(|other| other.name == token.name) {
            at.wrong(&mut context.report, same("name"));
        } else if tokens.iter().any(|other| other.digest == token.digest) {
            at.wrong(&mut context.report, same("secret"));
        } else {
            tokens.push(token);
        }
    }
    tokens
}

fn token(context: &mut Context<'_>, at: &At<'_>) -> Option<Token> {
    let report = &mut context.report;
    let fields = at.fields(report)?;
    let name = fields.need(report, "name", "name: db-host");
    let name = name.and_then(|at| at.parse(report, |text| scalar::label(text).map(str::to_owned)));
    let scope = fields.need(report, "scope", "scope: guard");
    let scope = scope.and_then(|at| at.parse(report, scalar::word));
    let example = "sha256: …, as `pointsman token NAME --scope guard` prints it";
    let digest = fields.need(report, "sha256", example);
    let digest = digest.and_then(|at| at.parse(report, digest_of));
    Some(Token {
        name: name?,
        scope: scope?,
        digest: digest?,
    })
}

/// Reads a digest; what is none is not repeated, as it may be the secret itself.
fn digest_of(text: &str) -> Result<[u8; 32], Wrong> {
    let wrong = || {
        Wrong::new(
            "is no SHA-256 in hexadecimal",
            "write the 64 digits that `pointsman token NAME --scope …` prints, never the secret",
        )
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(wrong)
}

/// A token that is sent without TLS can be read by whoever is on the way.
fn warn_of_plain_tcp(context: &mut Context<'_>, at: &At<'_>, tokens: &[Token], listen: &Listen) {
    let seen = listen.admin.filter(|admin| !admin.ip().is_loopback());
    if let Some(admin) = seen
        && !tokens.is_empty()
    {
        let message = format!("tokens can be read on their way to {admin}, which is without TLS");
        let remedy = "keep `listen.admin` on loopback, and use `listen.admin_tls` from elsewhere";
        let report = &mut context.report;
        report.warning(at.node.place, &at.key, message, remedy);
    }
}
