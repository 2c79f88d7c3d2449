//! `fence:` the keys that sign what origins are told.

use super::super::fence::FenceKey;
use super::super::scalar;
use super::super::schema::{At, Wrong};
use super::super::tree::Value;
use super::Context;

/// The shortest key, in bytes: the length of the hash (RFC 2104 §3).
const KEY_BYTES_MIN: usize = 32;

/// The longest key, in bytes: one that is longer is hashed first, and is some other file.
const KEY_BYTES_MAX: usize = 1024;

/// The most keys: one that signs, one that is to follow, and those that origins still know.
const KEYS_MAX: usize = 4;

/// How a key is made, for the remedies.
const MAKE: &str = "make one with `openssl rand -hex 32 > fence-a.key; chmod 600 fence-a.key`";

/// Reads `fence:`; the first key signs.
pub(super) fn resolve(context: &mut Context<'_>, at: &At<'_>) -> Vec<FenceKey> {
    let mut keys: Vec<FenceKey> = Vec::new();
    let Some(fields) = at.fields(&mut context.report) else {
        return keys;
    };
    let example = "keys: [{id: a, file: fence-a.key}]";
    let Some(at) = fields.need(&mut context.report, "keys", example) else {
        return keys;
    };
    let items = at.list(&mut context.report).unwrap_or_default();
    let is_empty = matches!(&at.node.value, Value::List(items) if items.is_empty());
    if is_empty || items.len() > KEYS_MAX {
        let message = format!("has {} keys", items.len());
        let remedy = format!("write 1 to {KEYS_MAX}: `{example}`");
        at.wrong(&mut context.report, Wrong::new(message, remedy));
        return keys;
    }
    for at in items {
        let read = key(context, &at, &keys);
        keys.extend(read);
    }
    keys
}

fn key(context: &mut Context<'_>, at: &At<'_>, before: &[FenceKey]) -> Option<FenceKey> {
    let fields = at.fields(&mut context.report)?;
    let id = fields.need(&mut context.report, "id", "id: a")?;
    let id = id.parse(&mut context.report, |text| {
        let id = scalar::label(text)?;
        if before.iter().any(|key| key.id == id) {
            let message = format!("`{id}` is the name of another key");
            return Err(Wrong::new(message, "write a name of its own"));
        }
        Ok(id.to_owned())
    });
    let at = fields.need(&mut context.report, "file", "file: fence-a.key")?;
    let secret = context.read_secret(&at)?;
    // Whoever writes a file ends it with a line feed, and `$(cat …)` leaves that out as well.
    let secret = secret.trim_end();
    if let Err(why) = is_good(secret) {
        at.wrong(&mut context.report, Wrong::new(why, MAKE));
        return None;
    }
    Some(FenceKey::new(&id?, secret))
}

/// Looks at a key; what is wrong with it says nothing of what it is.
fn is_good(secret: &str) -> Result<(), String> {
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&secret.len()) {
        let length = secret.len();
        return Err(format!(
            "its key has {length} bytes, not {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"
        ));
    }
    // What can be typed is the same key in every configuration file and program.
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its key has something in it that is no visible ASCII character".into());
    }
    Ok(())
}
