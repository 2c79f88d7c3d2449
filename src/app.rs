//! The only place where the parts are joined: build, spawn, drain.
//!
//! ```text
//! build: routes.yaml -> Table
//! spawn: lock -> probe bind -> journal -> snapshot -> proxy, dns -> control -> admin
//! stop:  control (flips go back) -> proxy (requests end) -> dns -> admin
//! ```

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::admin::{self, Listeners, Parts};
use crate::certs::Store;
use crate::control::{self, Control, Disk};
use crate::journal::{LockError, StateLock};
use crate::site::Outcome;
use crate::table::{Diagnostic, Listen, Loader, ReadFile, Table};
use crate::telemetry::Metrics;
use crate::{dns, proxy};

/// How long requests in flight may take to end when the daemon stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Why the daemon cannot run; the operator is at fault unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Diagnostic>),
    /// The state directory is in use, or cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An address is in use, or is not ours.
    #[error("{key}: cannot listen on {address}: {source}; free it, or write another address there")]
    Listen {
        /// The key of the file.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Clients are to be answered by TLS, and there is nothing to do it with.
    #[error("{key}: no certificate can be used; {why}")]
    Certificates {
        /// The listener that has none, as a key of the file.
        key: &'static str,
        /// What is wrong with those that there are, and what to do.
        why: String,
    },
    /// The control plane could not start.
    #[error(transparent)]
    Control(#[from] control::StartError),
    /// The workers could not start.
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    /// The DNS workers could not start.
    #[error(transparent)]
    Dns(#[from] dns::Error),
    /// The admin listeners could not start.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// A metric is registered twice, or signals cannot be had: a bug, or the machine's limits.
    #[error("{0}")]
    Process(String),
}

impl Error {
    /// Shows the mistakes of the file; empty when it is something else.
    pub fn mistakes(&self) -> &[Diagnostic] {
        if let Self::Mistakes(mistakes) | Self::Control(control::StartError::Misfits(mistakes)) =
            self
        {
            mistakes
        } else {
            &[]
        }
    }
}

/// What is listened on.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// HTTP.
    pub http: Vec<SocketAddr>,
    /// HTTP over TLS.
    pub https: Vec<SocketAddr>,
    /// DNS, over UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// The admin listener without TLS.
    pub admin: Option<SocketAddr>,
    /// The admin listeners with TLS.
    pub admin_tls: Vec<SocketAddr>,
    /// The unix socket.
    pub socket: PathBuf,
}

/// A daemon that is built and not yet running.
#[derive(Debug)]
pub struct App {
    file: PathBuf,
    loader: Loader,
    table: Arc<Table>,
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Running {
    handle: control::Handle,
    control: JoinHandle<control::Stopped>,
    proxy: proxy::Handle,
    dns: dns::Handle,
    admin: admin::Server,
    addresses: Addresses,
}

/// Runs a daemon until SIGTERM or SIGINT; SIGHUP reloads.
///
/// # Errors
/// See [`Error`].
pub async fn run(file: &Path) -> Result<(), Error> {
    let on = |kind| signal(kind).map_err(|error| Error::Process(format!("signals: {error}")));
    let (mut term, mut int) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let mut hup = on(SignalKind::hangup())?;
    let running = App::build(file)?.spawn()?;
    let mut control = running.handle.watch();
    tell_systemd(&[NotifyState::Ready]);
    loop {
        // Signal streams are cancel safe.
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => {
                tell_systemd(&reloading());
                running.handle.reload().await;
                tell_systemd(&[NotifyState::Ready]);
            }
            changed = control.changed() => if changed.is_err() {
                // Without it a held gate would stay held: to start again is to read the journal.
                return Err(Error::Process("the control thread is gone; see the log".into()));
            },
        }
    }
    tell_systemd(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

impl App {
    /// Loads the table.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Mistakes`].
    pub fn build(file: &Path) -> Result<Self, Error> {
        let unread = |source| Error::Read {
            file: file.into(),
            source,
        };
        let text = Disk.read(file).map_err(unread)?;
        let mut loader = Loader::new(file);
        let table = loader.load(text, &Disk).map_err(Error::Mistakes)?;
        Ok(Self {
            file: file.into(),
            loader,
            table,
        })
    }

    /// Shows the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Takes the lock, binds every listener and starts the threads.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left running.
    pub fn spawn(self) -> Result<Running, Error> {
        let Self {
            file,
            loader,
            table,
        } = self;
        let listen = table.listen.clone();
        let lock = StateLock::take(&table.state)?;
        probe_bind(&listen)?;
        let socket = table.state.join("admin.sock");
        let metrics = Metrics::new().map_err(|error| Error::Process(error.to_string()))?;
        metrics.control.count_from_zero(Outcome::WORDS);

        let certs = certificates(&table)?;
        let of_control = Arc::clone(&metrics.control);
        let loaded = (loader, table);
        let (control, board) = Control::open(&file, loaded, lock, of_control, Arc::clone(&certs))?;
        // After the journal: a socket in an otherwise empty directory is no sign of a first start.
        let tls = admin::Tls {
            addresses: listen.admin_tls.clone(),
            certs: Arc::clone(&certs),
        };
        let listeners = Listeners::bind(&socket, listen.admin, &tls)?;
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        let limits = proxy::Limits::default();
        let doors = proxy::Listen {
            http: listen.http.clone(),
            https: listen.https.clone(),
            certs,
        };
        let proxy = proxy::spawn(&doors, workers, &board, &metrics.http, limits)?;
        let dns = dns::spawn(&listen.dns, workers, &board, &metrics.dns)?;
        // Last, so that the first flip already waits for every worker.
        let (handle, control) = control.spawn()?;
        let addresses = Addresses {
            http: proxy.http().to_vec(),
            https: proxy.https().to_vec(),
            dns: dns.addresses().to_vec(),
            admin: listeners.tcp_address(),
            admin_tls: listeners.tls_addresses(),
            socket,
        };
        let parts = Parts {
            handle: handle.clone(),
            metrics,
            switchboard: board,
        };
        let admin = admin::spawn(listeners, parts)?;
        Ok(Running {
            handle,
            control,
            proxy,
            dns,
            admin,
            addresses,
        })
    }
}

impl Running {
    /// Shares the way to talk to the control plane.
    pub fn handle(&self) -> control::Handle {
        self.handle.clone()
    }

    /// Shows what is listened on.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops: flips that are not committed go back, requests in flight end, threads are joined.
    pub async fn stop(self) {
        self.handle.stop().await;
        self.proxy.stop(Instant::now() + DRAIN_WITHIN).await;
        self.dns.stop();
        self.admin.stop().await;
        self.handle.end().await;
        match self.control.join() {
            // Only now: what is in flight ends before another daemon may have the state.
            Ok(stopped) => stopped.end(),
            Err(_) => {
                tracing::error!("the control thread ended in a panic: please report this as a bug");
            }
        }
    }
}

/// Loads the certificates that answer; some bad ones among good ones are no reason not to start.
fn certificates(table: &Table) -> Result<Arc<Store>, Error> {
    let store = Store::empty().map_err(|error| Error::Process(format!("TLS: {error}")))?;
    store.follow(table);
    let Listen {
        https, admin_tls, ..
    } = &table.listen;
    let lacking = |key| Error::Certificates {
        key,
        why: store.why_empty(&table.certs),
    };
    if !https.is_empty() && store.is_empty() {
        return Err(lacking("listen.https"));
    }
    if !admin_tls.is_empty() && store.is_empty_for_admin() {
        return Err(lacking("listen.admin_tls"));
    }
    Ok(store)
}

/// Binds every address once without SO_REUSEPORT, so that a second daemon is an error and not a
/// second set of gates.
fn probe_bind(listen: &Listen) -> Result<(), Error> {
    let failed = |key, address| {
        move |source| Error::Listen {
            key,
            address,
            source,
        }
    };
    for address in &listen.http {
        TcpListener::bind(address).map_err(failed("listen.http", *address))?;
    }
    for address in &listen.https {
        TcpListener::bind(address).map_err(failed("listen.https", *address))?;
    }
    for address in &listen.dns {
        UdpSocket::bind(address).map_err(failed("listen.dns", *address))?;
        TcpListener::bind(address).map_err(failed("listen.dns", *address))?;
    }
    if let Some(address) = listen.admin {
        TcpListener::bind(address).map_err(failed("listen.admin", address))?;
    }
    for address in &listen.admin_tls {
        TcpListener::bind(address).map_err(failed("listen.admin_tls", *address))?;
    }
    Ok(())
}

/// Says that a reload has begun, and when: systemd wants both at once.
fn reloading() -> Vec<NotifyState<'static>> {
    let since = NotifyState::monotonic_usec_now();
    // A clock that cannot be read is systemd's to miss, not a reason to keep the old table.
    std::iter::once(NotifyState::Reloading)
        .chain(since)
        .collect()
}

fn tell_systemd(state: &[NotifyState<'_>]) {
    // Without systemd there is no socket to tell, which is no error.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
