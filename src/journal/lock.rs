//! The lock on a state directory: one daemon per state.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that is locked; its content says that a journal was made here.
const FILE: &str = "lock";

/// What the file says once the journal exists; an empty one is left by a first start that died.
const MARK: &str = "a journal was made in this directory\n";

/// The file that is there while a daemon runs; one that is found was left by one that was killed.
const RUNNING: &str = "running";

/// What that file says while a daemon that has stopped has left no more than answers.
const ANSWERS: &str = "stopped; DNS answers that it gave may still be used\n";

/// What a daemon left behind when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing that anybody has to wait for.
    Nothing,
    /// DNS answers that clients may still use.
    Answers,
    /// It was killed: those, and requests in flight.
    Everything,
}

/// The lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    directory: PathBuf,
}

/// Why the lock was not got; the operator is at fault.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon runs on this state.
    #[error(
        "state: {} is in use by another pointsman: stop it first, or give this one a `state:` of \
         its own",
        directory.display()
    )]
    Taken {
        /// The state directory.
        directory: PathBuf,
    },
    /// The directory cannot be used.
    #[error("state: {}: {source}", path.display())]
    Directory {
        /// What could not be used.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl StateLock {
    /// Takes the lock, making the directory if need be.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LockError::Directory { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let path = directory.join(FILE);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = file.map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                file,
                directory: directory.into(),
            }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken {
                directory: directory.into(),
            }),
            Err(TryLockError::Error(source)) => Err(LockError::Directory { path, source }),
        }
    }

    /// Shows the directory that is locked.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Tells whether nothing was ever journalled here: at most an unmarked lock file is found, and
    /// what a first start that died early left of a journal in the making.
    pub(super) fn is_unused(&self) -> io::Result<bool> {
        if self.is_marked()? {
            return Ok(false);
        }
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let in_the_making = name
                .to_string_lossy()
                .starts_with(super::FILE_IN_THE_MAKING);
            if name != FILE && !in_the_making {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Remembers, durably, that there is a journal.
    pub(super) fn mark_used(&self) -> io::Result<()> {
        if self.is_marked()? {
            return Ok(());
        }
        (&self.file).write_all(MARK.as_bytes())?;
        self.file.sync_all()
    }

    /// Notes, durably, that a daemon runs; tells what the last one left.
    ///
    /// # Errors
    /// What the operating system said; then it is not known, and is to be taken as everything.
    pub fn mark_running(&self) -> io::Result<Left> {
        let path = self.directory.join(RUNNING);
        let left = match fs::read(&path) {
            Ok(text) if text == ANSWERS.as_bytes() => Left::Answers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Left::Nothing,
            Ok(_) | Err(_) => Left::Everything,
        };
        // Emptied durably as well: after a crash the words of the one before must not be found.
        File::create(path)?.sync_all()?;
        File::open(&self.directory)?.sync_all()?;
        Ok(left)
    }

    /// Notes that it has stopped, and what it leaves.
    ///
    /// # Errors
    /// What the operating system said; then it will be taken as killed.
    pub fn mark_stopped(&self, left: Left) -> io::Result<()> {
        let path = self.directory.join(RUNNING);
        match left {
            Left::Nothing => fs::remove_file(path),
            Left::Answers => fs::write(path, ANSWERS),
            Left::Everything => Ok(()),
        }
    }

    fn is_marked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() > 0)
    }
}
