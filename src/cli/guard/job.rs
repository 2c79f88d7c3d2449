//! The job: a process group of its own, watched until nothing of it is left.

use std::ffi::OsString;
use std::io::{
    self, IsTerminal as _, PipeReader, PipeWriter, Read as _, Write as _, stdin, stdout,
};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::control::{Ended, Granted};
use crate::processes::{self, Family, await_exit};
use crate::site::GUARD_MARK;

use super::super::client::Client;
use super::super::exit::Exit;
use super::super::out;
use super::signals::Signals;
use super::{lease, refused};

/// The signals by which a job is asked to end.
const ENDING: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// What tells a stand-in to become the job.
pub(super) const GO: &[u8] = b"go";

/// How often it is looked whether something is left of a group whose first process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A job that stands by, or runs.
#[derive(Debug)]
pub(super) struct Job {
    child: Child,
    family: Family,
    exited: oneshot::Receiver<()>,
    go: PipeWriter,
    failed: PipeReader,
}

impl Job {
    /// Starts what is to become the job.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn stand_by(command: &[OsString], granted: &Granted) -> anyhow::Result<Self> {
        let (word, go) = io::pipe()?;
        let (failed, say_failed) = io::pipe()?;
        fcntl(&word, FcntlArg::F_SETFD(FdFlag::empty()))?;
        fcntl(&say_failed, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let mut start = Command::new("/proc/self/exe");
        start
            .arg0("pointsman")
            .arg("guard-stand-in")
            .arg(word.as_raw_fd().to_string())
            .arg(say_failed.as_raw_fd().to_string())
            .arg("--")
            .args(command)
            .envs(environment(granted))
            .process_group(0);
        let child = start.spawn().context("the job cannot be started")?;
        let is_copy = granted.sites.iter().any(|bound| bound.to.is_some());
        Ok(Self {
            family: Family {
                mark: (GUARD_MARK, granted.key.clone()),
                group: i32::try_from(child.id()).ok(),
                with_strays: is_copy,
            },
            exited: await_exit(child.id()),
            child,
            go,
            failed,
        })
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.family.group.unwrap_or(0))
    }

    /// Lets it become the job, when the daemon knows of it, and sees it to its end.
    ///
    /// # Errors
    /// The system's.
    pub(super) async fn run(mut self, client: &Client, granted: &Granted) -> anyhow::Result<Exit> {
        let begun = self.begin(client, granted).await;
        let (mut signals, go) = match begun {
            Ok(may_go) => may_go,
            Err(exit) => {
                // Nothing was done: a stand-in that hears nothing is none any more.
                drop(self.go);
                self.child.wait()?;
                let not_run = (Ended::NotRun, "it was not started".into());
                lease::end(client, granted, not_run, true).await;
                return exit;
            }
        };
        let terminal = Terminal::give_to(self.group());
        let (tell, mut told) = watch::channel(None);
        let renewing = tokio::spawn(lease::renew(client.clone(), granted.clone(), tell));
        // One that was killed meanwhile does not hear it, and has ended.
        let _ = self.go.write_all(go);
        // Its end is what it waits for.
        drop(self.go);
        let run = Run {
            family: self.family,
            exited: self.exited,
        };
        let interrupted = run.until_gone(&mut signals, &mut told).await;
        let status = self.child.wait()?;
        drop(terminal);
        let mut cannot = String::new();
        self.failed.read_to_string(&mut cannot)?;
        let was_told = told.borrow().is_some();
        drop(told);
        if !cannot.is_empty() {
            out::complain(&format!("pointsman: the job cannot be started: {cannot}"));
        }
        let ended = judge(status, was_told, interrupted, &cannot);
        lease::end(client, granted, ended, was_told).await;
        renewing.abort();
        Ok(Exit::Job(exit_code(status)))
    }

    /// Has the daemon note what is about to run; the signals that come from now on, and the word.
    ///
    /// # Errors
    /// It must not run: how the guard exits.
    async fn begin(
        &self,
        client: &Client,
        granted: &Granted,
    ) -> Result<(Signals, &'static [u8]), anyhow::Result<Exit>> {
        let mut signals = Signals::take().map_err(|error| Err(error.into()))?;
        let child = processes::leader(self.group().as_raw()).ok_or_else(|| {
            let why = "/proc does not show the job, so that it cannot be guarded";
            Err(anyhow::anyhow!(why))
        })?;
        // Either only waits.
        tokio::select! {
            begun = lease::begin(client, granted, child) => match begun {
                Ok(()) => Ok((signals, GO)),
                Err(error) => Err(Ok(refused(&error))),
            },
            signal = ending(&mut signals) => Err(Ok(Exit::Job(128 + signal as u8))),
        }
    }
}

