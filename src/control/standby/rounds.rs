//! The rounds: every side that does not serve is asked all the time, on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::certs::Trust;
use crate::site::{Contradicts, Epoch, SideName, SiteName};
use crate::switchboard::Switchboard;
use crate::table::{Site, Table};

use super::super::actor::Event;
use super::super::background;
use super::super::checks;
use super::super::status::Status;
use super::is_moving;
use super::judge::{Found, Judge};
use super::teller::Teller;

/// How many sites are asked at once: each has one socket at a time.
const AT_ONCE: usize = 64;

/// Begins the rounds; they end when nothing publishes the status any more.
///
/// # Errors
/// No thread can be had; the machine's limits are at fault.
pub(in crate::control) fn begin(
    board: &Arc<Switchboard>,
    status: watch::Receiver<Arc<Status>>,
    events: mpsc::Sender<Event>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let board = Arc::clone(board);
    let thread = std::thread::Builder::new().name("standby".into());
    thread.spawn(move || {
        background::give_way(background::NICENESS / 3);
        let teller = Teller::new(Contradicts::StandbyOnline, events);
        runtime.block_on(run(&board, status, teller));
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
    })?;
    Ok(())
}

async fn run(
    board: &Arc<Switchboard>,
    mut status: watch::Receiver<Arc<Status>>,
    mut teller: Teller,
) {
    let trust = Arc::new(Trust::default());
    let mut watched = Watched::default();
    let mut rounds: JoinSet<Round> = JoinSet::new();
    watched.follow(&board.current().table, &mut teller).await;
    loop {
        let due = watched.queue.first().map(|(due, _)| *due);
        let due = due.filter(|_| rounds.len() < AT_ONCE);
        // Every arm is cancel safe: a change is kept, as is a round that is over.
        tokio::select! {
            changed = status.changed() => match changed {
                // Whatever changes the table publishes the status after it.
                Ok(()) => watched.follow(&board.current().table, &mut teller).await,
                Err(_) => return,
            },
            Some(done) = rounds.join_next(), if !rounds.is_empty() => {
                // One that panicked has a bug, which was printed.
                if let Ok(round) = done {
                    let moves = is_moving(&status.borrow(), &round.site.name);
                    watched.note(round, moves, &mut teller).await;
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(site) = watched.take_due() {
                    rounds.spawn(one(site, Arc::clone(board), Arc::clone(&trust)));
                }
            }
        }
    }
}

/// What was found of the sides of a site, with that which was active all the while, if one was.
struct Round {
    site: Arc<Site>,
    active: Option<(SideName, Epoch)>,
    sides: Vec<(SideName, Found)>,
}

async fn one(site: Arc<Site>, board: Arc<Switchboard>, trust: Arc<Trust>) -> Round {
    let before = board.active(&site.name);
    let mut sides = Vec::new();
    if let (Some((active, _)), Some(standby)) = (&before, &site.standby) {
        for side in site.sides.iter().filter(|side| side.name != *active) {
            let asked = checks::who_answers_otherwise(&site, side, &standby.expect, &trust);
            let found = asked.await.map_or(Found::Standby, |why| {
                Found::Otherwise(format!(
                    "{} of {} does not serve, and does not say so: {why}; whoever comes there \
                     directly may write there: put it in maintenance, or see who sends users there",
                    side.name, site.name
                ))
            });
            sides.push((side.name.clone(), found));
        }
    }
    // A flip in between leaves nobody to judge.
    let active = before.filter(|before| board.active(&site.name).as_ref() == Some(before));
    Round {
        site,
        active,
        sides,
    }
}

/// The sites of whose standbys something is expected.
#[derive(Default)]
struct Watched {
    /// What was taken up last.
    table: Option<Arc<Table>>,
    sites: BTreeMap<SiteName, WatchedSite>,
    /// When each that is not being asked is next.
    queue: BTreeSet<(Instant, SiteName)>,
}

struct WatchedSite {
    site: Arc<Site>,
    judge: Judge,
    /// When it is asked next; `None` while it is being asked.
    due: Option<Instant>,
}

impl Watched {
    /// Takes up what a table changed; without a change it costs one comparison.
    async fn follow(&mut self, table: &Arc<Table>, teller: &mut Teller) {
        let known = self.table.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, table)) {
            return;
        }
        self.table = Some(Arc::clone(table));
        let mut old = std::mem::take(&mut self.sites);
        self.queue.clear();
        for site in table.sites.iter() {
            let Some(standby) = &site.standby else {
                continue;
            };
            let known = old.remove(&site.name);
            let same = known.filter(|known| Arc::ptr_eq(&known.site, site));
            let watched = same.unwrap_or_else(|| {
                // Very many are not asked all at once.
                let place = u32::try_from(self.queue.len() % 100).unwrap_or(0);
                WatchedSite {
                    site: Arc::clone(site),
                    judge: Judge::default(),
                    due: Some(Instant::now() + standby.every / 100 * place),
                }
            });
            let due = watched.due.map(|due| (due, site.name.clone()));
            self.queue.extend(due);
            self.sites.insert(site.name.clone(), watched);
        }
        for gone in old.keys() {
            teller.keep(gone, &[]).await;
        }
    }

    fn take_due(&mut self) -> Option<Arc<Site>> {
        let (_, name) = self.queue.pop_first()?;
        let watched = self.sites.get_mut(&name)?;
        watched.due = None;
        Some(Arc::clone(&watched.site))
    }

    /// Judges what a round found, unless its site is another by now, or moves.
    async fn note(&mut self, round: Round, moves: bool, teller: &mut Teller) {
        let name = &round.site.name;
        let Some(watched) = self.sites.get_mut(name) else {
            return;
        };
        let same = Arc::ptr_eq(&watched.site, &round.site);
        if let (Some(active), true, false) = (&round.active, same, moves) {
            let asked: Vec<_> = round.sides.iter().map(|(side, _)| side.clone()).collect();
            teller.keep(name, &asked).await;
            for (side, found) in round.sides {
                let why = watched.judge.take(active, &side, found);
                teller.say(name, &side, why).await;
            }
        }
        // A new table may have put it there already.
        if let (Some(standby), None) = (&watched.site.standby, watched.due) {
            let due = Instant::now() + standby.every;
            watched.due = Some(due);
            self.queue.insert((due, name.clone()));
        }
    }
}
