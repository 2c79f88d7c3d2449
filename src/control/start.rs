//! Starting: from the state directory to a first snapshot, through whatever a crash left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::certs::Store;
use crate::journal::{Journal, OpenError, StateLock};
use crate::site::Generation;
use crate::switchboard::{Snapshot, Switchboard};
use crate::table::{self, Diagnostic, Loader, ReadFile, Table};
use crate::telemetry::ControlMetrics;

use super::actor::{Actor, Event, Inbox};
use super::answers::Standing;
use super::background;
use super::certs::{self as cert_files, CertWatch};
use super::checks::{Findings, Rounds};
use super::copies::{self, Copies};
use super::evidence::ClosedLanes;
use super::guards::Guards;
use super::handle::{Command, Handle};
use super::hooks;
use super::ledger::{Ground, Ledger};
use super::read::Disk;
use super::repeats::Repeats;
use super::status::Status;
use super::version::Versions;
use super::watch::{Watch, watch};
use super::{freshness, invite_key, misfit, recover, standby};

/// Commands that may wait for the actor; who comes when it is full waits to send.
const COMMANDS: usize = 64;
/// Events of its own tasks that may wait.
const EVENTS: usize = 1024;
/// Sites of a first start that are logged one by one, of however many.
const FIRST_SHOWN: usize = 20;

/// Why the control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used; the operator or the disk is at fault.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The table does not fit what the journal says; the operator is at fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Misfits(Vec<Diagnostic>),
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
        (loader, table): (Loader, Arc<Table>),
        lock: StateLock,
        metrics: Arc<ControlMetrics>,
        certs: Arc<Store>,
    ) -> Result<(Self, Arc<Switchboard>), StartError> {
        let mut ledger = open_ledger(&lock, &table)?;
        if ledger.journal.is_ok() {
            fits(file, &table, &ledger)?;
        }
        // Before all else: what a killed daemon left running may be writing still.
        let survivors = hooks::end_survivors(&mut ledger);
        let past = recover::past(&mut ledger);
        let first = first_snapshot(&mut ledger, &table)?;
        let (guards, copies) = read_data(&mut ledger, &table);
        // After the journal: a key in an otherwise empty directory is no sign of a first start.
        let board = Switchboard::inviting(first, invite_key::open(lock.directory()));
        recover::mark_running(&lock, &board, &mut ledger);

        let (outbox, inbox) = boxes();
        let (status, shown) = watch::channel(Arc::new(Status::empty()));
        let watch = watch_files(file, outbox.edits, &certs, outbox.certs)?;
        let findings = Arc::new(Findings::default());
        let looking = (&shown, &copies.shown(), &outbox.events);
        let (rounds, freshness) = begin_rounds(&table, &findings, &board, looking)?;
        let handle = Handle {
            commands: outbox.commands,
            status: shown,
            findings,
            copies: copies.shown(),
            freshness,
            guards: guards.shown(),
        };
        let mut actor = Actor {
            file: file.into(),
            loader,
            table,
            generation: board.current().generation,
            ledger,
            board: Arc::clone(&board),
            certs,
            metrics,
            rounds,
            flips: BTreeMap::new(),
            next_flip: past.next_flip,
            hook_runs: BTreeMap::new(),
            survivors,
            is_stopping: false,
            file_problem: None,
            problems: past.problems,
            emergencies: past.emergencies,
            unwritten: BTreeMap::new(),
            rewritten: BTreeMap::new(),
            leaving: BTreeMap::new(),
            clearing: BTreeMap::new(),
            retired: Vec::new(),
            asked: None,
            shown: None,
            look_again: false,
            recent: past.recent,
            closed: ClosedLanes::default(),
            repeats: Repeats::default(),
            copies,
            guards,
            contradictions: BTreeMap::new(),
            versions: Versions::new(),
            status,
            events: outbox.events,
            started: Instant::now(),
        };
        actor.take_up();
        let control = Self {
            actor,
            inbox,
            handle,
            watch,
            lock,
        };
        Ok((control, board))
    }

    /// Runs the actor on a thread of its own, until [`Handle::stop`]; what it leaves is to be ended
    /// when the last request has.
    ///
    /// # Errors
    /// [`StartError::Thread`]; the machine's limits are at fault.
    pub fn spawn(self) -> Result<(Handle, JoinHandle<Stopped>), StartError> {
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
                // With very many sites a publication takes a core for milliseconds; requests and
                // queries that wake up there must not wait for that.
                background::give_way(0);
                let board = Arc::clone(&actor.board);
                let (ledger, copies) = runtime.block_on(actor.run(inbox));
                drop(watch);
                // A disk or a name that does not answer is not waited for.
                runtime.shutdown_background();
                Stopped {
                    lock,
                    board,
                    ledger,
                    copies,
                }
            })
            .map_err(StartError::Thread)?;
        Ok((handle, thread))
    }
}

/// What the control plane leaves when it has stopped, while requests may still end.
#[derive(Debug)]
#[must_use]
pub struct Stopped {
    lock: StateLock,
    board: Arc<Switchboard>,
    ledger: Ledger,
    copies: Copies,
}

