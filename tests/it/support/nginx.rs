//! nginx from Debian as a side's web server, with a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::daemon::{Daemon, Place};
use super::wait::until;

/// A running nginx; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Nginx {
    log: PathBuf,
    process: Daemon,
    workers: Workers,
}

/// How nginx runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workers {
    /// As a single process, which is ended as one.
    None,
    /// With a master, which reads the file again and ends its worker.
    One,
}

impl Nginx {
    /// Starts it as an origin of a place; what comes to `/ws` goes on to `websockets`.
    pub(crate) fn start(place: &Place, side: &str, websockets: &str) -> Self {
        let folder = place.path().join(side);
        fs::create_dir_all(folder.join("site")).unwrap();
        let page =
            format!("<!doctype html><title>{side}</title><h1>iSpot</h1><p id=side>{side}</p>\n");
        fs::write(folder.join("site/index.html"), page).unwrap();
        fs::write(folder.join("site/slow"), "x".repeat(3_000)).unwrap();
        Self::serving(place, side, &PAGES.replace("WEBSOCKETS", websockets))
    }

    /// Starts it as an origin of a place that passes everything on to a program at `address`.
    pub(crate) fn before(place: &Place, side: &str, address: &str) -> Self {
        let pass = format!("location / {{ proxy_pass http://{address}; }}");
        Self::serving(place, side, &pass)
    }

    fn serving(place: &Place, side: &str, locations: &str) -> Self {
        Self::of(place, side, &SERVER.replace("LOCATIONS", locations))
    }

    /// Starts it as an origin of a place with servers of the test's own.
    pub(crate) fn of(place: &Place, side: &str, servers: &str) -> Self {
        Self::run(place, side, servers, Workers::None)
    }

    /// The same, but for SIGHUP, which has it read its file again.
    pub(crate) fn reloading(place: &Place, side: &str, servers: &str) -> Self {
        Self::run(place, side, servers, Workers::One)
    }

    fn run(place: &Place, side: &str, servers: &str, workers: Workers) -> Self {
        let folder = place.path().join(side);
        fs::create_dir_all(&folder).unwrap();
        let origin = place.origin(side);
        let config = CONFIG
            .replace("SERVERS", servers)
            .replace("PROCESSES", workers.as_written())
            .replace("FOLDER", &folder.display().to_string())
            .replace("ORIGIN", &origin)
            .replace("SIDE", side);
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(folder.join("error.log"));
        command.arg("-p").arg(&folder);
        command.arg("-c").arg(folder.join("nginx.conf"));
        let process = Daemon::spawn(&mut command);
        until("nginx listens", || {
            std::net::TcpStream::connect(&origin).ok()
        });
        Self {
            log: folder.join("access.log"),
            process,
            workers,
        }
    }

    /// The requests of users so far, a line each: when it ended, in seconds, and its target.
    pub(crate) fn requests(&self) -> Vec<(f64, String)> {
        let text = fs::read_to_string(&self.log).unwrap();
        let users = text.lines().filter(|line| !line.contains("pointsman/"));
        users
            .map(|line| {
                let mut words = line.split(' ');
                let ended = words.next().unwrap().parse().unwrap();
                (ended, words.next().unwrap().to_owned())
            })
            .collect()
    }
}

impl Workers {
    fn as_written(self) -> &'static str {
        match self {
            Self::None => "master_process off;",
            Self::One => "worker_processes 1;",
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A master that is killed leaves its worker behind.
        if self.workers == Workers::One {
            self.process.signal("TERM");
            self.process.wait();
        }
    }
}

const CONFIG: &str = r#"
daemon off;
PROCESSES
pid FOLDER/nginx.pid;
events { worker_connections 512; }
http {
    log_format short '$msec $request_uri $status "$http_user_agent"';
    access_log FOLDER/access.log short;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    types { text/html html; }
    SERVERS
}
"#;

const SERVER: &str = "
    server {
        listen ORIGIN;
        root FOLDER/site;
        LOCATIONS
    }
";

/// `/slow` takes some seconds, `/film` half a minute.
const PAGES: &str = r#"
        location = /side { return 200 SIDE; }
        location = /slow { limit_rate 1000; }
        location = /film { alias FOLDER/site/slow; limit_rate 100; }
        location = /ws {
            proxy_pass http://WEBSOCKETS;
            proxy_http_version 1.1;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }
"#;
