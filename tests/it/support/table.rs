//! Tables for tests: files that do not exist, and small texts.

use std::io;
use std::path::Path;

use pointsman::table::ReadFile;

/// No file at all: whatever the table names cannot be read.
pub(crate) struct NoFiles;

impl ReadFile for NoFiles {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}
