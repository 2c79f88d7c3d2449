//! HAProxy, flipped through its runtime API, in the two ways that its Management Guide has for it
//! (section 9.3, "Unix Socket commands": `set server … state`, `shutdown sessions server`).

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::counts::Side;
use crate::support::daemon::{Daemon, Place};
use crate::support::wait::until;

use super::Proxy;

/// How long a drain is waited for before it is taken to be done.
const DRAIN_FOR: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// The old server to `maint`, which "disables any traffic", the new one to `ready`, and
    /// `shutdown sessions server` for what is in flight: "after a server is put into maintenance
    /// mode, for instance". All in one line, which is "processed as a whole", and in this order, so
    /// that no two servers are ready. Done when it is answered.
    ShutDown,
    /// The old server to `drain`, which "only removes the server from load balancing". The new one
    /// is made `ready` first, so that nobody finds no server. Done when `show stat` tells of no
    /// session at the old one, or after [`DRAIN_FOR`].
    Drain,
}

pub(crate) struct Haproxy {
    way: Way,
    address: SocketAddr,
    socket: PathBuf,
    _process: Daemon,
}

impl Haproxy {
    pub(crate) fn start(place: &Place, way: Way) -> Self {
        let port = match way {
            Way::ShutDown => 8082,
            Way::Drain => 8083,
        };
        let address = SocketAddr::new(place.ip.into(), port);
        let folder = place.path().join(format!("haproxy-{port}"));
        fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("api");
        let config = CONFIG
            .replace("SOCKET", &socket.display().to_string())
            .replace("LISTEN", &address.to_string())
            .replace("LIVE", &place.origin("live"))
            .replace("BACKUP", &place.origin("backup"));
        fs::write(folder.join("haproxy.cfg"), config).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(folder.join("haproxy.cfg"));
        let process = Daemon::spawn(&mut command);
        until("HAProxy listens", || {
            std::net::TcpStream::connect(address).ok()
        });
        Self {
            way,
            address,
            socket,
            _process: process,
        }
    }

    /// Sends a line of commands, and shows what they say.
    fn api(&self, commands: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        writeln!(stream, "{commands}").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    /// Sends a line of commands that have nothing to say if all is well.
    fn order(&self, commands: &str) {
        let said = self.api(commands);
        assert_eq!(said.trim(), "", "{commands}");
    }

    /// Counts the sessions at a server: `scur`, the fifth column of its line (section 9.1).
    fn sessions(&self, side: Side) -> u64 {
        let stat = self.api("show stat be 4 -1");
        let begin = format!("be,{},", side.name());
        let line = stat.lines().find(|line| line.starts_with(&begin)).unwrap();
        line.split(',').nth(4).unwrap().parse().unwrap()
    }

    fn await_no_sessions(&self, side: Side) {
        let deadline = Instant::now() + DRAIN_FOR;
        while self.sessions(side) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Proxy for Haproxy {
    fn name(&self) -> &'static str {
        match self.way {
            Way::ShutDown => "HAProxy, sessions shut down",
            Way::Drain => "HAProxy, drained",
        }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn flip(&mut self, to: Side) {
        let (new, old) = (to.name(), to.other().name());
        match self.way {
            Way::ShutDown => self.order(&format!(
                "set server be/{old} state maint; set server be/{new} state ready; \
                 shutdown sessions server be/{old}"
            )),
            Way::Drain => {
                self.order(&format!(
                    "set server be/{new} state ready; set server be/{old} state drain"
                ));
                self.await_no_sessions(to.other());
            }
        }
    }
}

/// No checks and no limits: nothing but the API moves anything.
const CONFIG: &str = "
global
    stats socket SOCKET mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend fe
    bind LISTEN
    default_backend be
backend be
    server live LIVE
    server backup BACKUP disabled
";
