//! Following a flip to its end.

use jiff::SignedDuration;

use crate::admin::FlipView;
use crate::control::{FlipStatus, Outcome};
use crate::site::FlipId;

use super::super::client::{Client, Events};
use super::super::exit::Exit;
use super::super::{Output, out, words};

/// Writes a line per phase and a last sentence, and turns the outcome into the exit code.
pub(super) async fn to_the_end(client: &Client, id: FlipId, output: Output) -> Exit {
    let followed = tokio::select! {
        followed = follow(client, id, output) => followed.ok_or_else(|| format!(
            "the daemon is not heard any more; it may have died, and whether flip {id} was \
             committed is not known here.\n  How it ended: `pointsman status`, once it runs again."
        )),
        _ = tokio::signal::ctrl_c() => Err(format!(
            "flip {id} is not followed any more, and goes on in the daemon.\n  \
             How it ended: `pointsman status`. To stop it: `pointsman flip --cancel {id}`."
        )),
    };
    let (flip, outcome) = match followed {
        Ok(followed) => followed,
        Err(why) => {
            out::complain(&format!("pointsman: {why}"));
            return Exit::Unreachable;
        }
    };
    match output {
        Output::Table => out::say(&words::ending(&flip.status, outcome)),
        Output::Json => match serde_json::to_string_pretty(&flip) {
            Ok(text) => out::say(&text),
            Err(error) => out::complain(&format!("pointsman: {error}")),
        },
    }
    Exit::of(outcome)
}

/// Follows until the flip has ended; `None` when the daemon cannot be heard any more.
async fn follow(client: &Client, id: FlipId, output: Output) -> Option<(FlipView, Outcome)> {
    let mut shown = Shown::default();
    // A stream has a longest duration; each turn begins a new one, while the daemon answers.
    loop {
        let path = format!("/api/v1/flips/{id}/events");
        let mut events = client.events(&path).await.ok()?;
        let mut heard = false;
        while let Some(flip) = next(&mut events).await {
            heard = true;
            if output == Output::Table {
                shown.show(&flip);
            }
            if let Some(outcome) = flip.status.outcome {
                return Some((flip, outcome));
            }
        }
        // A stream that says nothing at all will not do better the next time.
        if !heard {
            return None;
        }
    }
}

async fn next(events: &mut Events) -> Option<FlipView> {
    serde_json::from_slice(&events.next().await?).ok()
}

/// How much of the flip was written already.
#[derive(Debug, Default)]
struct Shown {
    phases: usize,
    in_flight: Option<u64>,
    lease_until: Option<jiff::Timestamp>,
    /// The guarded jobs that it waits for.
    awaited_guards: Vec<String>,
    /// What was last written of the hook that runs.
    hook: Option<String>,
    /// When the last hook began whose end was written.
    ended: Option<jiff::Timestamp>,
}

impl Shown {
    fn show(&mut self, flip: &FlipView) {
        for line in self.lines(flip) {
            out::say(&line);
        }
    }

    /// Makes the lines that are new since the last event.
    fn lines(&mut self, flip: &FlipView) -> Vec<String> {
        let status = &flip.status;
        let line = |at, phase: &str| {
            let means = words::phase_means(phase, status, flip.in_flight);
            words::phase_line(at, phase, &means)
        };
        let fresh = status.timeline.iter().skip(self.phases);
        let mut lines: Vec<_> = fresh.map(|entry| line(entry.at, &entry.phase)).collect();
        self.phases = self.phases.max(status.timeline.len());
        let fewer = self.in_flight.replace(flip.in_flight) != Some(flip.in_flight);
        // While it drains, the count is what everybody waits for.
        let is_other = std::mem::replace(&mut self.lease_until, status.lease_until);
        let mut waits = status.lease_until.is_some() && is_other != status.lease_until;
        if self.awaited_guards != status.awaited_guards {
            self.awaited_guards.clone_from(&status.awaited_guards);
            waits |= !self.awaited_guards.is_empty();
        }
        if lines.is_empty() && (fewer && status.phase == "draining" || waits) {
            lines.push(line(jiff::Timestamp::now(), &status.phase));
        }
        lines.extend(self.hooks(status));
        lines
    }

