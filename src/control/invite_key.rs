//! The key of invitations: a file in the state directory, so that links outlive a restart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::switchboard::Invites;

/// The file in the state directory.
const FILE: &str = "invite.key";

/// Its name until it is complete; one that is found was cut short, and is made anew.
const FILE_IN_THE_MAKING: &str = "invite.new";

/// Names the file, for whoever is to look at it.
pub(super) fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Reads the key of a locked state directory, or makes one where there is none; `None`, which is
/// logged, when invitations are to be off.
///
/// A file that is there and is no key is left alone: another in its place would end every
/// invitation without anybody having said so, and what is served does not depend on it.
pub(super) fn open(state: &Path) -> Option<Invites> {
    let path = path(state);
    let key = match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(state, &path),
        found => found,
    };
    match key {
        Ok(key) => Some(Invites::new(&key)),
        Err(error) => {
            let file = path.display();
            tracing::error!(
                %file, %error,
                "invitations are off: mend the file or delete it, which ends those there are, and \
                 start again"
            );
            None
        }
    }
}

fn read(path: &Path) -> io::Result<[u8; Invites::KEY_BYTES]> {
    // One byte more than a key, so that what is longer is seen to be.
    let mut found = Vec::new();
    let most = Invites::KEY_BYTES as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut found)?;
    let wrong = |_| {
        let words = format!("it has not {} bytes", Invites::KEY_BYTES);
        io::Error::new(io::ErrorKind::InvalidData, words)
    };
    found.try_into().map_err(wrong)
}

fn make(state: &Path, path: &Path) -> io::Result<[u8; Invites::KEY_BYTES]> {
    let mut key = [0; Invites::KEY_BYTES];
    rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes are to be had"))?;
    let making = state.join(FILE_IN_THE_MAKING);
    match fs::remove_file(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&making)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // By a rename, so that a crash leaves no half of a key, which would be taken for a broken one.
    fs::rename(&making, path)?;
    File::open(state)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::site::SiteName;

    fn issued(state: &Path) -> Option<String> {
        open(state).map(|invites| invites.issue(&SiteName::new("ispot"), 1))
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        // Left by a start that died.
        fs::write(state.path().join(FILE_IN_THE_MAKING), "half").unwrap();

        let first = issued(state.path());

        let made = fs::metadata(path(state.path())).unwrap();
        assert_eq!((made.len(), made.permissions().mode() & 0o777), (32, 0o600));
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1, "no rest");
        assert!(first.is_some());
        assert_eq!(issued(state.path()), first, "the same after a restart");
        fs::remove_file(path(state.path())).unwrap();
        assert_ne!(issued(state.path()), first, "another when it was deleted");
    }

    #[test]
    fn what_is_no_key_is_left_alone_and_turns_invitations_off() {
        let state = tempfile::tempdir().unwrap();

        for wrong in [&b"short"[..], &[7; 33], b""] {
            fs::write(path(state.path()), wrong).unwrap();
            assert!(open(state.path()).is_none());
            assert_eq!(fs::read(path(state.path())).unwrap(), wrong);
        }
    }
}
