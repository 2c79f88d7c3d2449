//! The matcher: from a host name to its site, on every request.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::Site;

/// Finds sites by exact host name.
///
/// The map is keyed at random per process (std's hasher), so that nobody can choose host names
/// that collide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher(HashMap<Box<str>, usize>);

impl Matcher {
    /// Indexes every host of the sites by the position of its site.
    pub fn new(sites: &[Arc<Site>]) -> Self {
        let mut hosts = HashMap::with_capacity(sites.len());
        for (index, site) in sites.iter().enumerate() {
            for host in &site.hosts {
                hosts.insert(host.as_str().into(), index);
            }
        }
        Self(hosts)
    }

    /// Finds the position of the site that has a host, written in any case.
    ///
    /// Allocates only for a host that is not in lower case.
    pub fn find(&self, host: &str) -> Option<usize> {
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.0.get(host.to_ascii_lowercase().as_str()).copied();
        }
        self.0.get(host).copied()
    }
}
