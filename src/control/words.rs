//! Which wins: what a word of the file asks for, given what the journal says.
//!
//! The file is what is desired, the journal what is. Only a word that differs from the one last
//! read is a request, across restarts too; so a refused word is not tried again until it is edited.

use crate::journal::SiteRecord;
use crate::site::{FlipId, SideName};

/// What a site is doing when its word is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing.
    Rests,
    /// A flip to this side, which can still be called off.
    Leaves(FlipId, SideName),
    /// A flip that is committed or on its way back.
    Arrives,
}

/// What is to be done about a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing: it is the word that was read last, or one that a commit left behind.
    Nothing,
    /// Remember it as read; there is nothing to do about it.
    Note,
    /// Move the site there.
    Flip(SideName),
    /// Call this flip off, and remember the word.
    Cancel(FlipId),
    /// Look at it again when the flip has ended.
    Later,
}

/// Decides what the word of a site asks for; `None` is a word that is left out.
pub(super) fn decide(word: Option<&SideName>, record: &SiteRecord, doing: &Doing) -> Ask {
    if word == record.word.as_ref() {
        return Ask::Nothing;
    }
    // The old word stands there because a commit has yet to rewrite it, and asks for nothing.
    if record.rewrite.as_ref().map(|(from, _)| from) == word && word.is_some() {
        return Ask::Nothing;
    }
    let Some(word) = word else {
        return Ask::Note;
    };
    match doing {
        Doing::Rests if *word == record.active => Ask::Note,
        Doing::Rests => Ask::Flip(word.clone()),
        Doing::Leaves(_, target) if word == target => Ask::Note,
        Doing::Leaves(flip, _) if *word == record.active => Ask::Cancel(*flip),
        Doing::Leaves(..) | Doing::Arrives => Ask::Later,
    }
}

#[cfg(test)]
mod tests {
    use crate::site::{Access, Epoch};

    use super::*;

    fn side(name: &str) -> SideName {
        SideName::new(name)
    }

    fn record(active: &str, word: Option<&str>) -> SiteRecord {
        SiteRecord {
            active: side(active),
            epoch: Epoch(1),
            word: word.map(side),
            access: Access::Open,
            rewrite: None,
            answer_ttl_s: None,
        }
    }

    #[test]
    fn only_a_word_that_differs_from_the_last_one_read_is_a_request() {
        let rests = Doing::Rests;
        let at_live = record("live", Some("live"));
        assert_eq!(decide(Some(&side("live")), &at_live, &rests), Ask::Nothing);
        assert_eq!(
            decide(Some(&side("backup")), &at_live, &rests),
            Ask::Flip(side("backup"))
        );
        // Refused before: the word was read, the site stays where it is.
        let refused = record("live", Some("backup"));
        assert_eq!(
            decide(Some(&side("backup")), &refused, &rests),
            Ask::Nothing
        );
        assert_eq!(decide(Some(&side("live")), &refused, &rests), Ask::Note);
    }

    #[test]
    fn a_word_that_is_left_out_asks_for_nothing() {
        let at_live = record("live", Some("live"));
        assert_eq!(decide(None, &at_live, &Doing::Rests), Ask::Note);
        let by_hand = record("live", None);
        assert_eq!(decide(None, &by_hand, &Doing::Rests), Ask::Nothing);
        assert_eq!(
            decide(Some(&side("live")), &by_hand, &Doing::Rests),
            Ask::Note
        );
    }

    #[test]
    fn a_word_edited_back_before_the_commit_cancels_its_flip() {
        let leaves = Doing::Leaves(FlipId(4), side("backup"));
        let moving = record("live", Some("backup"));
        assert_eq!(
            decide(Some(&side("live")), &moving, &leaves),
            Ask::Cancel(FlipId(4))
        );
        assert_eq!(decide(Some(&side("third")), &moving, &leaves), Ask::Later);
    }

    #[test]
    fn a_word_that_is_still_to_be_rewritten_is_no_request() {
        let pending = SiteRecord {
            rewrite: Some((side("live"), side("backup"))),
            ..record("backup", Some("backup"))
        };
        for doing in [Doing::Rests, Doing::Arrives] {
            assert_eq!(decide(Some(&side("live")), &pending, &doing), Ask::Nothing);
        }
        assert_eq!(
            decide(Some(&side("third")), &pending, &Doing::Rests),
            Ask::Flip(side("third")),
            "another word is"
        );
    }

    #[test]
    fn a_contrary_word_after_the_commit_waits_for_the_end() {
        let moved = record("backup", Some("backup"));
        assert_eq!(
            decide(Some(&side("live")), &moved, &Doing::Arrives),
            Ask::Later
        );
    }
}
