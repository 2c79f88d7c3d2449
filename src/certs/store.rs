//! The store: every certificate that is good, and what is wrong with the others.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ProducesTickets};

use crate::table::Table;

use super::certificate::{Certificate, Unusable};
use super::folder::{Source, Sources, read};
use super::names::Set;

/// The certificates that answer, shared by every worker; replaced whole when the files change.
#[derive(Debug)]
pub struct Store {
    current: ArcSwap<Set>,
    /// Taken by whoever looks at the files, and by nobody who serves.
    known: Mutex<Known>,
    ticketer: Arc<dyn ProducesTickets>,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Known {
    sources: Sources,
    /// By label.
    kept: BTreeMap<String, Kept>,
    folder_problem: Option<String>,
}

/// One source: what it last gave that was good, and what is wrong with it at present.
#[derive(Debug)]
struct Kept {
    stamp: u64,
    good: Option<(Arc<Certificate>, Vec<String>)>,
    problem: Option<String>,
}

/// One certificate, or a file that should be one, as it is shown to operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its file without `.pem`, or its key in the table; `certs` is the folder itself.
    pub label: String,
    /// The names it is for; empty when none was ever good.
    pub names: Vec<String>,
    /// The last second of its validity, since the Unix epoch; `None` when none was ever good.
    pub not_after: Option<u64>,
    /// Why the file as it is on disk is not what answers, or that its time is over.
    pub problem: Option<String>,
}

impl Store {
    /// Makes a store that has none.
    ///
    /// # Errors
    /// rustls has no randomness for its session tickets; the machine is at fault.
    pub fn empty() -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(Set::default()),
            known: Mutex::new(Known::default()),
            ticketer: rustls::crypto::aws_lc_rs::Ticketer::new()?,
        }))
    }

    /// Goes by another table from here on, and loads what it names.
    pub fn follow(&self, table: &Table) {
        self.lock().sources = Sources::of(table);
        self.look_again();
    }

    /// Looks at the files and takes over what has changed in them.
    pub fn look_again(&self) {
        let mut known = self.lock();
        known.look(now(), &self.ticketer);
        let good = known.kept.values().filter_map(|kept| kept.good.clone());
        self.current.store(Arc::new(Set::new(good.collect())));
    }

    /// Tells the files as they are at present from what they were, without reading them.
    pub fn stamp(&self) -> u64 {
        // Not under the lock: looking at many files takes its time.
        let sources = self.lock().sources.clone();
        let mut hasher = DefaultHasher::new();
        match sources.list() {
            Ok(found) => {
                for source in found {
                    source.stamp().hash(&mut hasher);
                }
            }
            Err(error) => error.kind().hash(&mut hasher),
        }
        hasher.finish()
    }

    /// Picks the certificate that answers a client; `None` when there is none at all.
    pub fn pick(&self, hello: &ClientHello<'_>) -> Option<Arc<Certificate>> {
        let set = self.current.load();
        set.pick(hello.server_name(), hello.signature_schemes())
    }

    /// Picks the certificate that answers at the admin listener: its own, else as for any client.
    pub fn pick_for_admin(&self, hello: &ClientHello<'_>) -> Option<Arc<Certificate>> {
        let own = self.current.load().admin().cloned();
        own.or_else(|| self.pick(hello))
    }

    /// Tells whether nothing can answer at the admin listener.
    pub fn is_empty_for_admin(&self) -> bool {
        self.current.load().admin().is_none() && self.is_empty()
    }

    /// Tells whether a host can be answered for.
    pub fn covers(&self, host: &str) -> bool {
        let set = self.current.load();
        set.all().iter().any(|certificate| certificate.covers(host))
    }

    /// Tells whether no certificate can answer.
    pub fn is_empty(&self) -> bool {
        self.current.load().all().is_empty()
    }

    /// Says what is wrong when no certificate can answer, and what to do.
    pub fn why_empty(&self, folder: &Path) -> String {
        let remedy = format!(
            "put the chain and the key of one into {0}/NAME.pem and {0}/NAME.key.pem",
            folder.display()
        );
        let problems = self.shown().into_iter().filter_map(|shown| {
            let problem = shown.problem?;
            Some(format!("{}: {problem}; ", shown.label))
        });
        problems.chain([remedy]).collect()
    }

    /// Shows what there is and what is wrong, in the order of labels.
    pub fn shown(&self) -> Vec<Shown> {
        let now = now();
        let known = self.lock();
        let folder = known.folder_problem.iter().map(|problem| Shown {
            label: "certs".into(),
            names: Vec::new(),
            not_after: None,
            problem: Some(problem.clone()),
        });
        let each = known.kept.iter().filter_map(|(label, kept)| {
            let good = kept.good.as_ref().map(|(certificate, _)| certificate);
            let over = || Some(good?.dated(now).err()?.to_string());
            let problem = kept.problem.clone().or_else(over);
            (good.is_some() || problem.is_some()).then(|| Shown {
                label: label.clone(),
                names: good.map(|good| good.names.clone()).unwrap_or_default(),
                not_after: good.map(|good| good.not_after),
                problem,
            })
        });
        folder.chain(each).collect()
    }

    /// Tells whether a certificate is one of ours that answers at present.
    pub(super) fn is_ours(&self, certificate: &CertificateDer<'_>) -> bool {
        let set = self.current.load();
        let ours = |one: &Arc<Certificate>| one.key.cert.first() == Some(certificate);
        set.all().iter().any(ours)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn look(&mut self, now: u64, ticketer: &Arc<dyn ProducesTickets>) {
        let folder = self.sources.folder().display().to_string();
        let found = match self.sources.list() {
            Ok(found) => found,
            Err(error) => {
                let why = format!("{folder} cannot be read: {error}");
                return self.folder_is(Some(why));
            }
        };
        let mut kept = BTreeMap::new();
        for source in found {
            let before = self.kept.remove(&source.label);
            let label = source.label.clone();
            kept.insert(label, Kept::next(before, source, now, ticketer));
        }
        let is_good = |kept: &Kept| kept.good.is_some();
        if !kept.values().any(is_good) && self.kept.values().any(is_good) {
            // Whoever empties the folder means to fill it again: what was there goes on.
            kept.extend(std::mem::take(&mut self.kept));
            self.kept = kept;
            return self.folder_is(Some(format!("{folder} has no certificate any more")));
        }
        self.kept = kept;
        self.folder_is(None);
    }

    fn folder_is(&mut self, problem: Option<String>) {
        if let Some(why) = &problem
            && self.folder_problem != problem
        {
            tracing::error!(
                why,
                "the certificates are not taken, the last good ones go on"
            );
        }
        self.folder_problem = problem;
    }
}

