//! The shared nouns: what a site, a side, an epoch and a flip are called.
//!
//! For: words that every layer uses, as types. Not for: doing anything; they know nothing of files,
//! sockets or time.
//!
//! Invariant: a word enum is written, read and listed from one place ([`words!`]), so that what a
//! message offers is what a file may say. A crash leaves nothing. Tests: wherever the words are used.

mod skipped;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use skipped::{Skipped, is_emergency};

/// Declares a newtype over `Arc<str>`: cheap to clone, printed as its text.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Names it by the given text, unchanged.
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }

            /// Shows the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type! {
    /// A site as `routes.yaml` names it, for example `ispot`.
    SiteName
}
name_type! {
    /// A named set of machines of a site, for example `live` or `backup`.
    SideName
}
name_type! {
    /// Sites that are flipped together, as `routes.yaml` names them, for example `web`.
    GroupName
}

/// Declares a counting newtype over `u64`.
macro_rules! counter_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Counts one further.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter_type! {
    /// Grows by one, per site, for every flip attempt that got as far as its journalled intent.
    ///
    /// The first is 1, when the words of the file are adopted.
    Epoch
}
counter_type! {
    /// Grows by one for every loaded table.
    Generation
}
counter_type! {
    /// Names a flip attempt, refused ones included; unique within a journal.
    FlipId
}
counter_type! {
    /// Names the lease of a guarded job; unique within a journal.
    GuardId
}

/// What users may do with a site, or with a part of it, apart from any flip; the stricter, the
/// greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Everything.
    #[default]
    Open,
    /// Safe methods only (RFC 9110 §9.2.1).
    ReadOnly,
    /// Nothing: the maintenance page.
    Maintenance,
}

/// What users get while a flip is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum During {
    /// The maintenance page.
    Page,
    /// Nothing at first: their requests wait, bounded, and go on at the new side.
    Hold,
    /// What they read; what they would write is refused, with a page that says so.
    ReadOnly,
}

/// What becomes of requests that are still in flight at the drain deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainThen {
    /// A write in flight ends the flip: back to the old side. Reads alone are cut.
    Restore,
    /// Whatever is in flight is cut, and the flip goes on.
    Cut,
}

/// What becomes of WebSockets and other tunnels when their site is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tunnels {
    /// They are closed at once.
    Close,
    /// They may end by themselves, and are closed at the drain deadline.
    Drain,
}

/// Where the sides of a site keep what their users write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Each for itself: what one took the other has after a copy, and not before.
    #[default]
    Separate,
    /// In one place that both use: there is nothing to copy.
    Shared,
}

/// What the direct names of a site answer while users are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnHold {
    /// That there is no address at this time.
    NoData,
    /// The old side's address, until the new side's takes its place.
    Keep,
}

/// How the direct names of a site answer; a flip changes it, and its end brings the usual back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answers {
    /// With the active side's address, for as long as the table says.
    #[default]
    Usual,
    /// With that address, for as short as can be.
    Short,
    /// That there is no address.
    Withheld,
}

/// How a flip ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Acknowledged: every worker serves the new side and nothing else.
    Settled,
    /// Moved, but not every worker and listener has shown the new epoch.
    Moved,
    /// Refused before anything happened.
    Refused,
    /// Back at the old side before anyone was held.
    RestoredUnheld,
    /// Back at the old side after users were held.
    Restored,
}

/// When the hooks of a site run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPhase {
    /// Before anyone is held.
    Before,
    /// While nobody writes: the last copy.
    Sync,
    /// After the flip was acknowledged.
    After,
    /// On the way back.
    Restore,
}

/// How a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookResult {
    /// With exit status 0, and nothing of it was left.
    Ok,
    /// It could not be started, had another exit status, or left behind what it must not.
    Failed,
    /// Its time was up, and it was ended.
    TimedOut,
    /// It was ended because its flip was called off, or the daemon stopped.
    Stopped,
    /// The daemon died while it ran.
    Lost,
}

/// What all processes of a guarded job have in their environment, with the key of its lease.
pub const GUARD_MARK: &str = "POINTSMAN_GUARD";

