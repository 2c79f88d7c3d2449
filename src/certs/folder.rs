//! The files: which of them hold certificates, and whether they have changed.

use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::table::{CertFiles, Table};

/// The longest file that is read, in bytes: a chain of a dozen certificates has some 30 kB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The most certificates of a folder; the files after them, by name, are not looked at.
pub(super) const CERTIFICATES_MAX: usize = 20_000;

/// What the certificate of `admin: {tls}` is called; it answers at the admin listener only.
pub(super) const ADMIN: &str = "admin.tls";

/// How the file of a private key ends that is not in the file of its chain.
const KEY_END: &str = ".key.pem";

/// Where certificates are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    folder: PathBuf,
    /// `tls: {cert, key}` of sites and of `admin`, with the hosts that they answer for.
    pairs: Vec<Pair>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    label: String,
    hosts: Vec<String>,
    cert: PathBuf,
    key: PathBuf,
}

/// One certificate to be loaded.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// What it is called: the name of its file without `.pem`, or the key of the table.
    pub(super) label: String,
    pub(super) chain: PathBuf,
    /// `None` when the key is in the chain's file, or nowhere.
    pub(super) key: Option<PathBuf>,
    /// The hosts that it answers for before all others; empty for those of the folder.
    pub(super) hosts: Vec<String>,
}

impl Sources {
    /// Takes from a table what it says of certificates; nothing when nobody listens for TLS.
    pub(super) fn of(table: &Table) -> Self {
        let listen = &table.listen;
        if listen.https.is_empty() && listen.admin_tls.is_empty() {
            return Self::default();
        }
        let pair = |label, hosts, files: &CertFiles| Pair {
            label,
            hosts,
            cert: files.cert.clone(),
            key: files.key.clone(),
        };
        let sites = table.sites.iter().filter_map(|site| {
            let label = format!("sites.{}.tls", site.name);
            Some(pair(label, site.hosts.clone(), site.tls.as_ref()?))
        });
        let admin = table.admin.tls.as_ref();
        let admin = admin.map(|files| pair(ADMIN.into(), Vec::new(), files));
        Self {
            pairs: sites.chain(admin).collect(),
            folder: table.certs.clone(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lists what is to be loaded; the folder in the order of names.
    ///
    /// # Errors
    /// The folder cannot be read, which is no error when it is not there but pairs are.
    pub(super) fn list(&self) -> io::Result<Vec<Source>> {
        let mut found: Vec<Source> = self.pairs.iter().map(Pair::source).collect();
        if self.folder.as_os_str().is_empty() {
            return Ok(found);
        }
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !found.is_empty() => {
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".pem") && !name.starts_with('.'))
            .collect();
        names.sort();
        let chains = names.iter().filter(|name| !name.ends_with(KEY_END));
        for name in chains.take(CERTIFICATES_MAX) {
            let label = name.trim_end_matches(".pem");
            let key = format!("{label}{KEY_END}");
            found.push(Source {
                label: label.into(),
                chain: self.folder.join(name),
                key: names
                    .binary_search(&key)
                    .is_ok()
                    .then(|| self.folder.join(&key)),
                hosts: Vec::new(),
            });
        }
        Ok(found)
    }
}

impl Pair {
    fn source(&self) -> Source {
        Source {
            label: self.label.clone(),
            chain: self.cert.clone(),
            key: Some(self.key.clone()),
            hosts: self.hosts.clone(),
        }
    }
}

impl Source {
    /// The name of the file that the key is expected in.
    pub(super) fn key_file(&self) -> String {
        match &self.key {
            Some(key) => key.display().to_string(),
            None => format!("{}{KEY_END}", self.label),
        }
    }

    /// Tells the files as they are at present from what they were.
    pub(super) fn stamp(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in [Some(&self.chain), self.key.as_ref()].into_iter().flatten() {
            file.hash(&mut hasher);
            let stamp = file.metadata().ok();
            stamp.as_ref().map(Self::of_file).hash(&mut hasher);
        }
        self.hosts.hash(&mut hasher);
        hasher.finish()
    }

    /// What changes when a file is written, replaced or pointed elsewhere.
    fn of_file(file: &Metadata) -> [u64; 5] {
        let nanoseconds =
            |seconds: i64, rest: i64| (seconds * 1_000_000_000 + rest).cast_unsigned();
        [
            file.dev(),
            file.ino(),
            file.size(),
            nanoseconds(file.mtime(), file.mtime_nsec()),
            nanoseconds(file.ctime(), file.ctime_nsec()),
        ]
    }
}

/// Reads a file that is not too long and cannot block.
///
/// # Errors
/// What the operating system said, or why it is not read.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        let why = format!("it is no file of at most {FILE_BYTES_MAX} bytes");
        return Err(io::Error::other(why));
    }
    fs::read(path)
}
