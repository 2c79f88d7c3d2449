//! Telling each flip as it happens, from what the control plane publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::control::{FlipStatus, Status};
use crate::site::{FlipId, SiteName};

use super::super::{out, words};

/// Writes a line per phase of every flip, and per change of the file's state, until the control
/// plane ends.
pub(super) async fn flips(mut status: watch::Receiver<Arc<Status>>) {
    let mut told = Told::default();
    // What ended before the demo was started is no news.
    told.lines(&Arc::clone(&status.borrow_and_update()));
    while status.changed().await.is_ok() {
        let now = Arc::clone(&status.borrow_and_update());
        for line in told.lines(&now) {
            out::say(&line);
        }
    }
}

/// What was told already.
#[derive(Debug, Default)]
struct Told {
    /// Phases by flip; as many flips as the status shows.
    flips: BTreeMap<FlipId, usize>,
    file_problem: Option<String>,
    problems: BTreeMap<SiteName, String>,
}

impl Told {
    /// Makes the lines that are new in this status.
    fn lines(&mut self, status: &Status) -> Vec<String> {
        let mut lines = Vec::new();
        if self.file_problem != status.file_problem {
            self.file_problem.clone_from(&status.file_problem);
            lines.push(match &status.file_problem {
                Some(problem) => format!("The file cannot be served as it is:\n{problem}"),
                None => "The file is good again, and served.".into(),
            });
        }
        for flip in status.flips.iter().rev() {
            lines.extend(self.flip_lines(flip));
        }
        self.flips
            .retain(|id, _| status.flips.iter().any(|flip| flip.id == *id));
        let problems: BTreeMap<_, _> = status
            .sites
            .iter()
            .filter_map(|site| Some((site.name.clone(), site.problem.clone()?)))
            .collect();
        for (site, problem) in &problems {
            if self.problems.get(site) != Some(problem) {
                lines.push(format!("{site}: {problem}"));
            }
        }
        self.problems = problems;
        lines
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
