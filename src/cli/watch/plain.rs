//! What goes on, a line per event.

use std::collections::BTreeMap;

use crate::admin::{FlipView, WatchView};
use crate::site::FlipId;

use super::super::told::{Now, Told};
use super::super::{out, words};
use super::frame::counts;

/// Writes lines to stdout.
#[derive(Debug, Default)]
pub(super) struct Plain {
    told: Told,
    /// The counts of flips that drain, as last written.
    counts: BTreeMap<FlipId, String>,
    has_begun: bool,
}

impl Plain {
    /// Writes what is new.
    pub(super) fn tell(&mut self, view: &WatchView) {
        for line in self.lines(view) {
            out::say(&line);
        }
    }

    fn lines(&mut self, view: &WatchView) -> Vec<String> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first {
            // What ended before is no news.
            let mut before = now(view);
            before.flips.retain(|flip| flip.outcome.is_some());
            self.told.lines(&before);
        }
        let mut lines = self.told.lines(&now(view));
        if is_first {
            lines.insert(0, beginning(view));
        }
        for flip in view.flips.iter().rev() {
            lines.extend(self.count(flip));
        }
        self.counts
            .retain(|id, _| view.flips.iter().any(|flip| flip.status.id == *id));
        lines
    }

    /// While a flip drains, the counts are what everybody waits for.
    fn count(&mut self, flip: &FlipView) -> Option<String> {
        if flip.status.phase != "draining" {
            return None;
        }
        let said = counts(flip);
        let last = self.counts.insert(flip.status.id, said.clone());
        let at = jiff::Timestamp::now();
        (last.as_ref() != Some(&said)).then(|| words::phase_line(at, "draining", &said))
    }
}

fn beginning(view: &WatchView) -> String {
    let sites: Vec<_> = view
        .sites
        .iter()
        .map(|site| {
            let active = site.status.active.as_ref();
            let active = active.map_or("no known side", |side| side.as_str());
            format!(
                "{} is on {active}, {}",
                site.status.name, site.status.access
            )
        })
        .collect();
    let more = match view.more_sites {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    format!("{}{more}. Watching…", sites.join("; "))
}

fn now(view: &WatchView) -> Now<'_> {
    Now {
        file_problem: view.file_problem.as_deref(),
        flips: view.flips.iter().map(|flip| &flip.status).collect(),
        sites: view.sites.iter().map(|site| &site.status).collect(),
    }
}