impl Kept {
    /// Looks at a source again: what is not good does not take the place of what was.
    fn next(
        before: Option<Self>,
        source: Source,
        now: u64,
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Self {
        let stamp = source.stamp();
        let last_good = match before {
            Some(before) if before.stamp == stamp => return before,
            Some(before) => before.good,
            None => None,
        };
        let loaded = load(&source, ticketer);
        let dated = loaded.and_then(|certificate| match certificate.dated(now) {
            Err(why) if last_good.is_some() => Err(why),
            Ok(()) | Err(_) => Ok(certificate),
        });
        match dated {
            Ok(certificate) => {
                tracing::info!(cert = source.label, names = ?certificate.names, "certificate taken");
                let uncovered = source.hosts.iter().find(|host| !certificate.covers(host));
                let problem =
                    uncovered.map(|host| format!("it is not for {host}, a host of the site"));
                Self {
                    stamp,
                    good: Some((Arc::new(certificate), source.hosts)),
                    problem,
                }
            }
            // It may lie there in peace, for whoever has to be told whom to trust.
            Err(Unusable::Authority) if source.hosts.is_empty() => Self {
                stamp,
                good: None,
                problem: None,
            },
            Err(why) => {
                let cert = &source.label;
                tracing::error!(cert, %why, "the certificate is not taken, the last good one goes on");
                Self {
                    stamp,
                    good: last_good,
                    problem: Some(why.to_string()),
                }
            }
        }
    }
}

fn load(source: &Source, ticketer: &Arc<dyn ProducesTickets>) -> Result<Certificate, Unusable> {
    let readable = |path: &Path| {
        read(path).map_err(|error| Unusable::Unreadable {
            file: path.display().to_string(),
            why: error.to_string(),
        })
    };
    let chain = readable(&source.chain)?;
    let key = source.key.as_deref().map(readable).transpose()?;
    let key_file = source.key_file();
    Certificate::parse(&source.label, &chain, key.as_deref(), &key_file, ticketer)
}

/// Seconds since the Unix epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
