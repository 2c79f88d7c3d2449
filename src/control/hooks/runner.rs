//! The runner: a thread that runs the hooks of one phase, and says what becomes of them.
//!
//! A thread of its own, as it looks through `/proc` and may have much to read, and must not keep
//! the actor from anything.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::journal::{HookEnd, HookStart};
use crate::processes::{self, Family, Found, Leader};
use crate::site::{FlipId, HookPhase, HookResult};

use super::super::actor::Event;
use super::environment::MARK;
use super::process::{GRACE, Process};
use super::survivors;
use super::work::{Job, OnFailure, Work};

/// How often what a hook writes is looked at, to be shown.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Last lines of a hook that stand in the message of its failure.
const LINES_SAID: usize = 5;

/// What a runner tells the actor.
#[derive(Debug)]
pub(crate) enum Said {
    /// A hook is about to be started; it is not before this is in the journal, under a number.
    Begins(HookStart, oneshot::Sender<Result<u32, String>>),
    /// It is this process; the number is that of the journal, if that could be written.
    Runs(Option<u32>, Leader),
    /// It wrote a line.
    Prints(String),
    /// Something of it cannot be ended.
    Stays(String),
    /// It has ended, and nothing is left of it.
    Ended(Option<u32>, HookStart, HookEnd, Duration),
    /// All are over; why not all were run, if it is so.
    Over(Result<(), String>),
}

/// Starts a runner; `true` to what it gives back ends the hook that runs, and those to come.
///
/// # Errors
/// There can be no further thread.
pub(super) fn start(work: Work, events: mpsc::Sender<Event>) -> io::Result<watch::Sender<bool>> {
    let (order, ordered) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let runner = Runner {
        flip: work.occasion.flip,
        events,
        stop: ordered,
    };
    let thread = std::thread::Builder::new().name("hooks".into());
    thread.spawn(move || runtime.block_on(runner.run(work)))?;
    Ok(order)
}

struct Runner {
    flip: FlipId,
    events: mpsc::Sender<Event>,
    stop: watch::Receiver<bool>,
}

/// Why a hook is no longer waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Exited,
    TooLong,
    ToStop,
}

impl Runner {
    async fn run(self, work: Work) {
        for survivor in &work.survivors {
            let family = survivors::family(survivor);
            processes::end(&family, GRACE, async |left| self.stays(left).await).await;
        }
        let until = work.within.map(|within| Instant::now() + within);
        let mut over = Ok(());
        for job in &work.jobs {
            if self.is_to_stop() {
                over = Err("it was called off".into());
                break;
            }
            let run = self.one(job, &work, until).await;
            if let (Err(why), OnFailure::Stop) = (run, work.on_failure) {
                over = Err(why);
                break;
            }
        }
        self.say(Said::Over(over)).await;
    }

    /// Runs one hook; why it failed, if it did.
    async fn one(&self, job: &Job, work: &Work, until: Option<Instant>) -> Result<(), String> {
        let begins = HookStart {
            flip: self.flip,
            site: job.site.clone(),
            phase: work.occasion.phase,
            name: job.hook.name.clone(),
            mark: mark(self.flip)?,
            began: Timestamp::now(),
        };
        let began = Instant::now();
        let number = match self.journalled(&begins).await {
            Ok(number) => Some(number),
            Err(why) if work.on_failure == OnFailure::Stop => {
                return Err(format!("{}: {why}", called(&begins)));
            }
            // What puts things right again is run whatever the journal's disk is like.
            Err(_) => None,
        };
        let mut limit = job.hook.timeout;
        if let Some(until) = until {
            limit = limit.min(until.saturating_duration_since(began));
        }
        let (end, last) = self.process(job, work, &begins, number, limit).await;
        let failed = (end.result != HookResult::Ok).then(|| failure(&begins, &end, &last));
        let took = began.elapsed();
        self.say(Said::Ended(number, begins, end, took)).await;
        failed.map_or(Ok(()), Err)
    }

