//! The processes of a hook: how they are found, and ended.
//!
//! They are those of its process group, and those with its mark in their environment, which they
//! inherit: so one that left the group is found as well, and after a crash so is one whose number
//! was not noted. The number of a group is gone by only while that of its first process cannot have
//! been given to another.

use std::{fs, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::journal::Leader;
use crate::site::HookPhase;

use super::environment::MARK;

/// In the place of a number, where nobody can look.
const UNSEEN: i32 = 0;

/// What is looked for.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// The value of [`MARK`] that its processes have.
    pub(super) mark: String,
    /// The number of its group, if that is certain to be its own.
    pub(super) group: Option<i32>,
    /// When the hook runs: what left the group of a `sync` hook may be copying still; what left
    /// that of another was meant to stay.
    pub(super) phase: HookPhase,
}

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) process: i32,
    pub(super) name: String,
}

/// What `/proc/N/stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    group: i32,
    session: i32,
    started: u64,
}

impl Family {
    /// Finds its processes that live; one that has ended, and waits to be looked at by its parent,
    /// does nothing any more.
    ///
    /// Where nobody can look (no file can be opened any more) there is one without a number: what
    /// is not known to be gone is not gone.
    pub(super) fn members(&self) -> Vec<Found> {
        match self.seen() {
            Ok(members) => members,
            Err(error) => vec![Found {
                process: UNSEEN,
                name: format!("nobody can look: {error}"),
            }],
        }
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
        (!has_left || self.phase == HookPhase::Sync) && is_marked(process, &self.mark)
    }

    /// Sends a signal to all of them.
    pub(super) fn signal(&self, members: &[Found], signal: Signal) {
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
        Err(error) => tracing::warn!(process, %error, "a process of a hook cannot be ended"),
    }
}

/// Names processes for an operator: `rsync (4711), ssh (4712)`.
pub(super) fn named(members: &[Found]) -> String {
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

/// Notes who a process is; `None` when it is gone.
pub(super) fn leader(process: i32) -> Option<Leader> {
    let started = stat(process).ok()??.started;
    let boot = boot();
    Some(Leader {
        process,
        started,
        boot,
    })
}

/// Tells whether a number still is that of the process it was.
pub(super) fn still_leads(leader: &Leader) -> bool {
    let is_same = |stat: Stat| stat.started == leader.started && stat.group == leader.process;
    leader.boot == boot() && stat(leader.process).ok().flatten().is_some_and(is_same)
}

/// Tells whether processes can be looked for at all.
pub(super) fn can_look() -> bool {
    fs::exists("/proc/self/stat").unwrap_or(false)
}

/// Which boot of the machine this is; empty where the system does not tell.
fn boot() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    told.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Looks at a process; `None` when it is gone, or none of ours.
///
/// # Errors
/// Nobody can look: no file can be opened any more.
fn stat(process: i32) -> io::Result<Option<Stat>> {
    match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(text) => Ok(read_stat(&text)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => Err(error),
            _ => Ok(None),
        },
    }
}

/// Reads proc_pid_stat(5): the name is in parentheses, and may hold anything, these included.
fn read_stat(text: &str) -> Option<Stat> {
    let (before, after) = text.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let fields: Vec<_> = after.split(' ').collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        name: name.to_owned(),
        state: field(3)?.chars().next()?,
        group: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        started: field(22)?.parse().ok()?,
    })
}

fn is_marked(process: i32, mark: &str) -> bool {
    // That of another user cannot be read, and that of the kernel's own threads is empty.
    let Ok(environment) = fs::read(format!("/proc/{process}/environ")) else {
        return false;
    };
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| {
        let value = variable.strip_prefix(MARK.as_bytes());
        value.and_then(|value| value.strip_prefix(b"=")) == Some(mark.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_process_is_called() {
        let line = "4711 (a) b (c) S 1 4712 4713 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2 3";

        let stat = read_stat(line).expect("it is one");

        assert_eq!(stat.name, "a) b (c");
        assert_eq!((stat.state, stat.group), ('S', 4712));
        assert_eq!((stat.session, stat.started), (4713, 98765));
        assert_eq!(read_stat("4711 (half) S 1 2"), None);
    }

    #[test]
    fn a_process_is_known_again_by_the_time_it_began() {
        let own = i32::try_from(std::process::id()).expect("a number");
        let is = leader(own).expect("it runs");
        let group = stat(own).expect("it is seen").expect("it runs").group;

        assert_eq!(still_leads(&is), group == own);
        let later = Leader {
            started: is.started + 1,
            ..is
        };
        assert!(!still_leads(&later), "the same number, another process");
    }
}
