//! `pointsman token`: a secret for another host.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::{digest, rand};

use super::exit::Exit;
use super::out;
use crate::site::Scope;

/// How many random bytes a secret has: more than anybody can guess.
const RANDOM_BYTES: usize = 32;

/// What a secret begins with, so that whoever finds one knows what it is.
const PREFIX: &str = "pm_";

/// The digits of base64url (RFC 4648 §5).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Make a token for another host, and the line of routes.yaml that lets it in.
///
/// The secret is written to FILE, which only you may read, or printed when no file is named; it is
/// kept nowhere else. What goes into `admin.tokens` is its SHA-256, which opens nothing. Without
/// FILE the line goes to standard error, so that `> FILE` gets the secret alone. Exit code 2: the
/// name is no name, or FILE is there already.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman token db-host --scope guard --out db-host.token\n  \
                  pointsman token prometheus --scope read --out prometheus.token"
)]
pub(super) struct Args {
    /// What its holder is called in the journal: letters, digits, `-` and `_`
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What its holder may do
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Scope::WORDS))]
    scope: String,
    /// The file that the secret is written to; it must not be there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes a token.
pub(super) fn token(args: &Args) -> Exit {
    let mut random = [0; RANDOM_BYTES];
    if rand::fill(&mut random).is_err() {
        out::complain("pointsman: no random bytes are to be had");
        return Exit::Failed;
    }
    let secret = format!("{PREFIX}{}", base64url(&random));
    let line = line(args, &secret);
    match &args.out {
        None => {
            out::complain(&line);
            out::say(&secret);
        }
        Some(file) => {
            if let Err(error) = write(file, &secret) {
                let name = file.display();
                out::complain(&format!(
                    "pointsman: {name} is not written: {error}; name a file that is not there"
                ));
                return Exit::Usage;
            }
            out::say(&line);
        }
    }
    Exit::Settled
}

/// Makes the line that goes under `admin: {tokens: […]}`.
fn line(args: &Args, secret: &str) -> String {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    let digits: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "- {{name: {}, scope: {}, sha256: {digits}}}",
        args.name, args.scope
    )
}

fn write(file: &Path, secret: &str) -> std::io::Result<()> {
    let mut new = OpenOptions::new();
    let mut file = new.write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

fn name(text: &str) -> Result<String, String> {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    let begins_well = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric());
    if begins_well && text.len() <= 63 && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("write up to 63 letters, digits, `-` and `_`, a letter or digit first".into())
}

/// Writes bytes as base64url without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            let at = (bits >> (18 - 6 * digit)) & 0x3f;
            text.push(char::from(DIGITS[at as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_rfc_4648_come_out() {
        let vectors = [
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("fooba", "Zm9vYmE"),
        ];

        for (bytes, text) in vectors {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
    }
}
