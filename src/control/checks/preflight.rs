//! The preflight: every check of a site, on every origin of the side it is to move to.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::certs::Trust;
use crate::site::SideName;
use crate::table::{Check, Site};

use super::ask::questions;

/// How thorough a preflight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Thoroughness {
    /// As often as the table says: nobody waits yet.
    AllTries,
    /// Once: users wait.
    OneTry,
}

/// How many sites are checked at once: users may be waiting for the last of them.
const SITES_AT_ONCE: usize = 32;

/// Runs the checks of the sides that sites are to move to, but for those of some names.
///
/// # Errors
/// The first failure that is found, in words for the operator.
pub(in crate::control) async fn all(
    targets: Vec<(Arc<Site>, SideName)>,
    thoroughness: Thoroughness,
    but: Arc<Vec<String>>,
) -> Result<(), String> {
    let mut targets = targets.into_iter();
    let mut checks = JoinSet::new();
    loop {
        while checks.len() < SITES_AT_ONCE
            && let Some((site, to)) = targets.next()
        {
            checks.spawn(side(site, to, thoroughness, Arc::clone(&but)));
        }
        match checks.join_next().await {
            None => return Ok(()),
            Some(done) => done.map_err(|error| format!("a check broke off: {error}"))??,
        }
    }
}

/// Runs the checks of a side, those of different origins at the same time.
///
/// # Errors
/// The first failure that is found, in words for the operator.
async fn side(
    site: Arc<Site>,
    side: SideName,
    thoroughness: Thoroughness,
    but: Arc<Vec<String>>,
) -> Result<(), String> {
    let Some(origins) = site.side(&side).map(|side| side.web.len()) else {
        return Err(format!("site {} has no side {side} any more", site.name));
    };
    let trust = Arc::new(Trust::default());
    let mut checks = JoinSet::new();
    for origin in 0..origins {
        let (site, side, trust) = (Arc::clone(&site), side.clone(), Arc::clone(&trust));
        let but = Arc::clone(&but);
        checks.spawn(async move {
            let mut made = site.preflight.checks.iter();
            let made = made.by_ref().filter(|check| !but.contains(&check.name));
            for check in made {
                of_origin(&site, &side, origin, check, thoroughness, &trust).await?;
            }
            Ok::<_, String>(())
        });
    }
    while let Some(done) = checks.join_next().await {
        done.map_err(|error| format!("a check broke off: {error}"))??;
    }
    Ok(())
}

/// Makes a check on one origin, by its place on the side; what is asked of a side as a whole is
/// asked with the first.
async fn of_origin(
    site: &Site,
    side: &SideName,
    origin: usize,
    check: &Check,
    thoroughness: Thoroughness,
    trust: &Trust,
) -> Result<(), String> {
    let tries = match thoroughness {
        Thoroughness::AllTries => check.tries,
        Thoroughness::OneTry => 1,
    };
    let found = site.side(side);
    let Some(question) = found.and_then(|side| questions(site, side, check).nth(origin)) else {
        return Ok(());
    };
    question.ask(tries, trust).await.map_err(|why| {
        let (name, place) = (&check.name, question.place());
        let failed = format!(
            "check {name:?} of {} side {side} at {place} failed: {why}",
            site.name
        );
        match thoroughness {
            Thoroughness::AllTries => format!(
                "{failed}; put that right, or go over this check with --force-check {} --reason …",
                quoted(name)
            ),
            Thoroughness::OneTry => failed,
        }
    })
}

/// Writes a name as a shell takes it for one word.
fn quoted(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}
