//! Picking: from the name that a client asks for to the certificate that answers.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;

use super::certificate::Certificate;
use super::folder::ADMIN;

/// A certificate of the folder that answers when no name is asked for, or an unknown one.
const DEFAULT_LABEL: &str = "default";

/// Every certificate, by name.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// By the hosts of the site that names it in the table: these are looked at first.
    bound: Index,
    /// By its own names.
    named: Index,
    fallback: Option<Arc<Certificate>>,
    /// Answers at the admin listener, and nowhere else.
    admin: Option<Arc<Certificate>>,
    all: Vec<Arc<Certificate>>,
}

/// Exact names, and what follows the `*.` of wildcards.
#[derive(Debug, Default)]
struct Index {
    exact: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    wildcard: HashMap<Box<str>, Vec<Arc<Certificate>>>,
}

impl Set {
    /// Indexes certificates, each with the hosts that it answers for before all others.
    pub(super) fn new(mut certificates: Vec<(Arc<Certificate>, Vec<String>)>) -> Self {
        // Of two for one name, the one that is valid for longer answers.
        certificates.sort_by(|(one, _), (other, _)| {
            let later = other.not_after.cmp(&one.not_after);
            later.then_with(|| one.label.cmp(&other.label))
        });
        let is_admin = |(one, _): &(Arc<Certificate>, _)| one.label == ADMIN;
        let admin = certificates.iter().position(is_admin);
        let mut set = Self {
            admin: admin.map(|at| certificates.remove(at).0),
            ..Self::default()
        };
        for (certificate, hosts) in &certificates {
            for host in hosts {
                set.bound.add(host, certificate);
            }
            for name in &certificate.names {
                set.named.add(name, certificate);
            }
        }
        set.all = certificates.into_iter().map(|(one, _)| one).collect();
        set.all.sort_by(|one, other| one.label.cmp(&other.label));
        let named_so = set.all.iter().find(|one| one.label == DEFAULT_LABEL);
        set.fallback = named_so.or_else(|| set.all.first()).cloned();
        set
    }

    /// Finds the certificate for a server name (RFC 6066 §3), the exact one before a wildcard.
    ///
    /// Of several, the first that the client can check the signature of. Who asks for no name, or
    /// for one that no certificate has, gets the default: the mismatch that the client then
    /// reports says more than a broken handshake.
    pub(super) fn pick(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<Certificate>> {
        let named = server_name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let found = self.bound.find(&name, schemes);
            found.or_else(|| self.named.find(&name, schemes))
        });
        named.or(self.fallback.as_ref()).cloned()
    }

    /// Shows the certificate that is for the admin listener only.
    pub(super) fn admin(&self) -> Option<&Arc<Certificate>> {
        self.admin.as_ref()
    }

    /// Shows every certificate that users may be answered with, in the order of labels.
    pub(super) fn all(&self) -> &[Arc<Certificate>] {
        &self.all
    }
}

impl Index {
    fn add(&mut self, name: &str, certificate: &Arc<Certificate>) {
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, name),
        };
        let same = names.entry(name.into()).or_default();
        same.push(Arc::clone(certificate));
    }

    fn find(&self, name: &str, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        let usable = |found: &'_ &Arc<Certificate>| found.key.key.choose_scheme(schemes).is_some();
        let exact = self.exact.get(name).into_iter().flatten();
        let parent = name.split_once('.').map_or("", |(_, parent)| parent);
        let wildcard = self.wildcard.get(parent).into_iter().flatten();
        exact.chain(wildcard).find(usable)
    }
}