impl Stopped {
    /// Notes how the daemon has stopped, and lets another one have the state.
    pub fn end(mut self) {
        if let Ok(journal) = &mut self.ledger.journal
            && let Err(error) = self.copies.end(journal)
        {
            tracing::error!(%error, "the counts of writes could not be journalled: the next start \
                takes them as the least there were");
        }
        recover::mark_stopped(&self.lock, &self.board);
    }
}

/// Where what the actor deals with is sent.
struct Outbox {
    commands: mpsc::Sender<Command>,
    events: mpsc::Sender<Event>,
    edits: mpsc::Sender<()>,
    certs: mpsc::Sender<()>,
}

fn boxes() -> (Outbox, Inbox) {
    let (commands, obeyed) = mpsc::channel(COMMANDS);
    let (events, taken) = mpsc::channel(EVENTS);
    // One is enough: who is told looks at all there is.
    let (edits, edited) = mpsc::channel(1);
    let (certs, renewed) = mpsc::channel(1);
    let outbox = Outbox {
        commands,
        events,
        edits,
        certs,
    };
    let inbox = Inbox {
        commands: obeyed,
        events: taken,
        edits: edited,
        certs: renewed,
    };
    (outbox, inbox)
}

/// Begins to watch the file and those of the certificates.
fn watch_files(
    file: &Path,
    edits: mpsc::Sender<()>,
    certs: &Arc<Store>,
    renewals: mpsc::Sender<()>,
) -> Result<(Watch, CertWatch), StartError> {
    let watching = watch(file.into(), edits).map_err(|source| StartError::Watch {
        file: file.into(),
        source,
    })?;
    let of_certs = cert_files::watch(Arc::clone(certs), renewals);
    Ok((watching, of_certs.map_err(StartError::Thread)?))
}

/// Begins what is asked of the sides all the time.
fn begin_rounds(
    table: &Arc<Table>,
    findings: &Arc<Findings>,
    board: &Arc<Switchboard>,
    (status, copies, events): (
        &watch::Receiver<Arc<Status>>,
        &Arc<copies::Shown>,
        &mpsc::Sender<Event>,
    ),
) -> Result<(Rounds, Arc<freshness::Readings>), StartError> {
    let rounds = Rounds::begin(table, findings).map_err(StartError::Thread)?;
    standby::begin_rounds(board, status.clone(), events.clone()).map_err(StartError::Thread)?;
    let freshness =
        freshness::begin_rounds(board, status.clone(), Arc::clone(copies), events.clone());
    Ok((rounds, freshness.map_err(StartError::Thread)?))
}

/// Builds what is served first: every site where the journal says it is.
fn first_snapshot(ledger: &mut Ledger, table: &Arc<Table>) -> Result<Snapshot, StartError> {
    let sites = || table.words.keys();
    let positions = ledger.positions(table, sites());
    let ready = ledger.ready_zones(&Ground {
        table,
        before: None,
        standing: &Standing::at(positions.clone()),
        zones: None,
    });
    let ready = ready.map_err(StartError::Misfits)?;
    let adopted = note("the sites that are new", &ledger.adopt(table, sites()));
    let zones = note("the zones' serials", &ledger.journal_zones(ready.changed));
    let access = ledger.read_access(table, table, sites());
    let access = note("the access of sites", &access);
    ledger.is_behind = !(adopted && zones && access);
    Ok(Snapshot::follow(
        None,
        Generation(1),
        Arc::clone(table),
        &positions,
        ready.zones,
    ))
}

/// Reads the leases of guarded jobs, and what each side has taken; a journal in which that cannot be
/// read is doubt.
fn read_data(ledger: &mut Ledger, table: &Table) -> (Guards, Copies) {
    let read = |journal: &Journal| {
        let guards = Guards::read(journal)?;
        let held = guards.ids().collect();
        rusqlite::Result::Ok((guards, Copies::read(journal, table, &held)?))
    };
    let nothing = || (Guards::empty(), Copies::empty());
    match ledger.journal.as_ref().map(read) {
        Ok(Ok(data)) => data,
        Ok(Err(error)) => {
            ledger.give_up(&error);
            nothing()
        }
        Err(_) => nothing(),
    }
}

/// Holds the table against the journal.
fn fits(file: &Path, table: &Table, ledger: &Ledger) -> Result<(), StartError> {
    let misfits = misfit::with_the_journal(table, table.words.keys(), &ledger.sites);
    if misfits.is_empty() {
        return Ok(());
    }
    // A file that vanished in this instant leaves the key paths without their lines.
    let text = Disk.read(file).unwrap_or_default();
    Err(StartError::Misfits(table::place(file, &text, misfits)))
}

fn open_ledger(lock: &StateLock, table: &Table) -> Result<Ledger, StartError> {
    let journal = match Journal::open(lock) {
        Ok(opened) => {
            if opened.is_first {
                for (site, words) in table.words.iter().take(FIRST_SHOWN) {
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
    Ok(Ledger::new(journal))
}

/// Says what could not be journalled at start, and whether it could; the sites are served by what
/// is on disk all the same.
fn note(what: &str, written: &rusqlite::Result<()>) -> bool {
    if let Err(error) = written {
        tracing::error!(%error, "{what} could not be journalled: make room on the disk, reload");
    }
    written.is_ok()
}
