//! Why a file is not taken, and the rules that a sound table can still break.

use std::collections::BTreeMap;

use crate::journal::SiteRecord;
use crate::site::{FlipId, SiteName};
use crate::table::{Diagnostic, Misfit, Table};

use super::running::Running;

/// Why the file on disk is not what is served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// The file says what cannot be; it has to be edited.
    #[error("{}", lines(.0))]
    Mistakes(Vec<Diagnostic>),
    /// It changes a site that is in a flip; it is looked at again when that has ended.
    #[error("the edit of {site} waits, with all of the file, for flip {flip} to end")]
    Waits {
        /// The site.
        site: SiteName,
        /// The flip.
        flip: FlipId,
    },
    /// The file or the journal could not be used for a reason that may pass by itself.
    #[error("{0}")]
    Failed(String),
}

/// Joins mistakes, one to a line.
fn lines(mistakes: &[Diagnostic]) -> String {
    let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Finds those of some sites whose journalled active side the table lacks, and the new ones
/// without a word.
pub(super) fn with_the_journal<'s>(
    table: &Table,
    sites: impl IntoIterator<Item = &'s SiteName>,
    known: &BTreeMap<SiteName, SiteRecord>,
) -> Vec<Misfit> {
    let mut found = Vec::new();
    let sites = sites
        .into_iter()
        .filter_map(|name| table.site(name.as_str()));
    for site in sites {
        let words = table.words.get(&site.name);
        let word = words.and_then(|words| words.active.as_ref());
        match known.get(&site.name) {
            Some(record) if site.side(&record.active).is_none() => found.push(Misfit::new(
                format!("sites.{}.sides", site.name),
                format!(
                    "side {} is missing, and it is the active one",
                    record.active
                ),
                "put it back, or flip the site away from it first",
            )),
            None if word.is_none() => found.push(Misfit::new(
                format!("sites.{}", site.name),
                "the site is seen for the first time, and nothing says which of its sides has the \
                 current data",
                "write that side as `active:`",
            )),
            Some(_) | None => {}
        }
    }
    found
}

/// Finds the sides that a flip needs and the table lacks; a site that is gone whole only waits.
pub(super) fn with_flips<'r>(
    table: &Table,
    flips: impl Iterator<Item = &'r Running>,
) -> Vec<Misfit> {
    let mut found = Vec::new();
    for running in flips {
        for moving in &running.moves {
            let (name, to) = (&moving.planned.site, &moving.planned.to);
            let site = table.site(name.as_str());
            if site.is_some_and(|site| site.side(to).is_none()) {
                found.push(Misfit::new(
                    format!("sites.{name}.sides"),
                    format!(
                        "side {to} is missing, and flip {} is on its way to it",
                        running.id
                    ),
                    "put it back, or cancel the flip first",
                ));
            }
        }
    }
    found
}

/// Finds a flip that the table would pull a site away from under.
///
/// # Errors
/// [`NotTaken::Waits`], for the first that is found.
pub(super) fn wait_for_flips<'r>(
    table: &Table,
    flips: impl Iterator<Item = &'r Running>,
) -> Result<(), NotTaken> {
    for running in flips {
        for moving in &running.moves {
            let name = &moving.planned.site;
            let site = table.site(name.as_str());
            if site != Some(&moving.site) {
                return Err(NotTaken::Waits {
                    site: name.clone(),
                    flip: running.id,
                });
            }
        }
    }
    Ok(())
}
