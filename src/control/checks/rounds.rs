//! Rounds: every check on every side, all the time, on a thread of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::certs::Trust;
use crate::site::{SideName, SiteName};
use crate::table::{Diff, Site, Table};

use super::super::background;
use super::ask::questions;
use super::findings::{Change, CheckStatus, Findings, SideChecks};
use super::units::{UnitId, Units};

/// How many rounds are under way at once: each has one probe at a time, with a socket and, where a
/// body is looked at, up to 1 MiB. A thousand sites that answer need three.
const AT_ONCE: usize = 128;

/// A result that is older than so many times `every` says nothing of now.
const STALE_AFTER: u32 = 3;

/// The rounds that run; they end when this is dropped.
#[derive(Debug)]
pub(in crate::control) struct Rounds {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

/// What the actor says of its table, until the rounds have taken it up.
#[derive(Debug, Default)]
struct Inbox {
    said: Mutex<Said>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Said {
    /// Sites as they are now; `None` for one without checks, or without anything.
    sites: BTreeMap<SiteName, Option<Arc<Site>>>,
    is_over: bool,
}

impl Rounds {
    /// Begins the rounds of a table.
    ///
    /// # Errors
    /// No thread can be had; the machine's limits are at fault.
    pub(in crate::control) fn begin(
        table: &Table,
        findings: &Arc<Findings>,
    ) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let sites = table.sites.iter().filter(|site| has_checks(site));
        inbox.say(|said| {
            let entry = |site: &Arc<Site>| (site.name.clone(), Some(Arc::clone(site)));
            said.sites.extend(sites.map(entry));
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (of_thread, findings) = (Arc::clone(&inbox), Arc::clone(findings));
        let thread = std::thread::Builder::new().name("checks".into());
        let thread = thread.spawn(move || {
            background::give_way(background::NICENESS / 3);
            runtime.block_on(run(&of_thread, findings));
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            inbox,
            thread: Some(thread),
        })
    }

    /// Has the rounds follow what a new table changed.
    pub(in crate::control) fn follow(&self, old: &Table, new: &Table, diff: &Diff) {
        let mut changed = Vec::new();
        for name in diff.touched().into_iter().chain(&diff.removed) {
            let (before, now) = (old.site(name.as_str()), new.site(name.as_str()));
            let is_same = match (before, now) {
                (Some(before), Some(now)) => Arc::ptr_eq(before, now),
                (_, _) => false,
            };
            let now = now.filter(|site| has_checks(site));
            if !is_same && (now.is_some() || before.is_some_and(has_checks)) {
                changed.push((name.clone(), now.cloned()));
            }
        }
        if !changed.is_empty() {
            self.inbox.say(|said| said.sites.extend(changed));
        }
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.inbox.say(|said| said.is_over = true);
        if let Some(thread) = self.thread.take() {
            // A panic there is a bug, was printed, and is no reason for another here.
            let _ = thread.join();
        }
    }
}

impl Inbox {
    fn say(&self, what: impl FnOnce(&mut Said)) {
        what(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
    }

    fn take(&self) -> Said {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        Said {
            sites: std::mem::take(&mut said.sites),
            is_over: said.is_over,
        }
    }
}

fn has_checks(site: &Arc<Site>) -> bool {
    !site.preflight.checks.is_empty()
}

/// A round that is over.
struct Round {
    unit: UnitId,
    began: Instant,
    result: Result<(), String>,
}

/// What all rounds share.
struct Shared {
    findings: Arc<Findings>,
    trust: Trust,
}

async fn run(inbox: &Inbox, findings: Arc<Findings>) {
    let shared = Arc::new(Shared {
        findings,
        trust: Trust::default(),
    });
    let mut units = Units::default();
    let mut rounds: JoinSet<Round> = JoinSet::new();
    loop {
        let due = units.next_due().filter(|_| rounds.len() < AT_ONCE);
        // Every arm is cancel safe: a notice is kept, as is a round that is over.
        tokio::select! {
            () = inbox.news.notified() => {
                let said = inbox.take();
                if said.is_over {
                    return;
                }
                follow(&mut units, said, &shared.findings);
            }
            Some(done) = rounds.join_next(), if !rounds.is_empty() => {
                // One that was ended belongs to a unit that is gone.
                if let Ok(round) = done {
                    note(&mut units, round, &shared.findings);
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                while rounds.len() < AT_ONCE
                    && let Some(unit) = units.take_due(Instant::now())
                {
                    begin(&mut units, unit, &mut rounds, &shared);
                }
            }
        }
    }
}

/// Takes up what a table changed, and shows it.
fn follow(units: &mut Units, said: Said, findings: &Findings) {
    let mut new = Vec::new();
    for (name, site) in said.sites {
        let Some(site) = site else {
            units.remove(&name);
            findings.remove(&name);
            continue;
        };
        let of_site = units.follow(&site);
        show(units, &of_site, &site, findings);
        new.extend(of_site);
    }
    units.begin(&new, Instant::now());
}

/// Shows a site anew: what is not new keeps its results.
fn show(units: &Units, new: &[UnitId], site: &Site, findings: &Findings) {
    let is_new = |side, check: &str| {
        let mut names = new.iter().filter_map(|id| units.names(*id));
        names.any(|(_, of_side, name)| of_side == side && name == check)
    };
    let sides = site.sides.iter().map(|side| {
        let checks = site.preflight.checks.iter().map(|check| {
            let name = check.name.as_str();
            let kept = findings.find(&site.name, &side.name, name);
            let kept = kept.filter(|_| !is_new(&side.name, name));
            kept.unwrap_or_else(|| CheckStatus::unknown(name))
        });
        SideChecks {
            side: side.name.clone(),
            checks: checks.collect(),
        }
    });
    // A round of a check that fails takes all its tries.
    let longest = site.preflight.checks.iter();
    let longest = longest.map(|check| check.timeout.saturating_mul(check.tries));
    let round = site
        .preflight
        .every
        .max(longest.max().unwrap_or(Duration::ZERO));
    let stale_after = round.saturating_mul(STALE_AFTER);
    findings.put(site.name.clone(), sides.collect(), stale_after);
}

/// Notes what a round found, and says so when it is news.
fn note(units: &mut Units, round: Round, findings: &Findings) {
    let Round {
        unit,
        began,
        result,
    } = round;
    if let Some(names @ (site, side, check)) = units.names(unit) {
        let why = result.as_ref().err().cloned().unwrap_or_default();
        match findings.note(names, result, Timestamp::now()) {
            Change::None => {}
            Change::Fails => tracing::warn!(%site, %side, check, why, "a check fails"),
            Change::PassesAgain => tracing::info!(%site, %side, check, "a check passes again"),
        }
    }
    units.had_its_round(unit, began, Instant::now());
}

fn begin(units: &mut Units, id: UnitId, rounds: &mut JoinSet<Round>, shared: &Arc<Shared>) {
    let Some(unit) = units.get_mut(id) else {
        return;
    };
    let (site, side) = (Arc::clone(&unit.site), unit.side().name.clone());
    let (check, shared) = (unit.check().name.clone(), Arc::clone(shared));
    unit.running = Some(rounds.spawn(async move {
        let began = Instant::now();
        let _counted = shared.findings.begin();
        let result = one(&site, &side, &check, &shared.trust).await;
        Round {
            unit: id,
            began,
            result,
        }
    }));
}

/// Makes a check on a side, one origin after the other, until one fails.
async fn one(site: &Site, side: &SideName, check: &str, trust: &Trust) -> Result<(), String> {
    let mut checks = site.preflight.checks.iter();
    let (Some(side), Some(check)) = (site.side(side), checks.find(|one| one.name == check)) else {
        return Ok(());
    };
    for question in questions(site, side, check) {
        question.ask(check.tries, trust).await.map_err(|why| {
            if question.is_one_of_several() {
                format!("{}: {why}", question.place())
            } else {
                why
            }
        })?;
    }
    Ok(())
}
