//! The matcher: from a host name to its site, on every request.

use std::collections::HashMap;
use std::sync::Arc;

use super::chunks::Chunks;
use super::model::Site;

/// The longest name that DNS has, in characters (RFC 1035 §2.3.4).
const HOST_MAX: usize = 253;

/// Finds sites by host name: an exact one first, then the longest wildcard, then the default.
///
/// The maps are keyed at random per process (std's hasher), so that nobody can choose host names
/// that collide. A name costs a look for each of its labels at most, however many sites there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    exact: HashMap<Box<str>, usize>,
    /// By what follows the `*.`: every name below it, at any depth, and not itself (RFC 4592 §2.1).
    below: HashMap<Box<str>, usize>,
    default: Option<usize>,
}

impl Matcher {
    /// Indexes every host of the sites by the position of its site.
    pub fn new(sites: &Chunks<Arc<Site>>) -> Self {
        let mut matcher = Self {
            exact: HashMap::with_capacity(sites.len()),
            ..Self::default()
        };
        for (index, site) in sites.iter().enumerate() {
            for host in &site.hosts {
                match host.strip_prefix("*.") {
                    Some(parent) => matcher.below.insert(parent.into(), index),
                    None => matcher.exact.insert(host.as_str().into(), index),
                };
            }
        }
        matcher
    }

    /// Gives the names that no site has to the site at a position.
    #[must_use]
    pub fn with_default(mut self, site: Option<usize>) -> Self {
        self.default = site;
        self
    }

    /// Counts the hosts.
    pub(super) fn hosts(&self) -> usize {
        self.exact.len() + self.below.len()
    }

    /// Finds the position of the site that has a host as the table writes it, `*.` included.
    pub(super) fn owner(&self, host: &str) -> Option<usize> {
        let owner = match host.strip_prefix("*.") {
            Some(parent) => self.below.get(parent),
            None => self.exact.get(host),
        };
        owner.copied()
    }

    /// Finds the position of the site that has a host, written in any case.
    ///
    /// Allocates only for a host that is not in lower case.
    pub fn find(&self, host: &str) -> Option<usize> {
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find_lower(&host.to_ascii_lowercase());
        }
        self.find_lower(host)
    }

    fn find_lower(&self, host: &str) -> Option<usize> {
        let exact = self.exact.get(host).copied();
        exact.or_else(|| self.find_below(host)).or(self.default)
    }

    fn find_below(&self, host: &str) -> Option<usize> {
        // Each label costs a hash of what follows it: a name is bounded before it is looked at.
        if self.below.is_empty() || host.len() > HOST_MAX {
            return None;
        }
        let mut rest = host;
        while let Some((label, parent)) = rest.split_once('.') {
            if let Some(&site) = self.below.get(parent)
                && !label.is_empty()
            {
                return Some(site);
            }
            rest = parent;
        }
        None
    }
}
