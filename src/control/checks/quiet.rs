//! Quiet: a check tells that an origin is no longer at work on what was given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::certs::Trust;
use crate::site::{SideName, SiteName};
use crate::table::Site;

use super::ask::questions;

/// How often an origin is asked that is still at work; its users wait.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Asks `flip.quiet` of every origin of some sides until it has passed on each, for as long as the
/// site drains.
///
/// # Errors
/// The first side that was not quiet in time, in words for the operator.
pub(in crate::control) async fn until_quiet(
    sides: Vec<(Arc<Site>, SideName)>,
) -> Result<(), String> {
    let mut asking = JoinSet::new();
    for (site, side) in sides {
        asking.spawn(async move { of_side(&site, &side).await });
    }
    while let Some(done) = asking.join_next().await {
        done.map_err(|error| format!("a check broke off: {error}"))??;
    }
    Ok(())
}

/// Asks `flip.quiet` of some sides once; lists the sites that pass on each origin, with the time
/// before which nothing is at work any more.
pub(in crate::control) async fn now_quiet(
    sides: Vec<(Arc<Site>, SideName)>,
) -> Vec<(SiteName, std::time::Instant)> {
    let trust = Trust::default();
    let mut quiet = Vec::new();
    'sides: for (site, name) in sides {
        let (Some(check), Some(side)) = (&site.flip.quiet, site.side(&name)) else {
            continue;
        };
        let asked = std::time::Instant::now();
        for question in questions(&site, side, check) {
            if question.ask(1, &trust).await.is_err() {
                continue 'sides;
            }
        }
        quiet.push((site.name.clone(), asked));
    }
    quiet
}

async fn of_side(site: &Site, name: &SideName) -> Result<(), String> {
    let (Some(check), Some(side)) = (&site.flip.quiet, site.side(name)) else {
        return Ok(());
    };
    let within = site.flip.drain_for;
    let deadline = Instant::now() + within;
    let trust = Trust::default();
    // One after the other: what has passed is quiet for good, as nobody is let in.
    for question in questions(site, side, check) {
        while let Err(why) = question.ask(1, &trust).await {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let place = question.place();
                return Err(format!(
                    "{} side {name} was not quiet within {within:?} after a write that was given \
                     up: {place}: {why}; look what it is still at work on, then try again",
                    site.name
                ));
            }
            sleep(left.min(ASKED_EVERY)).await;
        }
    }
    Ok(())
}
