//! `hooks:` the commands that run at a flip.

use std::time::Duration;

use crate::site::HookPhase;

/// The commands that run at a flip of a site, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before anyone is held: what bypasses Pointsman is stopped.
    pub before: Vec<Hook>,
    /// While nobody writes: the last copy of the data.
    pub sync: Vec<Hook>,
    /// After the flip was acknowledged.
    pub after: Vec<Hook>,
    /// On the way back, once any hook has begun.
    pub restore: Vec<Hook>,
}

impl Hooks {
    /// Shows those of one phase.
    pub fn of(&self, phase: HookPhase) -> &[Hook] {
        match phase {
            HookPhase::Before => &self.before,
            HookPhase::Sync => &self.sync,
            HookPhase::After => &self.after,
            HookPhase::Restore => &self.restore,
        }
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is called in messages; unique in its list.
    pub name: String,
    /// What is run.
    pub command: HookCommand,
    /// How long it may take; then its process group is ended.
    pub timeout: Duration,
    /// As the last copy, it adds to what its target has instead of overwriting it.
    pub merges: bool,
}

/// What a hook runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookCommand {
    /// A program and its arguments; never empty. No shell reads them.
    Run(Vec<String>),
    /// A text for `/bin/sh -c`.
    Shell(String),
}

impl HookCommand {
    /// The program that is started.
    pub fn program(&self) -> &str {
        match self {
            Self::Run(words) => words.first().map_or("", String::as_str),
            Self::Shell(_) => "/bin/sh",
        }
    }

    /// What the program is started with.
    pub fn arguments(&self) -> Vec<&str> {
        match self {
            Self::Run(words) => words.iter().skip(1).map(String::as_str).collect(),
            Self::Shell(text) => vec!["-c", text],
        }
    }
}
