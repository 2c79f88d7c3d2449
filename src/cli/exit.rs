//! The exit codes, all of them; scripts rely on these numbers.

use std::process::ExitCode;

use crate::control::Outcome;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `flip`: acknowledged.
    Settled,
    /// It failed; the message says why.
    Failed,
    /// The command line or the file is wrong.
    Usage,
    /// Refused, or restored before anyone was held; also who has no token for it.
    Refused,
    /// Back at the old side after users were held.
    Restored,
    /// Another flip of the same site runs, or the state does not allow it.
    Conflict,
    /// Nobody answers at the socket; in mid-flip: the outcome is not known here.
    Unreachable,
    /// Moved, but a listener did not show the new side.
    Moved,
    /// A guarded job was not started, as it was not its turn (`EX_TEMPFAIL` of sysexits.h).
    NotItsTurn,
    /// A guarded job ended so.
    Job(u8),
}

impl Exit {
    /// The exit code of a flip that ended so.
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Settled => Self::Settled,
            Outcome::Moved => Self::Moved,
            Outcome::Refused | Outcome::RestoredUnheld => Self::Refused,
            Outcome::Restored => Self::Restored,
        }
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Settled => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Restored => 4,
            Self::Conflict => 5,
            Self::Unreachable => 7,
            Self::Moved => 8,
            Self::NotItsTurn => 75,
            Self::Job(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
