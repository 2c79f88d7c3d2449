//! When a standby that answers otherwise is believed to be online. Pure.

use std::collections::BTreeMap;

use crate::site::{Epoch, SideName};

/// How often in a row a side answers otherwise before that counts: a page that is being deployed, or
/// a request that met a restart, is no contradiction.
const IN_A_ROW: u32 = 2;

/// What was found at a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It answers as a standby does, or not at all: it takes no users.
    Standby,
    /// It answers otherwise; in words.
    Otherwise(String),
}

/// The sides of a site that do not serve.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The active side, and its epoch, for which the rest counts.
    active: Option<(SideName, Epoch)>,
    /// How often each has answered otherwise, in a row.
    otherwise: BTreeMap<SideName, u32>,
}

impl Judge {
    /// Takes what was found at one side; its contradiction, if it is in one.
    pub(super) fn take(
        &mut self,
        active: &(SideName, Epoch),
        side: &SideName,
        found: Found,
    ) -> Option<String> {
        if self.active.as_ref() != Some(active) {
            self.active = Some(active.clone());
            self.otherwise.clear();
        }
        let Found::Otherwise(why) = found else {
            self.otherwise.remove(side);
            return None;
        };
        let count = self.otherwise.entry(side.clone()).or_default();
        *count = count.saturating_add(1);
        (*count >= IN_A_ROW).then_some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn otherwise() -> Found {
        Found::Otherwise("it answered 200".into())
    }

    #[test]
    fn only_what_is_found_twice_in_a_row_counts_and_only_until_it_is_over() {
        let (active, backup) = ((SideName::new("live"), Epoch(3)), SideName::new("backup"));
        let mut judge = Judge::default();
        assert_eq!(judge.take(&active, &backup, otherwise()), None);
        assert_eq!(judge.take(&active, &backup, Found::Standby), None);
        assert_eq!(judge.take(&active, &backup, otherwise()), None);
        assert!(judge.take(&active, &backup, otherwise()).is_some());
        assert!(judge.take(&active, &backup, otherwise()).is_some());
        assert_eq!(judge.take(&active, &backup, Found::Standby), None);
    }

    #[test]
    fn what_was_found_before_a_flip_does_not_count_after_it() {
        let side = SideName::new;
        let mut judge = Judge::default();
        let before = (side("live"), Epoch(3));
        assert_eq!(judge.take(&before, &side("backup"), otherwise()), None);
        let there = (side("backup"), Epoch(4));
        assert_eq!(judge.take(&there, &side("live"), otherwise()), None);
        let back = (side("live"), Epoch(5));
        assert_eq!(judge.take(&back, &side("backup"), otherwise()), None);
    }
}