    /// Makes the lines of hooks: how those that are over ended, and what the one that runs wrote.
    fn hooks(&mut self, status: &FlipStatus) -> Vec<String> {
        let mut lines = Vec::new();
        for hook in &status.hooks {
            if self.ended.is_none_or(|ended| hook.since > ended) {
                self.ended = Some(hook.since);
                let at = hook.since + SignedDuration::from_millis(hook.took_ms.cast_signed());
                let said = words::hook_ended(hook);
                lines.push(words::phase_line(at, hook.phase.word(), &said));
            }
        }
        let runs = status.hook.as_ref().map(words::hook_runs);
        if let (Some(said), Some(hook)) = (&runs, &status.hook)
            && self.hook != runs
        {
            let at = jiff::Timestamp::now();
            lines.push(words::phase_line(at, hook.phase.word(), said));
        }
        self.hook = runs;
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{HookEnded, HookStatus, PhaseEntry, Via, Who};
    use crate::site::{During, HookPhase, HookResult, Move, SideName, SiteName};

    fn draining(in_flight: u64) -> FlipView {
        let began = jiff::Timestamp::UNIX_EPOCH;
        let entry = |phase: &str| PhaseEntry {
            phase: phase.into(),
            at: began,
            after_ms: 0,
            lease_until: None,
        };
        FlipView {
            status: FlipStatus {
                id: FlipId(7),
                moves: vec![Move {
                    site: SiteName::new("ispot"),
                    from: SideName::new("live"),
                    to: SideName::new("backup"),
                }],
                epochs: Vec::new(),
                during: During::Page,
                who: Who {
                    name: "alice".into(),
                    uid: Some(1000),
                    via: Via::Socket,
                },
                reason: None,
                began,
                phase: "draining".into(),
                outcome: None,
                message: None,
                until: None,
                timeline: vec![entry("holding"), entry("draining")],
                skipped: Vec::new(),
                lease_until: None,
                hook: None,
                hooks: Vec::new(),
                awaited_guards: Vec::new(),
            },
            in_flight,
            waiting: 0,
            writes: 0,
            tunnels: 0,
        }
    }

    #[test]
    fn each_phase_is_written_once_and_each_new_count_and_wait() {
        let mut shown = Shown::default();

        let first = shown.lines(&draining(3));
        let same = shown.lines(&draining(3));
        let fewer = shown.lines(&draining(1));

        assert_eq!(first.len(), 2, "{first:?}");
        assert!(first[1].ends_with("draining    3 in flight…"), "{first:?}");
        assert_eq!(same, Vec::<String>::new());
        assert_eq!(fewer.len(), 1);
        let mut waiting = draining(1);
        waiting.status.lease_until = Some(jiff::Timestamp::now());
        let waits = shown.lines(&waiting);
        assert!(waits[0].ends_with("draining    waits for DNS answers: 0.0 s"));
        assert_eq!(shown.lines(&waiting), Vec::<String>::new());
        assert!(fewer[0].ends_with("1 in flight…"), "{fewer:?}");
    }

    #[test]
    fn a_hook_is_written_when_it_begins_says_something_else_and_ends() {
        let mut shown = Shown::default();
        let mut flip = draining(0);
        shown.lines(&flip);
        let since = jiff::Timestamp::UNIX_EPOCH;
        let (site, phase, name) = (SiteName::new("ispot"), HookPhase::Sync, "files".to_owned());
        flip.status.hook = Some(HookStatus {
            site: site.clone(),
            phase,
            name: name.clone(),
            since,
            last_line: None,
            problem: None,
        });

        let begins = shown.lines(&flip);
        let same = shown.lines(&flip);
        if let Some(hook) = &mut flip.status.hook {
            hook.last_line = Some("40 %".into());
        }
        let says = shown.lines(&flip);
        flip.status.hook = None;
        flip.status.hooks = vec![HookEnded {
            site,
            phase,
            name,
            since,
            took_ms: 1_234,
            result: HookResult::Ok,
            detail: "exit status 0".into(),
        }];
        let ends = shown.lines(&flip);

        let is = |lines: &[String], end: &str| lines.len() == 1 && lines[0].ends_with(end);
        assert!(
            is(&begins, "sync        hook files of ispot runs…"),
            "{begins:?}"
        );
        assert_eq!(same, Vec::<String>::new());
        assert!(is(&says, "hook files of ispot: 40 %"), "{says:?}");
        let done = "hook files of ispot: done after 1.2 s, exit status 0";
        assert!(is(&ends, done), "{ends:?}");
        assert_eq!(shown.lines(&flip), Vec::<String>::new());
    }

    #[test]
    fn the_last_sentence_says_where_the_site_is() {
        let flip = draining(0).status;

        let settled = words::ending(&flip, Outcome::Settled);
        let refused = words::ending(&flip, Outcome::Refused);

        assert_eq!(
            settled,
            "Settled: ispot is on backup. Nothing reaches live any more."
        );
        assert_eq!(
            refused,
            "Refused: nothing happened, ispot is still on live."
        );
    }
}
