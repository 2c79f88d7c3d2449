//! `groups:` sites that are flipped together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::site::{GroupName, SiteName};

use super::super::diagnostic::{Report, did_you_mean};
use super::super::model::Site;
use super::super::scalar;
use super::super::schema::{At, Wrong};
use super::super::tree::Value;
use super::{Context, Elsewhere};

/// The most sites of one group: all of them are checked, held and drained at the same time, and
/// their names stand in every line of the log about their flip.
const SITES_MAX: usize = 1_000;

/// The sites that a group may name.
#[derive(Clone, Copy)]
struct Known<'t> {
    sites: &'t [Arc<Site>],
    elsewhere: Elsewhere<'t>,
}

/// Reads `groups:`.
pub(super) fn resolve(
    context: &mut Context<'_>,
    at: &At<'_>,
    sites: &[Arc<Site>],
) -> BTreeMap<GroupName, Vec<SiteName>> {
    let known = Known {
        sites,
        elsewhere: context.elsewhere,
    };
    let report = &mut context.report;
    let mut groups = BTreeMap::new();
    for entry in at.entries(report).unwrap_or_default() {
        let at = at.under(entry);
        if let Err(wrong) = name(&entry.key, known) {
            report.mistake(entry.place, &at.key, wrong.message, wrong.remedy);
        }
        groups.insert(GroupName::new(&entry.key), members(report, &at, known));
    }
    groups
}

/// Looks at the name of a group: one that a site has too would leave it open what is meant.
fn name(text: &str, known: Known<'_>) -> Result<(), Wrong> {
    scalar::label(text)?;
    if known.has(text) {
        let message = format!("`{text}` is the name of a site too");
        let remedy = "write another, so that nobody moves the one and means the other";
        return Err(Wrong::new(message, remedy));
    }
    Ok(())
}

fn members(report: &mut Report, at: &At<'_>, known: Known<'_>) -> Vec<SiteName> {
    let items = at.list(report).unwrap_or_default();
    if matches!(&at.node.value, Value::List(items) if items.is_empty()) {
        let remedy = "write at least one site: `[ispot, megalab]`";
        at.wrong(report, Wrong::new("is empty", remedy));
    }
    if items.len() > SITES_MAX {
        let message = format!("has {} sites", items.len());
        let remedy = format!("write at most {SITES_MAX}, which are all held at once");
        at.wrong(report, Wrong::new(message, remedy));
        return Vec::new();
    }
    let mut members = Vec::with_capacity(items.len());
    for at in items {
        let member = at.parse(report, |text| {
            if !known.has(text) {
                let names = known.sites.iter().map(|site| site.name.as_str());
                let message = format!("there is no site `{text}`");
                return Err(Wrong::new(message, did_you_mean(text, names)));
            }
            let site = SiteName::new(text);
            if members.contains(&site) {
                let message = format!("`{text}` is written twice");
                return Err(Wrong::new(message, "keep one of the two"));
            }
            Ok(site)
        });
        members.extend(member);
    }
    members
}

impl Known<'_> {
    fn has(&self, name: &str) -> bool {
        let in_text = self
            .sites
            .binary_search_by(|site| site.name.as_str().cmp(name));
        in_text.is_ok() || (self.elsewhere)(name)
    }
}
