//! Rewriting the one word in `routes.yaml`.
//!
//! After a commit the file says what is. The new text goes beside the file and is renamed over it,
//! at the target of a symlink, with owner and mode kept; a crash leaves the old text or the new.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use crate::site::{SideName, SiteName};
use crate::table::{EditError, splice_active};

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
    /// The word cannot be replaced where it stands.
    #[error("{}: {source}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EditError,
    },
}

/// Tells whether the file could be rewritten, without touching it.
///
/// # Errors
/// What stands in the way, as [`active`] would meet it.
pub(super) fn try_out(path: &Path, site: &SiteName, to: &SideName) -> Result<(), RewriteError> {
    let target = real(path)?;
    let text = fs::read_to_string(&target).map_err(io_at(&target))?;
    splice_active(&text, site, to).map_err(|source| RewriteError::Edit {
        path: target.clone(),
        source,
    })?;
    let beside = beside(&target);
    File::create(&beside).map_err(io_at(&beside))?;
    fs::remove_file(&beside).map_err(io_at(&beside))
}

/// Replaces the word of a site, if it still is `from`.
///
/// A word that is neither was edited meanwhile: it is left alone, and is a request of its own.
///
/// # Errors
/// See [`RewriteError`]; the file is as it was.
pub(super) fn active(
    path: &Path,
    site: &SiteName,
    from: &SideName,
    to: &SideName,
) -> Result<(), RewriteError> {
    let target = real(path)?;
    let text = fs::read_to_string(&target).map_err(io_at(&target))?;
    let edit = |source| RewriteError::Edit {
        path: target.clone(),
        source,
    };
    if splice_active(&text, site, from).map_err(edit)? != text {
        return Ok(());
    }
    let rewritten = splice_active(&text, site, to).map_err(edit)?;
    replace(&target, &rewritten)
}

fn replace(target: &Path, text: &str) -> Result<(), RewriteError> {
    let before = fs::metadata(target).map_err(io_at(target))?;
    let beside = beside(target);
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(before.permissions())?;
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.sync_all()?;
        fs::rename(&beside, target)?;
        File::open(target.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|error| {
        // Best effort: what is left beside the file is overwritten by the next attempt.
        let _ = fs::remove_file(&beside);
        io_at(target)(error)
    })
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
