//! A stand-in with the agreed signatures, until the parts are joined.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::admin::{self, Listeners, Parts};
use crate::control::{self, standin};
use crate::site::{Epoch, Generation, Position, Positions};
use crate::switchboard::{Snapshot, Switchboard};
use crate::table::{Diagnostic, ReadFile, Table};
use crate::telemetry::Metrics;
use crate::zone::Zones;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has mistakes.
    #[error("{} mistakes", .0.len())]
    Mistakes(Vec<Diagnostic>),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// The mistakes of the file; empty when it is something else.
    pub fn mistakes(&self) -> &[Diagnostic] {
        match self {
            Self::Mistakes(mistakes) => mistakes,
            Self::Other(_) => &[],
        }
    }
}

/// What is listened on.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// HTTP.
    pub http: Vec<SocketAddr>,
    /// DNS.
    pub dns: Vec<SocketAddr>,
    /// Admin.
    pub admin: Option<SocketAddr>,
    /// The unix socket.
    pub socket: PathBuf,
}

/// A daemon that is built and not yet running.
#[derive(Debug)]
pub struct App {
    table: Arc<Table>,
    file: PathBuf,
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Running {
    handle: control::Handle,
    addresses: Addresses,
    admin: admin::Server,
}

struct Disk;
impl ReadFile for Disk {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Runs until a signal.
///
/// # Errors
/// See [`Error`].
pub async fn run(file: &Path) -> Result<(), Error> {
    let running = App::build(file)?.spawn()?;
    let _ = tokio::signal::ctrl_c().await;
    running.stop().await;
    Ok(())
}

impl App {
    /// Builds.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn build(file: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::Other(format!("{}: {error}", file.display())))?;
        let table = Table::load(file, &text, &Disk).map_err(Error::Mistakes)?;
        Ok(Self {
            table: Arc::new(table),
            file: file.to_owned(),
        })
    }

    /// Shows the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Spawns.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn spawn(self) -> Result<Running, Error> {
        let other = |error: &dyn std::fmt::Display| Error::Other(error.to_string());
        std::fs::create_dir_all(&self.table.state).map_err(|error| other(&error))?;
        let socket = self.table.state.join("admin.sock");
        let positions = self.table.sites.iter().map(|site| {
            let active = Some(site.sides[0].name.clone());
            (
                site.name.clone(),
                Position {
                    active,
                    epoch: Epoch(1),
                },
            )
        });
        let snapshot = Snapshot::follow(
            None,
            Generation(1),
            Arc::clone(&self.table),
            &Positions(positions.collect()),
            Arc::new(Zones::default()),
        );
        let listeners =
            Listeners::bind(&socket, self.table.listen.admin).map_err(|error| other(&error))?;
        let admin = listeners.tcp_address();
        let handle = standin::handle(standin::status(&self.table, &self.file));
        let parts = Parts {
            handle: handle.clone(),
            metrics: Metrics::new().map_err(|error| other(&error))?,
            switchboard: Switchboard::new(snapshot),
        };
        Ok(Running {
            handle,
            addresses: Addresses {
                http: self.table.listen.http.clone(),
                dns: self.table.listen.dns.clone(),
                admin,
                socket,
            },
            admin: admin::spawn(listeners, parts).map_err(|error| other(&error))?,
        })
    }
}

impl Running {
    /// The handle.
    pub fn handle(&self) -> control::Handle {
        self.handle.clone()
    }

    /// The addresses.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops.
    pub async fn stop(self) {
        self.handle.stop().await;
        self.admin.stop().await;
    }
}
