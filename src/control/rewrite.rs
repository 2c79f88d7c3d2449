//! Rewriting the one word in `routes.yaml`.
//!
//! After a commit the file says what is. The new text goes beside the file and is renamed over it,
//! at the target of a symlink, with owner and mode kept; a crash leaves the old text or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::flip::Flip;
use crate::site::{SideName, SiteName};
use crate::table::{EditError, Loader};

use super::actor::Actor;
use super::failpoint;
use super::read::{self, Disk};

/// How often the rewrite begins anew because somebody writes the file at the same time.
const TRIES: u32 = 5;

/// Why the word was not rewritten.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    /// The file or its directory cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// What could not be written.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The new file could not be given to the owner of the old one.
    #[error("{}: its owner (uid {uid}, gid {gid}) cannot be kept: {source}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody writes the file all the time.
    #[error("{}: it was written by somebody else in the same instant, {TRIES} times", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The word cannot be replaced where it stands.
    #[error("{}: {source}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EditError,
    },
}

/// What became of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rewritten {
    /// The file says the new word; this is all of it.
    Done(String),
    /// The file says something else than the old word: it was edited, or left out, meanwhile.
    NotMine,
    /// The file has no such site; should it come back, its word is still to be rewritten.
    SiteGone,
}

impl Actor {
    /// Writes the words that commits have left to be written into the file.
    pub(super) fn rewrite_words(&mut self) {
        let pending: Vec<_> = self
            .ledger
            .due_rewrites()
            .filter(|(site, _)| {
                self.flip_of(site)
                    .is_none_or(|running| is_published(&running.flip))
            })
            .map(|(site, words)| (site.clone(), words.clone()))
            .collect();
        for (site, (from, to)) in pending {
            failpoint::hit("rewriting");
            match self.rewrite(&site, &from, &to) {
                Ok(()) => {
                    self.unwritten.remove(&site);
                }
                Err(why) => {
                    let why = format!("the file still has to say `active: {to}`: {why}");
                    if self.unwritten.get(&site) != Some(&why) {
                        tracing::error!(%site, why, "the word was not rewritten; it is tried again");
                    }
                    self.unwritten.insert(site, why);
                }
            }
        }
    }

    fn rewrite(&mut self, site: &SiteName, from: &SideName, to: &SideName) -> Result<(), String> {
        let rewritten = active(&self.file, &self.loader, site, from, to);
        match rewritten.map_err(|error| error.to_string())? {
            Rewritten::SiteGone => return Ok(()),
            Rewritten::Done(text) => {
                // The next rewrite finds this text known. What is wrong with it, if anything, the
                // reload that follows will say.
                let _ = self.loader.load(text, &Disk);
                self.rewritten.insert(site.clone(), to.clone());
            }
            Rewritten::NotMine => {}
        }
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let noted = journal.rewritten(site);
        noted.map_err(|error| format!("the journal could not be written: {error}"))?;
        self.ledger.rewritten(site);
        Ok(())
    }
}

fn is_published(flip: &Flip) -> bool {
    matches!(
        flip,
        Flip::Publishing(_) | Flip::Confirming(_) | Flip::Settling(_)
    )
}

/// Tells whether the file could be rewritten, without touching it.
///
/// # Errors
/// What stands in the way, as [`active`] would meet it.
pub(super) fn try_out(
    path: &Path,
    loader: &Loader,
    site: &SiteName,
    to: &SideName,
) -> Result<(), RewriteError> {
    let target = real(path)?;
    let text = read::read(&target).map_err(io_at(&target))?;
    let tried = loader.splice_active(&text, site, to);
    tried.map_err(|source| RewriteError::Edit {
        path: target.clone(),
        source,
    })?;
    let beside = beside(&target);
    let written = write_beside(&target, &beside, "");
    // Nothing is there to remove when it could not be made.
    let _ = fs::remove_file(&beside);
    written
}

/// Replaces the word of a site, if it still is `from`.
///
/// A word that is neither was edited meanwhile: it is left alone, and is a request of its own.
///
/// # Errors
/// See [`RewriteError`]; the file is as it was.
fn active(
    path: &Path,
    loader: &Loader,
    site: &SiteName,
    from: &SideName,
    to: &SideName,
) -> Result<Rewritten, RewriteError> {
    for _ in 0..TRIES {
        let target = real(path)?;
        let text = read::read(&target).map_err(io_at(&target))?;
        match loader.splice_active(&text, site, from) {
            Ok(same) if same == text => {}
            Ok(_) | Err(EditError::NoWord(_)) => return Ok(Rewritten::NotMine),
            Err(EditError::NoSite(_)) => return Ok(Rewritten::SiteGone),
            Err(source) => {
                return Err(RewriteError::Edit {
                    path: target,
                    source,
                });
            }
        }
        let edited = loader.splice_active(&text, site, to);
        let edited = edited.map_err(|source| RewriteError::Edit {
            path: target.clone(),
            source,
        })?;
        if replace(&target, &text, &edited)? {
            return Ok(Rewritten::Done(edited));
        }
    }
    Err(RewriteError::Busy { path: path.into() })
}

/// Renames the new text over the old; false when the file says something else by then.
fn replace(target: &Path, old: &str, new: &str) -> Result<bool, RewriteError> {
    let beside = beside(target);
    let replaced = write_beside(target, &beside, new).and_then(|()| {
        // The sync before this takes its time, and an edit made meanwhile is not to be lost.
        let now = read::read(target).map_err(io_at(target))?;
        if now != old {
            return Ok(false);
        }
        fs::rename(&beside, target).map_err(io_at(target))?;
        let folder = target.parent().unwrap_or(Path::new("/"));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(io_at(folder))?;
        Ok(true)
    });
    if !matches!(replaced, Ok(true)) {
        // Best effort: what is left beside the file is overwritten by the next attempt.
        let _ = fs::remove_file(&beside);
    }
    replaced
}

/// Writes a text beside the file, on disk when it returns, with the owner and mode of the file.
fn write_beside(target: &Path, beside: &Path, text: &str) -> Result<(), RewriteError> {
    let like = fs::metadata(target).map_err(io_at(target))?;
    // What a crash left may belong to somebody else already, and cannot be written then; nor is
    // whatever stands there followed. What is in the way is met by the next line.
    let _ = fs::remove_file(beside);
    // Nobody else may read it before it has the mode of the file.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(beside).map_err(io_at(beside))?;
    // Before the owner, for who has given a file away may not change its mode any more; and there
    // is nothing in it to read yet.
    file.set_permissions(like.permissions())
        .map_err(io_at(beside))?;
    let now = file.metadata().map_err(io_at(beside))?;
    if (now.uid(), now.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid())).map_err(|source| {
            RewriteError::Owner {
                path: target.into(),
                uid: like.uid(),
                gid: like.gid(),
                source,
            }
        })?;
    }
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io_at(beside))
}

fn real(path: &Path) -> Result<PathBuf, RewriteError> {
    fs::canonicalize(path).map_err(io_at(path))
}

fn beside(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".pointsman");
    target.with_file_name(name)
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> RewriteError {
    let path = path.to_path_buf();
    move |source| RewriteError::Io {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn an_edit_made_while_the_new_text_was_written_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("routes.yaml");
        fs::write(&target, "edited").unwrap();
        assert!(!replace(&target, "as it was read", "rewritten").unwrap());
        assert_eq!(fs::read_to_string(&target).unwrap(), "edited");
        assert!(replace(&target, "edited", "rewritten").unwrap());
        assert_eq!(fs::read_to_string(&target).unwrap(), "rewritten");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no rest");
    }
}
