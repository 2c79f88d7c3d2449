//! Asking: what the words of a table that was taken lead to.

use std::sync::Arc;

use jiff::Timestamp;

use crate::journal::SiteRecord;
use crate::site::{SideName, SiteName, Via, Who};

use super::actor::Actor;
use super::request::{Expected, FlipRequest, Forced, What};
use super::words::{Ask, Doing, decide};

impl Actor {
    /// Carries out what the words of the file ask for; all moves of one edit are one flip.
    ///
    /// Words that were asked for already, with nothing left over, are not gone through again.
    pub(super) fn ask_for_words(&mut self, owner: u32) {
        let asked = self.asked.as_ref();
        if asked.is_some_and(|asked| Arc::ptr_eq(asked, &self.table.words)) {
            return;
        }
        self.asked = None;
        let mut is_over = self.flips.is_empty();
        let mut moves = Vec::new();
        let mut words = Vec::new();
        let mut reason = None;
        let table = Arc::clone(&self.table);
        for site in self.asking() {
            let (Some(said), Some(record)) = (table.words.get(&site), self.record_as_asked(&site))
            else {
                continue;
            };
            let site = &site;
            let word = said.active.as_ref();
            match decide(word, &record, &self.doing(site)) {
                Ask::Nothing => {}
                Ask::Later => is_over = false,
                Ask::Note => {
                    // Whatever was asked for before, it is not asked for any more.
                    self.problems.remove(site);
                    self.note_word(site, word, "nothing to do");
                }
                Ask::Cancel(flip) => {
                    // Only one that can be cancelled is; the word is noted after it, for a
                    // refusal journals the word that began the flip.
                    if let Err(why) = self.cancel(flip, "the word was edited back") {
                        tracing::error!(%site, %why, "a flip was not cancelled");
                    }
                    self.note_word(site, word, "edited back: the flip is cancelled");
                }
                Ask::Flip(to) => {
                    moves.push((site.clone(), Some(to)));
                    words.push((site.clone(), word.cloned()));
                    reason = reason.or_else(|| said.reason.clone());
                }
            }
        }
        if moves.is_empty() {
            // What a flip leaves behind is looked at again when it has ended.
            self.asked = is_over.then(|| Arc::clone(&table.words));
            return;
        }
        let who = Who {
            name: user_name(owner),
            uid: Some(owner),
            via: Via::File,
        };
        let request = FlipRequest {
            what: What::Sites(moves),
            during: None,
            reason,
            now: false,
            forced: Forced::Nothing,
            force_interval: false,
            accept_loss: false,
            over_guards: Vec::new(),
            who,
            expected: Expected::Anything,
            key: None,
        };
        if let Err(why) = self.begin(&request, words.clone()) {
            for (site, word) in words {
                self.problems.insert(site.clone(), why.to_string());
                self.note_word(&site, word.as_ref(), &why.to_string());
            }
        }
    }

    /// Lists the sites whose word may ask for something: it is not the one read last, or a flip
    /// carries another. Both lists are in the order of names, and walked along together.
    fn asking(&self) -> Vec<SiteName> {
        let mut records = self.ledger.sites.iter().peekable();
        let mut asking = Vec::new();
        for (site, said) in self.table.words.iter() {
            while records.next_if(|(name, _)| *name < site).is_some() {}
            let Some((_, record)) = records.next_if(|(name, _)| *name == site) else {
                continue;
            };
            if said.active != record.word || self.flip_of(site).is_some() {
                asking.push(site.clone());
            }
        }
        asking
    }

    /// Shows the record of a site, with the word that its running flip carries as read.
    ///
    /// The journal has that word from the intent or the refusal on; until then the flip has it.
    fn record_as_asked(&self, site: &SiteName) -> Option<SiteRecord> {
        let mut record = self.ledger.sites.get(site)?.clone();
        let carried = self.flip_of(site).map(|running| &running.journalled.words);
        if let Some((_, word)) = carried.into_iter().flatten().find(|(of, _)| of == site) {
            record.word.clone_from(word);
        }
        Some(record)
    }

    /// Remembers a word that no flip carries.
    pub(super) fn note_word(&mut self, site: &SiteName, word: Option<&SideName>, why: &str) {
        if let Ok(journal) = &mut self.ledger.journal
            && let Err(error) = journal.word_read(site, word, why, Timestamp::now())
        {
            tracing::error!(%site, %error, "a word could not be journalled as read");
        }
        // Also when the disk is full: a word must not be asked for again and again.
        if let Some(record) = self.ledger.sites.get_mut(site) {
            record.word = word.cloned();
        }
    }

    fn doing(&self, site: &SiteName) -> Doing {
        match self.flip_of(site) {
            // A word waits for the hooks of the flip before it.
            None if self.last_hooks_of(site).is_some() => Doing::Arrives,
            None => Doing::Rests,
            Some(running) => match running.target_of(site) {
                Some(to) if running.flip.is_cancellable() => Doing::Leaves(running.id, to.clone()),
                Some(_) | None => Doing::Arrives,
            },
        }
    }
}

/// Finds the name of a user; the number itself when there is none.
fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}
