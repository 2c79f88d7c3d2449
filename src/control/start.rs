//! Starting: from the state directory to a first snapshot, through whatever a crash left behind.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::certs::Store;
use crate::journal::{FlipEnd, FlipRecord, Journal, OpenError, StateLock};
use crate::site::{FlipId, Generation, Outcome, SiteName};
use crate::switchboard::{Snapshot, Switchboard};
use crate::table::Table;
use crate::telemetry::ControlMetrics;

use super::actor::{Actor, Inbox};
use super::certs::{self as cert_files, CertWatch};
use super::handle::Handle;
use super::ledger::{Ledger, ZonesError};
use super::reload::sides_are_there;
use super::status::{FlipStatus, Status};
use super::watch::{Watch, watch};

/// Commands that may wait for the actor; who comes when it is full waits to send.
const COMMANDS: usize = 64;
/// Events of its own tasks that may wait.
const EVENTS: usize = 1024;
/// Flips of the journal that the status shows after a start.
const RECENT: u32 = 32;

/// Why the control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used; the operator or the disk is at fault.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The journal was opened, and then could not be read or written.
    #[error("the journal: {0}")]
    Journal(#[from] rusqlite::Error),
    /// The table does not fit what the journal says; the operator is at fault.
    #[error("{}: {why}", file.display())]
    Table {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The file cannot be watched.
    #[error("{}: cannot be watched for edits: {source}", file.display())]
    Watch {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("a thread of the control plane: {0}")]
    Thread(std::io::Error),
}

/// The control plane, ready to run.
pub struct Control {
    actor: Actor,
    inbox: Inbox,
    handle: Handle,
    watch: (Watch, CertWatch),
    /// Held as long as the actor runs: one daemon per state.
    lock: StateLock,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

impl Control {
    /// Reads the journal, repairs what a crash left, and publishes a first snapshot.
    ///
    /// # Errors
    /// See [`StartError`]. A journal that is missing or unreadable is no error but doubt: the sites
    /// get the page, and the status says why.
    pub fn open(
        file: &Path,
        table: Table,
        lock: StateLock,
        metrics: Arc<ControlMetrics>,
        certs: Arc<Store>,
    ) -> Result<(Self, Arc<Switchboard>), StartError> {
        let mut ledger = open_ledger(&lock, &table)?;
        let wrong = |why| StartError::Table {
            file: file.into(),
            why,
        };
        if ledger.journal.is_ok() {
            sides_are_there(&table, &ledger.sites).map_err(wrong)?;
        }
        let past = recover(&mut ledger)?;
        ledger.adopt(&table)?;

        let table = Arc::new(table);
        let positions = ledger.positions(&table);
        let ready = ledger
            .ready_zones(&table, &positions)
            .map_err(|error| match error {
                ZonesError::Journal(error) => StartError::Journal(error),
                mistakes @ ZonesError::Mistakes(_) => wrong(mistakes.to_string()),
            })?;
        ledger.journal_zones(ready.changed)?;
        let generation = Generation(1);
        let zones = Arc::new(ready.zones);
        let first = Snapshot::follow(None, generation, Arc::clone(&table), &positions, zones);
        let board = Switchboard::new(first);

        let (commands, obeyed) = mpsc::channel(COMMANDS);
        let (events, taken) = mpsc::channel(EVENTS);
        let (edits, edited) = mpsc::channel(1);
        let (renewals, renewed) = mpsc::channel(1);
        let (status, shown) = watch::channel(Arc::new(Status::empty()));
        let watching = watch(file.into(), edits).map_err(|source| StartError::Watch {
            file: file.into(),
            source,
        })?;
        let certs_watch =
            cert_files::watch(Arc::clone(&certs), renewals).map_err(StartError::Thread)?;
        let actor = Actor {
            file: file.into(),
            table,
            generation,
            ledger,
            board: Arc::clone(&board),
            certs,
            metrics,
            flips: BTreeMap::new(),
            next_flip: past.next_flip,
            is_stopping: false,
            file_problem: None,
            problems: past.problems,
            recent: past.recent,
            status,
            events,
            started: Instant::now(),
        };
        actor.show();
        let inbox = Inbox {
            commands: obeyed,
            events: taken,
            edits: edited,
            certs: renewed,
        };
        let handle = Handle {
            commands,
            status: shown,
        };
        Ok((
            Self {
                actor,
                inbox,
                handle,
                watch: (watching, certs_watch),
                lock,
            },
            board,
        ))
    }

    /// Runs the actor on a thread of its own, until [`Handle::stop`].
    ///
    /// # Errors
    /// [`StartError::Thread`]; the machine's limits are at fault.
    pub fn spawn(self) -> Result<(Handle, JoinHandle<()>), StartError> {
        let Self {
            actor,
            inbox,
            handle,
            watch,
            lock,
        } = self;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                runtime.block_on(actor.run(inbox));
                drop(watch);
                drop(lock);
            })
            .map_err(StartError::Thread)?;
        Ok((handle, thread))
    }
}

