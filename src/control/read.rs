//! Reading files from the disk: whole, or what differs from a text that is known.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use crate::table::{ReadFile, Source};

/// The largest file that is read: a table of 100,000 sites has some 30 MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes that are read at a time: the kernel copies what one call asks for without letting anybody
/// else have the core, which is milliseconds for a large file.
const PIECE_BYTES: u64 = 64 * 1024;

/// The rights of those who are neither the owner of a file nor of its group.
const OTHERS: u32 = 0o007;

/// Reads files from the disk, for [`crate::table::Table::load`].
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl ReadFile for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        read(path)
    }

    fn read_secret(&self, path: &Path) -> io::Result<String> {
        let (_, metadata) = open(path)?;
        if metadata.permissions().mode() & OTHERS != 0 {
            let why = "others on this machine have rights to it: `chmod o=` it";
            return Err(io::Error::other(why));
        }
        read(path)
    }
}

/// Reads a regular file.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    while (&file).take(PIECE_BYTES).read_to_end(&mut bytes)? > 0 {
        bounded(bytes.len() as u64)?;
    }
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(bytes).map_err(not_text)
}

/// Opens a regular file.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Looked at before it is opened: to open a pipe waits for somebody who writes into it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn bounded(length: u64) -> io::Result<()> {
    if length > FILE_BYTES_MAX {
        let why = format!("it has more than the {FILE_BYTES_MAX} bytes that are read");
        return Err(io::Error::other(why));
    }
    Ok(())
}

/// A regular file that is compared with what is known of it.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    length: usize,
    /// What the system says of it.
    pub(super) metadata: Metadata,
}

impl Opened {
    /// Opens it. Who writes into it meanwhile has it read once more when he is done.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let (file, metadata) = open(path)?;
        bounded(metadata.len())?;
        Ok(Self {
            file,
            length: usize::try_from(metadata.len()).map_err(io::Error::other)?,
            metadata,
        })
    }
}

impl Source for Opened {
    fn length(&self) -> usize {
        self.length
    }

    fn read_at(&self, at: usize, room: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(room, at as u64)
    }
}
