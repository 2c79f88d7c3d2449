//! The processes of a command: how they are found, and ended.

use std::time::Duration;
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::stat::{Stat, stat};

/// How long what was killed may take to be gone, before it is said that it stays.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether all are gone, at first and in the long run.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LATER: Duration = Duration::from_millis(100);

/// In the place of a number, where nobody can look.
const UNSEEN: i32 = 0;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Family {
    /// The variable that its processes have in their environment, and its value.
    pub mark: (&'static str, String),
    /// The number of its group, if that is certain to be its own.
    pub group: Option<i32>,
    /// Who left the group by setsid(2) counts too: it may be copying still. Otherwise it was meant
    /// to stay.
    pub with_strays: bool,
}

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number; 0 stands for what nobody can look at.
    pub process: i32,
    /// What it is called.
    pub name: String,
}

impl Family {
    /// Finds its processes that live; one that has ended, and waits to be looked at by its parent,
    /// does nothing any more.
    ///
    /// Where nobody can look (no file can be opened any more) there is one without a number: what
    /// is not known to be gone is not gone.
    pub fn members(&self) -> Vec<Found> {
        match self.seen() {
            Ok(members) => members,
            Err(error) => vec![Found {
                process: UNSEEN,
                name: format!("nobody can look: {error}"),
            }],
        }
    }

    /// Tells whether nothing of it is left.
    ///
    /// One look goes through the numbers in turn, and misses who is begun behind it by one who is
    /// gone before it comes there; nobody does that twice by chance.
    pub fn is_gone(&self) -> bool {
        self.members().is_empty() && self.members().is_empty()
    }

    /// Tells whether a process can be told to be of it by its mark.
    pub fn shows_its_mark(&self, process: i32) -> bool {
        is_marked(process, &self.mark)
    }

    fn seen(&self) -> io::Result<Vec<Found>> {
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(stat) = stat(process)? else {
                continue;
            };
            let lives = !['Z', 'X', 'x'].contains(&stat.state);
            if lives && self.has(process, &stat) {
                members.push(Found {
                    process,
                    name: stat.name,
                });
            }
        }
        Ok(members)
    }

    fn has(&self, process: i32, stat: &Stat) -> bool {
        if self.group == Some(stat.group) {
            return true;
        }
        // Who leads a session, or is in the group of one who does, has left by setsid(2).
        let has_left = stat.session == stat.group;
        (!has_left || self.with_strays) && is_marked(process, &self.mark)
    }

    /// Sends a signal to all of them.
    pub fn signal(&self, members: &[Found], signal: Signal) {
        if let Some(group) = self.group {
            // All at once, so that none forks out of it meanwhile.
            note(group, killpg(Pid::from_raw(group), signal));
        }
        for member in members.iter().filter(|member| member.process != UNSEEN) {
            let in_group = stat(member.process).ok().flatten().map(|stat| stat.group);
            if in_group.is_some() && in_group != self.group {
                let sent = kill(Pid::from_raw(member.process), signal);
                note(member.process, sent);
            }
        }
    }
}

fn note(process: i32, sent: Result<(), Errno>) {
    match sent {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(process, %error, "a process cannot be ended"),
    }
}

/// Names processes for an operator: `rsync (4711), ssh (4712)`.
pub fn named(members: &[Found]) -> String {
    /// More of them help nobody.
    const SHOWN: usize = 5;
    let shown = members.iter().take(SHOWN);
    let mut names: Vec<_> = shown
        .map(|found| format!("{} ({})", found.name, found.process))
        .collect();
    if members.len() > SHOWN {
        names.push(format!("and {} more", members.len() - SHOWN));
    }
    names.join(", ")
}

fn is_marked(process: i32, (name, value): &(&str, String)) -> bool {
    // That of another user cannot be read, and that of the kernel's own threads is empty.
    let Ok(environment) = fs::read(format!("/proc/{process}/environ")) else {
        return false;
    };
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| {
        let rest = variable.strip_prefix(name.as_bytes());
        rest.and_then(|rest| rest.strip_prefix(b"=")) == Some(value.as_bytes())
    })
}

/// Ends every process of a family: asks, and after `grace` does not ask; tells of what is left when
/// that did not help, and goes on until none is.
pub async fn end(family: &Family, grace: Duration, mut tell: impl AsyncFnMut(&[Found])) {
    let asked_until = Instant::now() + grace;
    let mut look = LOOK_FIRST;
    let mut is_asked = false;
    let mut told = Vec::new();
    loop {
        let members = family.members();
        if members.is_empty() {
            return;
        }
        if Instant::now() >= asked_until {
            family.signal(&members, Signal::SIGKILL);
        } else if !is_asked {
            family.signal(&members, Signal::SIGTERM);
            is_asked = true;
        }
        if Instant::now() >= asked_until + KILL_GRACE && members != told {
            tell(&members).await;
            told = members;
        }
        sleep(look).await;
        look = LOOK_LATER.min(look * 2);
    }
}
