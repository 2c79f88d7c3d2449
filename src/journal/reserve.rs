//! Space kept on the journal's disk for the one record that must be written when it is full.
//!
//! A commit that failed may be on disk all the same; only a record after it says that it does not
//! count, and until that is written users get the page. So some space is kept, and given up for it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file in the state directory.
const FILE: &str = "reserve";

/// What one small transaction takes of the log, several times over.
const BYTES: usize = 256 * 1024;

/// The space, as a file of zeros.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Names the space of a state directory, without taking it.
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
        }
    }

    /// Takes the space, if it is not taken.
    pub(super) fn keep(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() == BYTES as u64) {
            return Ok(());
        }
        let mut file = File::create(&self.path)?;
        // Written, not only sized: a hole takes no space.
        file.write_all(&vec![0; BYTES])?;
        file.sync_all()
    }

    /// Gives the space up.
    pub(super) fn give_up(&self) -> io::Result<()> {
        super::remove_if_there(&self.path)
    }
}
