//! Telling what happens as it happens, a line at a time: to whoever watches without a terminal,
//! and in the demo.

use std::collections::BTreeMap;

use crate::control::{FlipStatus, SiteStatus};
use crate::site::{Access, FlipId, SiteName};

use super::clock::time_of_day;
use super::words;

/// What there is to tell of, at an instant.
#[derive(Debug)]
pub(super) struct Now<'a> {
    /// Why the file is not what is served.
    pub(super) file_problem: Option<&'a str>,
    /// Flips, the newest first.
    pub(super) flips: Vec<&'a FlipStatus>,
    /// The sites.
    pub(super) sites: Vec<&'a SiteStatus>,
}

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Phases by flip; as many flips as are shown.
    flips: BTreeMap<FlipId, usize>,
    file_problem: Option<String>,
    problems: BTreeMap<SiteName, String>,
    accesses: BTreeMap<SiteName, Access>,
}

impl Told {
    /// Makes the lines that are new at this instant.
    pub(super) fn lines(&mut self, now: &Now<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        if self.file_problem.as_deref() != now.file_problem {
            self.file_problem = now.file_problem.map(str::to_owned);
            lines.push(match now.file_problem {
                Some(problem) => format!("The file cannot be served as it is:\n{problem}"),
                None => "The file is good again, and served.".into(),
            });
        }
        for flip in now.flips.iter().rev() {
            lines.extend(self.flip_lines(flip));
        }
        self.flips
            .retain(|id, _| now.flips.iter().any(|flip| flip.id == *id));
        lines.extend(self.access_lines(now));
        let problems = now.sites.iter();
        let problems = problems.filter_map(|site| Some((site.name.clone(), site.problem.clone()?)));
        let problems: BTreeMap<_, _> = problems.collect();
        for (site, problem) in &problems {
            if self.problems.get(site) != Some(problem) {
                lines.push(format!("{site}: {problem}"));
            }
        }
        self.problems = problems;
        lines
    }

    /// Tells of sites whose access is another than when they were last looked at.
    fn access_lines(&mut self, now: &Now<'_>) -> Vec<String> {
        let accesses = now
            .sites
            .iter()
            .map(|site| (site.name.clone(), site.access));
        let before = std::mem::replace(&mut self.accesses, accesses.collect());
        let changed = now.sites.iter().filter(|site| {
            let known = before.get(&site.name);
            known.is_some_and(|access| *access != site.access)
        });
        let line = |site: &&SiteStatus| {
            let said = site.access_said.as_ref();
            let who = said.map_or(String::new(), |said| format!(", said by {}", said.who.name));
            let why = said.and_then(|said| said.reason.as_deref());
            let why = why.map_or(String::new(), |reason| format!(": {reason}"));
            let at = time_of_day(said.map_or_else(jiff::Timestamp::now, |said| said.at));
            format!("{at}  {} is {}{who}{why}", site.name, site.access)
        };
        changed.map(line).collect()
    }

    fn flip_lines(&mut self, flip: &FlipStatus) -> Vec<String> {
        let mut lines = Vec::new();
        let told = self.flips.entry(flip.id).or_insert_with(|| {
            let because = flip.reason.as_deref();
            let because = because.map_or(String::new(), |reason| format!(": {reason}"));
            let (moves, who) = (words::moves(flip), &flip.who.name);
            lines.push(format!(
                "\nFlip {}: {moves}, asked by {who}{because}",
                flip.id
            ));
            0
        });
        for entry in flip.timeline.iter().skip(*told) {
            // The counts are on the status page; here they would be of another instant.
            let means = match entry.phase.as_str() {
                "draining" => "waiting for what is in flight".into(),
                phase => words::phase_means(phase, flip, 0),
            };
            lines.push(words::phase_line(entry.at, &entry.phase, &means));
        }
        // One more than the phases, once the ending was told too.
        let ended = usize::from(flip.outcome.is_some());
        if let Some(outcome) = flip.outcome
            && *told <= flip.timeline.len()
        {
            lines.push(words::ending(flip, outcome));
        }
        *told = flip.timeline.len() + ended;
        lines
    }
}
