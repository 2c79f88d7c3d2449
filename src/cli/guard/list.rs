//! The leases that are out, and one given back by hand.

use jiff::Timestamp;

use crate::admin::{Done, ReleaseBody};
use crate::control::{GrantedMove, GuardState, GuardStatus};

use super::super::client::{AskError, Client};
use super::super::exit::Exit;
use super::super::{Output, out};
use super::refused;

/// Lists the leases.
pub(super) async fn list(client: &Client, output: Output) -> Exit {
    let path = "/api/v1/guards";
    let text = match output {
        Output::Json => {
            let found: Result<serde_json::Value, AskError> = client.get(path).await;
            found.map(|found| format!("{found:#}"))
        }
        Output::Table => {
            let found: Result<Vec<GuardStatus>, AskError> = client.get(path).await;
            found.map(|found| table(&found, Timestamp::now()))
        }
    };
    match text {
        Ok(text) => {
            out::say(text.trim_end());
            Exit::Settled
        }
        Err(error) => refused(&error),
    }
}

/// Gives a lease back of which somebody knows that its job is gone.
pub(super) async fn release(client: &Client, id: u64, reason: &str) -> Exit {
    let body = ReleaseBody {
        reason: reason.to_owned(),
    };
    let path = format!("/api/v1/guards/{id}/release");
    let released: Result<Done, AskError> = client.post(&path, &body, None).await;
    match released {
        Ok(Done {}) => {
            out::say(&format!(
                "Guard {id} is released: flips no longer wait for it. A side that it was copying \
                 onto stays torn until a copy onto it succeeds."
            ));
            Exit::Settled
        }
        Err(AskError::Refused(problem)) if problem.status == 409 => {
            out::complain(&format!("pointsman: {}", problem.detail));
            Exit::Conflict
        }
        Err(error) => refused(&error),
    }
}

fn table(guards: &[GuardStatus], now: Timestamp) -> String {
    if guards.is_empty() {
        return "No job runs under guard.\n".into();
    }
    let mut text = format!(
        "{:>5}  {:8}  {:>8}  {:28}  {}\n",
        "GUARD", "STATE", "FOR", "SITES", "JOB"
    );
    for guard in guards {
        let sites: Vec<_> = guard.sites.iter().map(moves).collect();
        let seconds = now.duration_since(guard.since).as_secs().max(0);
        let process = guard
            .process
            .map_or_else(String::new, |process| format!(", process {process}"));
        text += &format!(
            "{:>5}  {:8}  {:>6} s  {:28}  {}\n       by {} on {}{process}; a flip: {}\n",
            guard.id,
            guard.state.word(),
            seconds,
            sites.join(", "),
            guard.job,
            guard.who.name,
            guard.host,
            guard.on_flip,
        );
        if guard.state == GuardState::Orphaned {
            text += &format!(
                "       Nobody renews its lease. When it is gone for certain: pointsman guard \
                 --release {} --reason \"…\"\n",
                guard.id
            );
        }
    }
    text
}

fn moves(bound: &GrantedMove) -> String {
    let GrantedMove { site, from, to, .. } = bound;
    match to {
        Some(to) => format!("{site} {from} -> {to}"),
        None => format!("{site} on {from}"),
    }
}