    async fn process(
        &self,
        job: &Job,
        work: &Work,
        begins: &HookStart,
        number: Option<u32>,
        limit: Duration,
    ) -> (HookEnd, Vec<String>) {
        let family = Family {
            mark: (MARK, begins.mark.clone()),
            group: None,
            with_strays: begins.phase == HookPhase::Sync,
        };
        let end = |result, detail: String, output| HookEnd {
            result,
            detail,
            output,
            ended: Timestamp::now(),
        };
        if limit.is_zero() {
            let detail = "it was not started: the time of all was up".into();
            return (end(HookResult::Failed, detail, String::new()), Vec::new());
        }
        let mut process = match Process::start(job, &work.folder, family) {
            Ok(process) => process,
            Err(why) => {
                let detail = format!("it could not be started: {why}");
                return (end(HookResult::Failed, detail, String::new()), Vec::new());
            }
        };
        if let Some(leader) = processes::leader(process.number()) {
            self.say(Said::Runs(number, leader)).await;
        }
        let waited = self.wait(&mut process, limit).await;
        let left = match waited {
            Waited::Exited => process.stragglers().await,
            Waited::TooLong | Waited::ToStop => Vec::new(),
        };
        processes::end(&process.family, GRACE, async |left| self.stays(left).await).await;
        let (status, output) = process.finish().await;
        let said = status.map_or_else(
            |error| error.to_string(),
            |status| processes::in_words(&status),
        );
        let (result, detail) = judge(waited, &said, &left, begins.phase, limit);
        (
            end(result, detail, output.text()),
            output.last_lines(LINES_SAID),
        )
    }

    /// Waits for a hook, and shows what it writes.
    async fn wait(&self, process: &mut Process, limit: Duration) -> Waited {
        let until = Instant::now() + limit;
        let mut stop = self.stop.clone();
        let mut shown = Vec::new();
        let mut tell = tokio::time::interval(TELL_EVERY);
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Each arm only waits, or looks at what stays until it is looked at.
            tokio::select! {
                _ = &mut process.exited => return Waited::Exited,
                () = tokio::time::sleep_until(until) => return Waited::TooLong,
                // Whoever could order it is gone with the daemon.
                _ = stop.wait_for(|stop| *stop) => return Waited::ToStop,
                _ = tell.tick() => {
                    let last = process.last_lines(1);
                    if last != shown {
                        shown.clone_from(&last);
                        for line in last {
                            self.say(Said::Prints(line)).await;
                        }
                    }
                }
            }
        }
    }

    /// Has a hook journalled before it is started.
    async fn journalled(&self, begins: &HookStart) -> Result<u32, String> {
        let (reply, answer) = oneshot::channel();
        self.say(Said::Begins(begins.clone(), reply)).await;
        answer
            .await
            .unwrap_or_else(|_| Err("the daemon is stopping".into()))
    }

    async fn stays(&self, left: &[Found]) {
        let named = processes::named(left);
        self.say(Said::Stays(format!(
            "{named} cannot be ended: end it by hand; until then nothing goes on"
        )))
        .await;
    }

    fn is_to_stop(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    async fn say(&self, said: Said) {
        // The actor is gone only when the process ends.
        let _ = self.events.send(Event::Hooks(self.flip, said)).await;
    }
}

fn judge(
    waited: Waited,
    said: &str,
    left: &[Found],
    phase: HookPhase,
    limit: Duration,
) -> (HookResult, String) {
    let behind = || {
        let named = processes::named(left);
        format!("{said}, but it left processes behind, which were ended: {named}")
    };
    match waited {
        Waited::ToStop => (HookResult::Stopped, "it was ended before its time".into()),
        Waited::TooLong => {
            let detail = format!("it took longer than {limit:?}, and was ended");
            (HookResult::TimedOut, detail)
        }
        Waited::Exited if said != "exit status 0" => (HookResult::Failed, said.into()),
        Waited::Exited if left.is_empty() => (HookResult::Ok, said.into()),
        // They may have been copying still.
        Waited::Exited if phase == HookPhase::Sync => (HookResult::Failed, behind()),
        Waited::Exited => (HookResult::Ok, behind()),
    }
}

/// Names a hook in a message.
pub(super) fn called(hook: &HookStart) -> String {
    format!("{} hook {} of {}", hook.phase, hook.name, hook.site)
}

fn failure(begins: &HookStart, end: &HookEnd, last: &[String]) -> String {
    let lines = last.iter().map(|line| format!("\n  {line}"));
    let lines: String = lines.collect();
    format!("{} failed: {}{lines}", called(begins), end.detail)
}

/// What no other process has in its environment.
fn mark(flip: FlipId) -> Result<String, String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "no random bytes are to be had")?;
    Ok(format!("{flip}-{:032x}", u128::from_be_bytes(random)))
}