/// A job while it runs.
#[derive(Debug)]
struct Run {
    family: Family,
    exited: oneshot::Receiver<()>,
}

impl Run {
    /// Waits until nothing of the job is left; passes signals on meanwhile, and ends it when it is
    /// told to. Tells which signal was to end it.
    async fn until_gone(
        self,
        signals: &mut Signals,
        told: &mut watch::Receiver<Option<Duration>>,
    ) -> Option<Signal> {
        let Self { family, exited } = self;
        let group = Pid::from_raw(family.group.unwrap_or(0));
        let gone = async {
            // Who would tell is a thread that ends with the process.
            let _ = exited.await;
            while !family.is_gone() {
                sleep(LOOK_EVERY).await;
            }
        };
        tokio::pin!(gone);
        let mut ending: Option<tokio::task::JoinHandle<()>> = None;
        let mut interrupted = None;
        loop {
            // Each arm only waits, or looks at what stays until it is looked at.
            tokio::select! {
                () = &mut gone => return interrupted,
                signal = signals.next() => {
                    // One that is gone meanwhile does not need it.
                    let _ = killpg(group, signal);
                    if ENDING.contains(&signal) {
                        interrupted = Some(signal);
                    }
                }
                Ok(()) = told.changed() => {
                    let Some(grace) = *told.borrow_and_update() else {
                        continue;
                    };
                    if let Some(before) = ending.take() {
                        before.abort();
                    }
                    let family = family.clone();
                    ending = Some(tokio::spawn(async move {
                        processes::end(&family, grace, async |_| {}).await;
                    }));
                }
            }
        }
    }
}

/// Waits for a signal that is to end the job; others mean nothing to one that does not run yet.
async fn ending(signals: &mut Signals) -> Signal {
    loop {
        let signal = signals.next().await;
        if ENDING.contains(&signal) {
            return signal;
        }
    }
}

/// Says how a job ended; one that was to end may have caught that, and left its work half done.
fn judge(
    status: ExitStatus,
    was_told: bool,
    interrupted: Option<Signal>,
    cannot: &str,
) -> (Ended, String) {
    if !cannot.is_empty() {
        return (Ended::NotRun, cannot.to_owned());
    }
    if let Some(signal) = interrupted {
        let how = processes::in_words(&status);
        return (Ended::Failed, format!("interrupted by {signal}: {how}"));
    }
    let ended = if status.success() && !was_told {
        Ended::Succeeded
    } else {
        Ended::Failed
    };
    (ended, processes::in_words(&status))
}

/// As a shell has it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// What a job is told of where it stands.
fn environment(granted: &Granted) -> [(&'static str, String); 5] {
    let each = |of: &dyn Fn(usize) -> Option<String>| {
        let all = (0..granted.sites.len()).filter_map(of);
        all.collect::<Vec<_>>()
    };
    let sites = &granted.sites;
    let one = |mut all: Vec<String>| {
        all.dedup();
        all.join(" ")
    };
    [
        (GUARD_MARK, granted.key.clone()),
        (
            "POINTSMAN_SITE",
            each(&|at| Some(sites[at].site.to_string())).join(" "),
        ),
        (
            "POINTSMAN_FROM",
            one(each(&|at| Some(sites[at].from.to_string()))),
        ),
        (
            "POINTSMAN_TO",
            one(each(&|at| Some(sites[at].to.as_ref()?.to_string()))),
        ),
        (
            "POINTSMAN_EPOCH",
            each(&|at| Some(sites[at].epoch.to_string())).join(" "),
        ),
    ]
}

/// A terminal that is the job's while it runs: what is typed goes to it, Ctrl-C included.
#[derive(Debug)]
struct Terminal;

impl Terminal {
    /// Gives the terminal to a group, if it is ours to give.
    fn give_to(group: Pid) -> Option<Self> {
        // With a pager behind it the terminal is of them both.
        let is_alone = stdout().is_terminal();
        let is_ours = is_alone && tcgetpgrp(stdin()) == Ok(getpgrp());
        (is_ours && tcsetpgrp(stdin(), group).is_ok()).then_some(Self)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Who takes it back from the background would be stopped for it.
        let mut stops = SigSet::empty();
        stops.add(Signal::SIGTTOU);
        if stops.thread_block().is_ok() {
            let _ = tcsetpgrp(stdin(), getpgrp());
            let _ = stops.thread_unblock();
        }
    }
}
