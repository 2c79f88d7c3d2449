//! The preflight: every check of a site, on every origin of the side it is to move to.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::certs::Trust;
use crate::probe::{self, HttpProbe, ProbeTls};
use crate::site::SideName;
use crate::table::{OriginAddr, Site};

/// How thorough a preflight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thoroughness {
    /// As often as the table says: nobody waits yet.
    AllTries,
    /// Once: users wait.
    OneTry,
}

/// How many sites are checked at once: users may be waiting for the last of them.
const SITES_AT_ONCE: usize = 32;

/// Runs the checks of the sides that sites are to move to.
///
/// # Errors
/// The first failure that is found, in words for the operator.
pub(super) async fn all(
    targets: Vec<(Arc<Site>, SideName)>,
    thoroughness: Thoroughness,
) -> Result<(), String> {
    let mut targets = targets.into_iter();
    let mut checks = JoinSet::new();
    loop {
        while checks.len() < SITES_AT_ONCE
            && let Some((site, to)) = targets.next()
        {
            checks.spawn(side(site, to, thoroughness));
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
async fn side(site: Arc<Site>, side: SideName, thoroughness: Thoroughness) -> Result<(), String> {
    let Some(origins) = site.side(&side).map(|side| side.web.clone()) else {
        return Err(format!("site {} has no side {side} any more", site.name));
    };
    let trust = Arc::new(Trust::default());
    let mut checks = JoinSet::new();
    for origin in origins {
        let (site, side, trust) = (Arc::clone(&site), side.clone(), Arc::clone(&trust));
        checks.spawn(async move { checks_of(&site, &side, &origin, &trust, thoroughness).await });
    }
    while let Some(done) = checks.join_next().await {
        done.map_err(|error| format!("a check broke off: {error}"))??;
    }
    Ok(())
}

async fn checks_of(
    site: &Site,
    side: &SideName,
    origin: &OriginAddr,
    trust: &Trust,
    thoroughness: Thoroughness,
) -> Result<(), String> {
    let checked = trust.of(origin).map_err(|why| format!("{origin}: {why}"))?;
    let tls = checked.map(|checked| ProbeTls {
        config: checked.config,
        server_name: checked.server_name,
    });
    let tries = match thoroughness {
        Thoroughness::AllTries => site.preflight.tries,
        Thoroughness::OneTry => 1,
    };
    for check in &site.preflight.checks {
        let mut tried = 0;
        loop {
            tried += 1;
            let probe = HttpProbe {
                address: origin.authority(),
                tls: tls.clone(),
                host: site.hosts[0].clone(),
                method: check.method.clone(),
                path: check.path.clone(),
                expect_status: check.status,
                expect_body: check.body.clone(),
                timeout: site.preflight.timeout,
            };
            match probe::http(probe).await {
                Ok(_) => break,
                Err(_) if tried < tries => {}
                Err(failed) => {
                    return Err(format!(
                        "check {:?} of {} side {side} at {origin}{} failed: {failed}",
                        check.name, site.name, check.path
                    ));
                }
            }
        }
    }
    Ok(())
}
