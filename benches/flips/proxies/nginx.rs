//! nginx, flipped by an edit of its configuration and `nginx -s reload`.
//!
//! Done is when the command has returned: it has only sent a signal then, and nothing tells an
//! operator when it has taken effect. So that is looked for from outside, in the children of the
//! master process: when there are as many new workers as there were old ones, and when no old one is
//! left.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::counts::Side;
use crate::support::daemon::{Daemon, Place};
use crate::support::wait::until;

use super::Proxy;

pub(crate) struct Nginx<'p> {
    place: &'p Place,
    folder: PathBuf,
    address: SocketAddr,
    master: Daemon,
    /// The workers that a flip replaces.
    old: BTreeSet<u32>,
}

impl<'p> Nginx<'p> {
    pub(crate) fn start(place: &'p Place) -> Self {
        let folder = place.path().join("nginx");
        fs::create_dir_all(&folder).unwrap();
        let address = SocketAddr::new(place.ip.into(), 8081);
        write_config(place, &folder, address, Side::Live);
        let mut nginx = Self {
            master: Daemon::spawn(&mut nginx(&folder)),
            place,
            folder,
            address,
            old: BTreeSet::new(),
        };
        until("nginx listens", || {
            std::net::TcpStream::connect(address).ok()
        });
        nginx.old = nginx.workers();
        nginx
    }

    fn workers(&self) -> BTreeSet<u32> {
        let master = self.master.id();
        let children =
            fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        let children = children.split_whitespace();
        children.map(|id| id.parse().unwrap()).collect()
    }
}

impl Proxy for Nginx<'_> {
    fn name(&self) -> &'static str {
        "nginx, `-s reload`"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn flip(&mut self, to: Side) {
        self.old = self.workers();
        write_config(self.place, &self.folder, self.address, to);
        let done = nginx(&self.folder).args(["-s", "reload"]).status().unwrap();
        assert!(done.success(), "nginx -s reload: {done}");
    }

    fn rest(&mut self, length: Duration) -> Vec<(&'static str, Instant)> {
        let over = Instant::now() + length;
        let (mut started, mut gone) = (None, None);
        while Instant::now() < over {
            let workers = self.workers();
            let new = workers.difference(&self.old).count();
            if started.is_none() && new >= self.old.len() {
                started = Some(("new workers started", Instant::now()));
            }
            if started.is_some() && gone.is_none() && new == workers.len() {
                gone = Some(("old workers gone", Instant::now()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        started.into_iter().chain(gone).collect()
    }
}

impl Drop for Nginx<'_> {
    fn drop(&mut self) {
        // A master that is killed leaves its workers behind.
        self.master.signal("TERM");
        self.master.wait();
    }
}

fn nginx(folder: &std::path::Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-e").arg(folder.join("error.log"));
    command.arg("-p").arg(folder);
    command.arg("-c").arg(folder.join("nginx.conf"));
    command
}

/// Replaces the configuration by a rename, as an editor does.
fn write_config(place: &Place, folder: &std::path::Path, address: SocketAddr, side: Side) {
    // Its workers have to get at the folder, which is ours only.
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let config = CONFIG
        .replace("FOLDER", &folder.display().to_string())
        .replace("USER", String::from_utf8_lossy(&user).trim())
        .replace("LISTEN", &address.to_string())
        .replace("ORIGIN", &place.origin(side.name()));
    fs::write(folder.join("new.conf"), config).unwrap();
    fs::rename(folder.join("new.conf"), folder.join("nginx.conf")).unwrap();
}

/// A body that is posted fits the buffer, so that no disk is measured.
const CONFIG: &str = r#"
daemon off;
user USER;
worker_processes auto;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    client_max_body_size 2m;
    client_body_buffer_size 1m;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    upstream site {
        server ORIGIN;
        keepalive 64;
    }
    server {
        listen LISTEN;
        location / {
            proxy_pass http://site;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }
    }
}
"#;