fn open_ledger(lock: &StateLock, table: &Table) -> Result<Ledger, StartError> {
    let journal = match Journal::open(lock) {
        Ok(opened) => {
            if opened.is_first {
                for (site, words) in &table.words {
                    let active = words.active.as_ref().map_or("?", |side| side.as_str());
                    tracing::warn!(
                        %site, active,
                        "first start: the word of the file is adopted as the active side"
                    );
                }
            }
            Ok(opened.journal)
        }
        Err(error @ OpenError::Directory { .. }) => return Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "the active sides are in doubt: users get the page");
            Err(error.to_string())
        }
    };
    Ok(Ledger::new(journal)?)
}

/// Ends the flips that a crash cut short, as the journal says they ended.
///
/// Returns what the status shows of the time before: recent flips, problems, the next number.
fn recover(ledger: &mut Ledger) -> rusqlite::Result<Past> {
    let mut problems = BTreeMap::new();
    let Ok(journal) = &mut ledger.journal else {
        return Ok(Past {
            recent: VecDeque::new(),
            problems,
            next_flip: FlipId(1),
        });
    };
    for cut_short in journal.unfinished()? {
        let (outcome, message) = if cut_short.is_committed {
            (
                Outcome::Settled,
                "completed at start: the daemon had died after its commit",
            )
        } else {
            (
                Outcome::Restored,
                "the daemon died before its commit: the site is where it was",
            )
        };
        tracing::warn!(flip = %cut_short.id, "{message}");
        let end = FlipEnd {
            outcome,
            message: message.into(),
            ended: Timestamp::now(),
            timeline: "[]".into(),
            lanes: Vec::new(),
        };
        journal.end(cut_short.id, &end)?;
        if !cut_short.is_committed {
            for planned in cut_short.moves {
                problems.insert(planned.site, format!("flip {}: {message}", cut_short.id));
            }
        }
    }
    let recent = journal
        .recent(RECENT)?
        .into_iter()
        .map(|flip| Arc::new(shown(flip)))
        .collect();
    let next_flip = journal.next_flip()?;
    ledger.read_again()?;
    Ok(Past {
        recent,
        problems,
        next_flip,
    })
}

/// What the status shows of the time before the start.
struct Past {
    recent: VecDeque<Arc<FlipStatus>>,
    problems: BTreeMap<SiteName, String>,
    next_flip: FlipId,
}

fn shown(flip: FlipRecord) -> FlipStatus {
    let epochs = flip.moves.iter().filter_map(|(_, epoch)| *epoch).collect();
    let timeline = flip
        .timeline
        .and_then(|json| serde_json::from_str(&json).ok());
    FlipStatus {
        id: flip.id,
        moves: flip.moves.into_iter().map(|(planned, _)| planned).collect(),
        epochs,
        during: flip.during,
        who: flip.who,
        reason: flip.reason,
        began: flip.began,
        outcome: flip.state.parse().ok(),
        phase: flip.state,
        message: flip.message.filter(|text| !text.is_empty()),
        timeline: timeline.unwrap_or_default(),
    }
}
