//! Tables for tests: files that do not exist, and small texts.

use std::io;
use std::path::Path;

use pointsman::table::ReadFile;

/// A few files, by the ends of their paths.
pub(crate) struct Files<'f>(pub(crate) &'f [(&'f str, &'f str)]);

impl ReadFile for Files<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        let found = self.0.iter().find(|(end, _)| path.ends_with(end));
        let (_, text) = found.ok_or(io::ErrorKind::NotFound)?;
        Ok((*text).to_owned())
    }
}

/// No file at all: whatever the table names cannot be read.
pub(crate) struct NoFiles;

impl ReadFile for NoFiles {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}
