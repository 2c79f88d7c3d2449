//! Rounds: the marker of every side, all the time, on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::certs::Trust;
use crate::site::{Contradicts, Epoch, SideName, SiteName};
use crate::switchboard::Switchboard;
use crate::table::{Site, Table};

use super::super::actor::Event;
use super::super::background;
use super::super::copies;
use super::super::standby::{Teller, is_moving};
use super::super::status::Status;
use super::marker::{self, Marker};
use super::read::{self, Counts};
use super::shown::{Backwards, Readings, SideFreshness};
use super::standby::{Seen, Standbys};

/// How many sites are read at once: each has one socket and a body of up to 1 MiB at a time. A
/// thousand sites that answer within a second need 34, at the default of `every`.
const AT_ONCE: usize = 64;

/// Begins the rounds; they end when nothing publishes the status any more.
///
/// # Errors
/// No thread can be had; the machine's limits are at fault.
pub(in crate::control) fn begin(
    board: &Arc<Switchboard>,
    status: watch::Receiver<Arc<Status>>,
    copies: Arc<copies::Shown>,
    events: mpsc::Sender<Event>,
) -> std::io::Result<Arc<Readings>> {
    let readings = Arc::new(Readings::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (board, shown) = (Arc::clone(board), Arc::clone(&readings));
    let thread = std::thread::Builder::new().name("freshness".into());
    thread.spawn(move || {
        background::give_way(background::NICENESS / 3);
        let standbys = StandbyWatch {
            copies,
            teller: Teller::new(Contradicts::StandbyWritten, events),
        };
        runtime.block_on(run(board, status, &shown, standbys));
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
    })?;
    Ok(readings)
}

async fn run(
    board: Arc<Switchboard>,
    mut status: watch::Receiver<Arc<Status>>,
    readings: &Readings,
    mut standbys: StandbyWatch,
) {
    let trust = Arc::new(Trust::default());
    let mut watched = Watched::default();
    let mut rounds: JoinSet<Round> = JoinSet::new();
    watched.follow(&board.current().table, readings);
    loop {
        let due = watched.next_due().filter(|_| rounds.len() < AT_ONCE);
        // Every arm is cancel safe: a change is kept, as is a round that is over.
        tokio::select! {
            changed = status.changed() => match changed {
                // Whatever changes the table publishes the status after it.
                Ok(()) => {
                    watched.follow(&board.current().table, readings);
                    for gone in std::mem::take(&mut watched.gone) {
                        standbys.teller.keep(&gone, &[]).await;
                    }
                }
                Err(_) => return,
            },
            Some(done) = rounds.join_next(), if !rounds.is_empty() => {
                // One that panicked has a bug, which was printed.
                if let Ok(round) = done {
                    let moves = is_moving(&status.borrow(), &round.site.name);
                    watched.note(&round, readings, moves, &mut standbys).await;
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                while rounds.len() < AT_ONCE && let Some(site) = watched.take_due(Instant::now()) {
                    rounds.spawn(one(site, Arc::clone(&board), Arc::clone(&trust)));
                }
            }
        }
    }
}

/// What was read of the sides of a site, with that which was active all the while, if one was.
struct Round {
    site: Arc<Site>,
    began: Instant,
    /// The same by the clock on the wall.
    at: Timestamp,
    active: Option<(SideName, Epoch)>,
    sides: Vec<(SideName, Result<Marker, String>)>,
}

async fn one(site: Arc<Site>, board: Arc<Switchboard>, trust: Arc<Trust>) -> Round {
    let (began, at) = (Instant::now(), Timestamp::now());
    let before = board.active(&site.name);
    let is_active = |side: &SideName| before.as_ref().is_some_and(|(active, _)| active == side);
    let mut names: Vec<_> = site.sides.iter().map(|side| side.name.clone()).collect();
    // The active side first: what is written meanwhile is no lag of the others.
    names.sort_by_key(|name| !is_active(name));
    let mut sides = Vec::with_capacity(names.len());
    for name in names {
        let counts = if is_active(&name) {
            Counts::Newest
        } else {
            Counts::Oldest
        };
        let read = match &site.freshness {
            Some(freshness) => read::side(&site, freshness, &name, counts, &trust).await,
            None => continue,
        };
        sides.push((name, read));
    }
    look_again(&site, &mut sides, &trust).await;
    // A flip in between leaves nobody to compare with.
    let active = before.filter(|before| board.active(&site.name).as_ref() == Some(before));
    Round {
        site,
        began,
        at,
        active,
        sides,
    }
}

/// Reads the active side, which is the first, once more when another seems to be newer: a copy may
/// have brought there meanwhile what is there by now. When that fails, what it has is not known.
async fn look_again(site: &Site, sides: &mut [(SideName, Result<Marker, String>)], trust: &Trust) {
    let Some(((active, of_active), others)) = sides.split_first_mut() else {
        return;
    };
    let Ok(marker) = of_active else { return };
    let is_newer = |(_, read): &(SideName, Result<Marker, String>)| {
        read.as_ref().is_ok_and(|other| marker.is_older_than(other))
    };
    if let Some(freshness) = &site.freshness
        && others.iter().any(is_newer)
    {
        match read::side(site, freshness, active, Counts::Newest, trust).await {
            Ok(again) if marker.is_older_than(&again) => *marker = again,
            Ok(_) => {}
            Err(why) => *of_active = Err(why),
        }
    }
}

fn every(site: &Site) -> Duration {
    let freshness = site.freshness.as_ref();
    freshness.map_or(Duration::ZERO, |freshness| freshness.every)
}

/// The sites that have a marker.
#[derive(Default)]
struct Watched {
    /// What was taken up last.
    table: Option<Arc<Table>>,
    sites: BTreeMap<SiteName, WatchedSite>,
    /// Sites that have left, and of which nothing is to be raised any more.
    gone: Vec<SiteName>,
    /// When each that is not being read is next.
    queue: BTreeSet<(Instant, SiteName)>,
}

struct WatchedSite {
    site: Arc<Site>,
    /// `None` while it is being read.
    due: Option<Instant>,
    history: Option<History>,
    standbys: Standbys,
}

/// What an active side had in its epoch.
struct History {
    active: (SideName, Epoch),
    newest: Marker,
    last: Marker,
}

impl Watched {
    /// Takes up what a table changed; without a change it costs one comparison.
    fn follow(&mut self, table: &Arc<Table>, readings: &Readings) {
        if self
            .table
            .as_ref()
            .is_some_and(|old| Arc::ptr_eq(old, table))
        {
            return;
        }
        self.table = Some(Arc::clone(table));
        let mut old = std::mem::take(&mut self.sites);
        let marked = table.sites.iter().filter(|site| site.freshness.is_some());
        let (kept, changed): (Vec<_>, Vec<_>) = marked.partition(|site| {
            let known = old.get(&site.name);
            known.is_some_and(|known| Arc::ptr_eq(&known.site, site))
        });
        for site in kept {
            self.sites.extend(old.remove_entry(&site.name));
        }
        let (now, count) = (
            Instant::now(),
            u32::try_from(changed.len()).unwrap_or(u32::MAX),
        );
        for (site, place) in changed.into_iter().zip(0..) {
            let before = old.remove(&site.name);
            let due = before.as_ref().and_then(|before| before.due);
            due.map(|due| self.queue.remove(&(due, site.name.clone())));
            self.begin(site, before, readings);
            // Very many are not read all at once.
            self.enqueue(&site.name, now + every(site) / count * place);
        }
        for (name, gone) in old {
            gone.due.map(|due| self.queue.remove(&(due, name.clone())));
            readings.forget(&name);
            self.gone.push(name);
        }
    }

    /// Begins to watch a site; one whose marker is the same keeps what is known of it.
    fn begin(&mut self, site: &Arc<Site>, before: Option<WatchedSite>, readings: &Readings) {
        let before = before.filter(|before| before.site.freshness == site.freshness);
        let known = before.as_ref().map(|_| readings.of(&site.name));
        let known = known.unwrap_or_default();
        let sides = site.sides.iter().map(|side| {
            let found = known.iter().find(|known| known.side == side.name);
            found
                .cloned()
                .unwrap_or_else(|| SideFreshness::unknown(side.name.clone()))
        });
        readings.put(site.name.clone(), sides.collect());
        let known = before.map(|before| (before.history, before.standbys));
        let (history, standbys) = known.unwrap_or_default();
        let watched = WatchedSite {
            site: Arc::clone(site),
            due: None,
            history,
            standbys,
        };
        self.sites.insert(site.name.clone(), watched);
    }

    fn enqueue(&mut self, name: &SiteName, due: Instant) {
        if let Some(watched) = self.sites.get_mut(name) {
            watched.due = Some(due);
            self.queue.insert((due, name.clone()));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    fn take_due(&mut self, now: Instant) -> Option<Arc<Site>> {
        self.next_due().filter(|due| *due <= now)?;
        let (_, name) = self.queue.pop_first()?;
        let watched = self.sites.get_mut(&name)?;
        watched.due = None;
        Some(Arc::clone(&watched.site))
    }

    /// Shows what a round read, unless its site is another by now.
    async fn note(
        &mut self,
        round: &Round,
        readings: &Readings,
        moves: bool,
        standbys: &mut StandbyWatch,
    ) {
        let watched = self.sites.get_mut(&round.site.name);
        let Some(watched) = watched.filter(|known| Arc::ptr_eq(&known.site, &round.site)) else {
            return;
        };
        let mut shown = readings.of(&round.site.name);
        let name = round.site.name.clone();
        show(&mut shown, round);
        watched.look_back(round, &mut shown);
        standbys.look(&mut watched.standbys, round, moves).await;
        readings.put(name.clone(), shown);
        let due = round.began + every(&round.site);
        self.enqueue(&name, due.max(Instant::now()));
    }
}

/// What the standbys are held against, and where it is said.
struct StandbyWatch {
    copies: Arc<copies::Shown>,
    teller: Teller,
}

impl StandbyWatch {
    /// Looks whether a side that does not serve was written to by somebody else.
    async fn look(&mut self, standbys: &mut Standbys, round: &Round, moves: bool) {
        let Some(active) = &round.active else {
            return;
        };
        let site = &round.site.name;
        let (of_active, others): (Vec<_>, Vec<_>) =
            round.sides.iter().partition(|(side, _)| *side == active.0);
        let of_active = of_active.first().and_then(|(_, read)| read.as_ref().ok());
        let standbys = standbys.of(active);
        if !moves {
            // One that cannot be read is neither written to nor put right.
            let others: Vec<_> = others.iter().map(|(side, _)| side.clone()).collect();
            self.teller.keep(site, &others).await;
        }
        for (side, read) in others {
            let Ok(marker) = read else { continue };
            let seen = Seen {
                side,
                marker,
                at: round.at,
                copies: self.copies.onto(site, side),
                has_more: self.copies.has_more(site, side, &active.0),
            };
            match of_active {
                Some(active) if !moves => {
                    let why = standbys.judge(seen, active);
                    let why = why.map(|why| {
                        format!(
                            "{side} of {site} does not serve, and was written to by somebody else \
                             than Pointsman: {why}; see who writes there, and bring it over before \
                             the next copy overwrites it"
                        )
                    });
                    self.teller.say(site, side, why).await;
                }
                Some(_) => standbys.pass_over(seen),
                None if moves => standbys.pass_over(seen),
                // The next round holds it against what was read before.
                None => {}
            }
        }
    }
}

/// Shows what was read of each side, and by how much it lags.
fn show(shown: &mut [SideFreshness], round: &Round) {
    let is_active = |side| {
        round
            .active
            .as_ref()
            .is_some_and(|(active, _)| active == side)
    };
    let of_active = round.sides.iter().find(|(side, _)| is_active(side));
    let of_active = of_active.and_then(|(_, read)| read.as_ref().ok());
    for row in shown {
        let Some((_, read)) = round.sides.iter().find(|(side, _)| *side == row.side) else {
            continue;
        };
        row.lag = None;
        row.problem = read.as_ref().err().cloned();
        if let Ok(marker) = read {
            row.marker = Some(marker.to_string());
            row.read = Some(Timestamp::now());
            if marker.has_order() {
                row.went_backwards = row.went_backwards.or(Some(0));
            }
            let others = of_active.filter(|_| !is_active(&row.side));
            row.lag = others.and_then(|active| marker::lag(marker, active));
        }
    }
}

impl WatchedSite {
    /// Holds what the active side has against what it had in the same epoch.
    fn look_back(&mut self, round: &Round, shown: &mut [SideFreshness]) {
        let Some(active) = &round.active else { return };
        for row in shown.iter_mut().filter(|row| row.side != active.0) {
            row.backwards = None;
        }
        let Some(row) = shown.iter_mut().find(|row| row.side == active.0) else {
            return;
        };
        let read = round.sides.iter().find(|(side, _)| *side == active.0);
        let Some((_, Ok(marker))) = read else { return };
        let known = self
            .history
            .as_mut()
            .filter(|known| known.active == *active);
        let Some(history) = known else {
            row.backwards = None;
            self.history = Some(History {
                active: active.clone(),
                newest: marker.clone(),
                last: marker.clone(),
            });
            return;
        };
        let (site, side) = (&round.site.name, &active.0);
        if marker.is_older_than(&history.last) {
            tracing::error!(
                %site, %side, had = %history.newest, has = %marker,
                "the data of the active side went backwards: see whether something was lost or \
                 restored there"
            );
            row.went_backwards = row.went_backwards.map(|count| count.saturating_add(1));
            row.backwards.get_or_insert_with(|| Backwards {
                had: history.newest.to_string(),
                since: Timestamp::now(),
            });
        } else if !marker.is_older_than(&history.newest) {
            history.newest = marker.clone();
            if row.backwards.take().is_some() {
                tracing::info!(%site, %side, has = %marker, "the data are as new again as they were");
            }
        }
        history.last = marker.clone();
    }
}
