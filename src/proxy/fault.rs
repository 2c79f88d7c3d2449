//! A fault for tests: the mistake that all of this is built to exclude.
//!
//! In a debug build `POINTSMAN_FAULT=late-forward` has requests to `/fault/late` sent to the lane
//! of their site that was met first, whether it was closed since or not. A release build has none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::site::SiteName;
use crate::switchboard::Lane;

thread_local! {
    /// The first lanes that this worker met.
    static FIRST: RefCell<BTreeMap<SiteName, Arc<Lane>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Passes a lane on, or another one in its place when that is asked for.
pub(super) fn late(lane: Arc<Lane>, path: &str) -> Arc<Lane> {
    if !cfg!(debug_assertions) || !is_asked_for() {
        return lane;
    }
    let first = FIRST.with_borrow_mut(|first| {
        let met = first.entry(lane.site.clone());
        Arc::clone(met.or_insert_with(|| Arc::clone(&lane)))
    });
    if path == "/fault/late" { first } else { lane }
}

fn is_asked_for() -> bool {
    std::env::var_os("POINTSMAN_FAULT").is_some_and(|fault| fault == "late-forward")
}
