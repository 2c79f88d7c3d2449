//! What `/proc/N/stat` says of a process, and by that a process is known again.

use std::sync::OnceLock;
use std::{fs, io};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// The first process of a command, whose number is that of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Its number.
    pub process: i32,
    /// When it was started, in clock ticks since the boot: a number is used again, with another
    /// time.
    pub started: u64,
    /// Which boot that was; empty when the system does not tell.
    pub boot: String,
}

/// What `/proc/N/stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) state: char,
    pub(super) group: i32,
    pub(super) session: i32,
    started: u64,
}

/// Notes who a process is; `None` when it is gone.
pub fn leader(process: i32) -> Option<Leader> {
    let started = stat(process).ok()??.started;
    let boot = boot().unwrap_or_default().to_owned();
    Some(Leader {
        process,
        started,
        boot,
    })
}

/// Tells whether a number still is that of the process it was.
pub fn still_leads(leader: &Leader) -> bool {
    let is_same = |stat: Stat| stat.started == leader.started && stat.group == leader.process;
    !is_of_another_boot(leader) && stat(leader.process).ok().flatten().is_some_and(is_same)
}

/// The number of the group that a process has led, however that ended; `None` when it was given to
/// another since.
///
/// A number is given again only when neither a process nor a group has it: so while nobody else has
/// it, whoever is in that group is of the same command.
pub fn group_of(leader: &Leader) -> Option<i32> {
    match stat(leader.process) {
        Ok(Some(now)) if now.started != leader.started => None,
        Ok(_) | Err(_) => Some(leader.process),
    }
}

/// Tells whether processes can be looked for at all.
pub fn can_look() -> bool {
    fs::exists("/proc/self/stat").unwrap_or(false)
}

/// Tells whether a process was of a boot of this machine before this one; no, where nobody can tell.
pub fn is_of_another_boot(leader: &Leader) -> bool {
    boot().is_some_and(|now| !leader.boot.is_empty() && leader.boot != now)
}

/// Which boot of the machine this is; `None` where the system does not tell, or cannot at the moment.
fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if BOOT.get().is_none()
        && let Ok(told) = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        && !told.trim().is_empty()
    {
        // Whoever was first has set the same.
        let _ = BOOT.set(told.trim().to_owned());
    }
    BOOT.get().map(String::as_str)
}

/// Looks at a process; `None` when it is gone, or none of ours.
///
/// # Errors
/// Nobody can look: no file can be opened any more.
pub(super) fn stat(process: i32) -> io::Result<Option<Stat>> {
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
