//! `pointsman recover`: a new journal, when the old one is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::control::Disk;
use crate::journal::{Journal, LockError, OpenError, SiteRenewal, StateLock};
use crate::site::{SideName, SiteName};
use crate::table::{ReadFile as _, Table};

use super::confirm::{self, Answer};
use super::exit::Exit;
use super::{files, out};

/// Make a new journal in place of one that is missing or cannot be read.
///
/// Only a journal says which side of a site is active, so somebody has to: by --adopt, or by the
/// word `active:` of the file. The daemon must be stopped. The old files are moved aside, and a
/// backup of them is the better way whenever there is one: it has the history too. Exit code 0:
/// done; 2: wrong arguments or file, or a site of which nothing says where it is; 3: the journal can
/// be read, there is nothing to repair; 5: a daemon runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman recover --adopt ispot=backup --adopt megalab=live --reason \
                  \"disk sdb lost\"\n  pointsman recover /etc/pointsman/routes.yaml --reason \"state lost, \
                  the file is right\" --yes"
)]
pub(super) struct Args {
    /// The route table [default: ./routes.yaml, then /etc/pointsman/routes.yaml]
    file: Option<PathBuf>,
    /// The side that has the current data of a site [default: its `active:` in the file]
    #[arg(long, value_name = "SITE=SIDE")]
    adopt: Vec<String>,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What ends the command before it has done anything.
struct Stopped(Exit, String);

/// Makes the journal.
pub(super) fn recover(args: &Args) -> anyhow::Result<Exit> {
    let file = files::routes(args.file.as_deref());
    match prepare(args, &file) {
        Ok((lock, sites)) => go_on(args, &file, &lock, &sites),
        Err(Stopped(exit, why)) => {
            out::complain(&format!("pointsman: {why}"));
            Ok(exit)
        }
    }
}

/// Looks whether there is something to repair, and what with.
fn prepare(args: &Args, file: &Path) -> Result<(StateLock, Vec<SiteRenewal>), Stopped> {
    if !args.yes && !confirm::can_ask() {
        let why = "this asks for confirmation, and there is no terminal to ask on: add --yes";
        return Err(Stopped(Exit::Usage, why.into()));
    }
    let table = load(file)?;
    let sites = renewals(&table, &args.adopt)?;
    let lock = StateLock::take(&table.state).map_err(|error| {
        let exit = match error {
            LockError::Taken { .. } => Exit::Conflict,
            LockError::Directory { .. } => Exit::Failed,
        };
        Stopped(exit, error.to_string())
    })?;
    let state = table.state.display();
    match Journal::what_is_wrong(&lock) {
        Ok(Some(wrong)) => {
            out::complain(&wrong.to_string());
            Ok((lock, sites))
        }
        Ok(None) => {
            let why =
                format!("there is nothing to repair in {state}: `pointsman run` starts with it");
            Err(Stopped(Exit::Refused, why))
        }
        Err(error @ OpenError::TooNew { .. }) => Err(Stopped(Exit::Refused, error.to_string())),
        Err(error) => Err(Stopped(Exit::Failed, error.to_string())),
    }
}

fn load(file: &Path) -> Result<Table, Stopped> {
    let usage = |why| Stopped(Exit::Usage, why);
    let text = Disk.read(file);
    let text = text.map_err(|error| usage(format!("{}: {error}", file.display())))?;
    Table::load(file, &text, &Disk).map_err(|mistakes| {
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        usage(lines.join("\n"))
    })
}

/// Finds the side of every site: what --adopt says, else the word of the file.
fn renewals(table: &Table, adopt: &[String]) -> Result<Vec<SiteRenewal>, Stopped> {
    let mut said = adopted(table, adopt).map_err(|why| Stopped(Exit::Usage, why))?;
    let (mut sites, mut silent) = (Vec::new(), Vec::new());
    for (site, words) in table.words.iter() {
        match said.remove(site).or_else(|| words.active.clone()) {
            Some(active) => sites.push(SiteRenewal {
                site: site.clone(),
                active,
                word: words.active.clone(),
                access: words.access,
            }),
            None => silent.push(site.as_str()),
        }
    }
    if silent.is_empty() {
        return Ok(sites);
    }
    let why = format!(
        "nothing says which side has the current data of {}: add --adopt SITE=SIDE for each",
        silent.join(", ")
    );
    Err(Stopped(Exit::Usage, why))
}

fn adopted(table: &Table, adopt: &[String]) -> Result<BTreeMap<SiteName, SideName>, String> {
    let mut said = BTreeMap::new();
    for one in adopt {
        let Some((site, side)) = one.split_once('=') else {
            return Err(format!("--adopt {one}: write SITE=SIDE"));
        };
        let (name, side) = (SiteName::new(site), SideName::new(side));
        let Some(known) = table.site(site) else {
            return Err(format!("--adopt {one}: the file has no site {site}"));
        };
        if known.side(&side).is_none() {
            return Err(format!("--adopt {one}: {site} has no side {side}"));
        }
        if said.insert(name, side).is_some() {
            return Err(format!("--adopt {one}: {site} is named twice"));
        }
    }
    Ok(said)
}

/// Asks, makes the journal, and says what was done.
fn go_on(
    args: &Args,
    file: &Path,
    lock: &StateLock,
    sites: &[SiteRenewal],
) -> anyhow::Result<Exit> {
    if !args.yes {
        out::complain("A new journal will say, whatever the old one said:");
        for renewal in sites {
            out::complain(&format!("  {}: {}", renewal.site, renewal.active));
        }
        if confirm::ask("adopt")? == Answer::Declined {
            out::complain("Nothing was done.");
            return Ok(Exit::Usage);
        }
    }
    let done = match Journal::renew(lock, sites, &args.reason, Timestamp::now()) {
        Ok(done) => done,
        Err(error) => {
            out::complain(&format!("pointsman: {error}"));
            return Ok(Exit::Failed);
        }
    };
    for path in done.kept {
        out::say(&format!("kept: {}", path.display()));
    }
    for renewal in sites {
        let (site, active) = (&renewal.site, &renewal.active);
        out::say(&format!(
            "adopted: {site} is at {active}, epoch {}",
            done.epoch
        ));
    }
    out::say(
        "What was said of `access` by command is lost with the old journal: each site has the \
         access that the file says. To keep users out: write `access: maintenance` there first.",
    );
    out::say(&format!(
        "Next: pointsman run {} and look at `pointsman status`; then at what the other sides took.",
        file.display()
    ));
    Ok(Exit::Settled)
}
