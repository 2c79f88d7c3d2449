//! The proxies that are compared: each stands in front of the same two origins, on as many threads
//! as the machine has cores, with connections to the origins that are kept.

mod haproxy;
mod nginx;
mod pointsman;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::counts::Side;
use crate::support::daemon::Place;

pub(crate) use haproxy::{Haproxy, Way};
pub(crate) use nginx::Nginx;
pub(crate) use pointsman::Pointsman;

pub(crate) trait Proxy {
    /// What it is, and how it is flipped.
    fn name(&self) -> &'static str;

    fn address(&self) -> SocketAddr;

    /// Moves the site, and returns when its operator is told, or has to take it, that it is done.
    fn flip(&mut self, to: Side);

    /// Waits, and tells what was seen from outside of a flip that went on after it was done.
    fn rest(&mut self, length: Duration) -> Vec<(&'static str, Instant)> {
        std::thread::sleep(length);
        Vec::new()
    }
}

/// Starts everything that is there, and says what is not.
pub(crate) fn start(place: &Place) -> Vec<Box<dyn Proxy + '_>> {
    let mut proxies: Vec<Box<dyn Proxy + '_>> = vec![Box::new(Pointsman::start(place))];
    if is_there("nginx", "nginx-light") {
        proxies.push(Box::new(Nginx::start(place)));
    }
    if is_there("haproxy", "haproxy") {
        for way in [Way::ShutDown, Way::Drain] {
            proxies.push(Box::new(Haproxy::start(place, way)));
        }
    }
    proxies
}

/// Prints the version of a program, or how to install it.
fn is_there(program: &str, package: &str) -> bool {
    let Ok(said) = Command::new(program).arg("-v").output() else {
        println!(
            "{program} IS NOT INSTALLED, so it is left out: \
             apt-get install --no-install-recommends {package}"
        );
        return false;
    };
    // nginx says it on stderr.
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("against: {}", said.lines().next().unwrap_or(program));
    true
}
