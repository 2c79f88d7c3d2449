//! Telling each flip as it happens, from what the control plane publishes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::control::Status;

use super::super::out;
use super::super::told::{Now, Told};

/// Writes a line per phase of every flip, and per change of the file's state, until the control
/// plane ends.
pub(super) async fn flips(mut status: watch::Receiver<Arc<Status>>) {
    let mut told = Told::default();
    // What ended before the demo was started is no news.
    told.lines(&now(&Arc::clone(&status.borrow_and_update())));
    while status.changed().await.is_ok() {
        let status = Arc::clone(&status.borrow_and_update());
        for line in told.lines(&now(&status)) {
            out::say(&line);
        }
    }
}

fn now(status: &Status) -> Now<'_> {
    Now {
        file_problem: status.file_problem.as_deref(),
        flips: status.flips.iter().map(AsRef::as_ref).collect(),
        sites: status.sites.iter().map(AsRef::as_ref).collect(),
    }
}