/// What becomes of a guarded job when a planned flip of its site is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFlip {
    /// The flip waits for its end, for as long as the site's `flip.guard_wait`.
    #[default]
    Wait,
    /// The flip is refused.
    Refuse,
    /// The job is ended.
    Kill,
}

/// What a side that does not serve contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contradicts {
    /// It says that it serves.
    StandbyOnline,
    /// It has taken a write that did not come through Pointsman.
    StandbyWritten,
}

/// The move of one site that a flip makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Move {
    /// The site that moves.
    pub site: SiteName,
    /// The side it leaves.
    pub from: SideName,
    /// The side it goes to.
    pub to: SideName,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.site, self.from, self.to)
    }
}

/// The command that moves a site whose active side is dead; `None` when it has no other side.
pub fn emergency_command<'a>(
    site: &SiteName,
    active: &SideName,
    sides: impl Iterator<Item = &'a SideName>,
) -> Option<String> {
    let others: Vec<_> = sides.filter(|side| *side != active).collect();
    let to = match others.as_slice() {
        [] => return None,
        [other] => other.as_str(),
        [_, ..] => "SIDE",
    };
    Some(format!(
        "pointsman flip {site} --to {to} --now --reason \"…\""
    ))
}

/// Who asked for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The user's name, or the uid as text when it has none; the name of a token.
    pub name: String,
    /// The numeric user id; `None` for the holder of a token, whom no kernel vouches for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// How it was asked.
    pub via: Via,
}

/// How something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// By an edit of `routes.yaml`; `who` is the owner of the new file.
    File,
    /// Over the unix socket; `who` is from the peer credentials.
    Socket,
    /// Over TCP with a token, whose name is that of `who`.
    Token,
}

impl Who {
    /// Tells whether two are one: users are known by their uid, whatever they are called.
    pub fn is(&self, other: &Self) -> bool {
        let same_name = self.uid.is_some() || self.name == other.name;
        self.via == other.via && self.uid == other.uid && same_name
    }
}

/// What the holder of a token may do over the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Look at everything and change nothing.
    Read,
    /// Run jobs under guard, and see where the sites are.
    Guard,
    /// Everything.
    Operate,
}

/// Where a site is, as the journal says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The active side; `None` when it is in doubt, and then nobody is served.
    pub active: Option<SideName>,
    /// The epoch of that side's lane.
    pub epoch: Epoch,
}

/// The positions of all sites of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(pub BTreeMap<SiteName, Position>);

impl Positions {
    /// Looks up one site; `None` for a site the journal has no record of.
    pub fn of(&self, site: &SiteName) -> Option<&Position> {
        self.0.get(site)
    }
}

/// A word that is none of those allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is none of {allowed:?}")]
pub struct UnknownWord {
    /// What was written.
    pub given: String,
    /// What may be written.
    pub allowed: &'static [&'static str],
}

/// Gives a word enum its words: parsing, printing, and the list for error messages.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every word, in the order of the documentation.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word as it is written in `routes.yaml`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(given: &str) -> Result<Self, UnknownWord> {
                match given {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { given: given.into(), allowed: Self::WORDS }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words!(Access { Open = "open", ReadOnly = "read-only", Maintenance = "maintenance" });
words!(During { Page = "page", Hold = "hold", ReadOnly = "read-only" });
words!(Outcome {
    Settled = "settled",
    Moved = "moved",
    Refused = "refused",
    RestoredUnheld = "restored-unheld",
    Restored = "restored",
});
words!(Storage { Separate = "separate", Shared = "shared" });
words!(OnHold { NoData = "nodata", Keep = "keep" });
words!(HookPhase {
    Before = "before",
    Sync = "sync",
    After = "after",
    Restore = "restore",
});
words!(HookResult {
    Ok = "ok",
    Failed = "failed",
    TimedOut = "timed-out",
    Stopped = "stopped",
    Lost = "lost",
});
words!(OnFlip { Wait = "wait", Refuse = "refuse", Kill = "kill" });
words!(Contradicts { StandbyOnline = "standby-online", StandbyWritten = "standby-written" });
words!(DrainThen { Restore = "restore", Cut = "cut" });
words!(Tunnels { Close = "close", Drain = "drain" });
words!(Via { File = "file", Socket = "socket", Token = "token" });
words!(Scope { Read = "read", Guard = "guard", Operate = "operate" });
