//! One hook: a process group of its own, watched until nothing of it is left.
//!
//! The first process is waited for without being reaped, so that its number, which is that of the
//! group too, belongs to nobody else until the group is empty.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::processes::{Family, Found, await_exit, can_look};

use super::output::Output;
use super::programs;
use super::work::Job;

/// How long what is asked to end may take over it, before it is ended.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long processes may outlive the first one: those of a pipeline end in any order.
const STRAGGLE: Duration = Duration::from_millis(500);

/// How often it is looked whether a group is empty, at first and in the long run.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LATER: Duration = Duration::from_millis(100);

/// How long what a group left in the pipe may take to be read; whoever left the group may hold the
/// pipe open for ever.
const READ_REST: Duration = Duration::from_millis(200);

/// How much is read at a time: as much as a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;

/// A hook that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) family: Family,
    /// Told when the first process has ended.
    pub(super) exited: oneshot::Receiver<()>,
    output: Arc<Mutex<Output>>,
    reading: JoinHandle<()>,
}

impl Process {
    /// Starts a hook.
    ///
    /// # Errors
    /// Why it cannot be started, in words.
    pub(super) fn start(job: &Job, folder: &Path, mut family: Family) -> Result<Self, String> {
        let command = &job.hook.command;
        let program = programs::find(command.program(), folder)?;
        if !can_look() {
            return Err("/proc is not there, so what it leaves behind could not be seen".into());
        }
        let failed = |error: io::Error| format!("{}: {error}", program.display());
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut start = Command::new(&program);
        start
            .arg0(command.program())
            .args(command.arguments())
            .current_dir(folder)
            .env_clear()
            .envs(job.environment.iter().map(|(name, value)| (name, value)))
            .env(family.mark.0, &family.mark.1)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(failed)?)
            .stderr(writer)
            .process_group(0);
        let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
        let child = start.spawn().map_err(failed)?;
        // It holds the pipe open.
        drop(start);
        family.group = i32::try_from(child.id()).ok();
        let output = Arc::new(Mutex::new(Output::default()));
        let reading = tokio::spawn(read(reader, Arc::clone(&output)));
        Ok(Self {
            exited: await_exit(child.id()),
            child,
            family,
            output,
            reading,
        })
    }

    /// The number of the first process.
    pub(super) fn number(&self) -> i32 {
        self.family.group.unwrap_or(0)
    }

    /// Shows the last lines of what it has written.
    pub(super) fn last_lines(&self, most: usize) -> Vec<String> {
        lock(&self.output).last_lines(most)
    }

    /// Waits a little for what has outlived the first process; shows what is left then.
    pub(super) async fn stragglers(&self) -> Vec<Found> {
        let until = Instant::now() + STRAGGLE;
        let mut look = LOOK_FIRST;
        loop {
            let members = self.family.members();
            if members.is_empty() || Instant::now() >= until {
                return members;
            }
            sleep(look).await;
            look = LOOK_LATER.min(look * 2);
        }
    }

    /// Reaps the first process when nothing is left of the group; its status, and all it wrote.
    pub(super) async fn finish(mut self) -> (io::Result<ExitStatus>, Output) {
        // It has ended, so this returns at once.
        let status = self.child.wait();
        let _ = timeout(READ_REST, &mut self.reading).await;
        self.reading.abort();
        let output = std::mem::take(&mut *lock(&self.output));
        (status, output)
    }
}

async fn read(mut pipe: pipe::Receiver, output: Arc<Mutex<Output>>) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut piece).await {
        lock(&output).take(&piece[..count]);
    }
}

fn lock(output: &Mutex<Output>) -> std::sync::MutexGuard<'_, Output> {
    // What is in there is bytes: they are as good after a panic as before.
    output.lock().unwrap_or_else(PoisonError::into_inner)
}
