//! A proxy between origins, its table made by hand and its switchboard worked by the test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pointsman::certs::Store;
use pointsman::proxy::{self, Limits};
use pointsman::site::{
    Access, DrainThen, During, Epoch, Generation, OnHold, Position, Positions, SideName, SiteName,
    Tunnels,
};
use pointsman::switchboard::{Gates, Snapshot, Switchboard};
use pointsman::table::{
    Chunks, Dns, FlipPolicy, Hooks, Listen, Maintenance, Matcher, OriginAddr, PathRule, Preflight,
    Redirect, Side, Site, Table, Timeouts, Words,
};
use pointsman::telemetry::http::HttpMetrics;
use pointsman::zone::Zones;
use prometheus::Registry;

use super::client::Client;
use super::origin::Origin;

/// The host of the one site.
pub(crate) const HOST: &str = "www.ispot.example";

/// The proxy, two origins, and the points between them.
pub(crate) struct Track {
    pub(crate) live: Origin,
    pub(crate) backup: Origin,
    pub(crate) board: Arc<Switchboard>,
    registry: Registry,
    runtime: tokio::runtime::Runtime,
    proxy: Option<proxy::Handle>,
    address: SocketAddr,
    table: Table,
}

/// The one site, with short times, its origins at the given addresses.
pub(crate) fn table(live: &[SocketAddr], backup: &[SocketAddr]) -> Table {
    let side = |name: &str, web: &[SocketAddr]| Side {
        name: SideName::new(name),
        web: web.iter().map(origin_addr).collect(),
        names: Default::default(),
    };
    let site = Site {
        name: SiteName::new("ispot"),
        hosts: vec![HOST.into(), "ispot.example".into()],
        sides: vec![side("live", live), side("backup", backup)],
        tls: None,
        redirect: Redirect::Never,
        names: Vec::new(),
        paths: vec![PathRule {
            prefix: "/shut".into(),
            access: Access::Maintenance,
        }],
        writable: Vec::new(),
        flip: FlipPolicy {
            during: During::Hold,
            hold_for: Duration::from_secs(30),
            hold_requests: 2,
            hold_bytes: 1 << 20,
            release_rate: 1_000_000,
            drain_for: Duration::from_secs(5),
            drain_then: DrainThen::Restore,
            linger: Duration::ZERO,
            quiet: None,
            websockets: Tunnels::Close,
            on_hold: OnHold::NoData,
            guard_wait: Duration::from_secs(300),
            hooks: Hooks::default(),
            min_interval: Duration::ZERO,
            require_reason: false,
        },
        freshness: None,
        standby: None,
        storage: pointsman::site::Storage::Shared,
        preflight: Preflight {
            every: Duration::from_secs(10),
            checks: Vec::new(),
        },
        maintenance: Maintenance {
            page: None,
            retry_after: Duration::from_secs(7),
            bypass: Vec::new(),
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(20),
            tunnel: Duration::from_secs(60),
        },
    };
    let sites = Chunks::from_iter([Arc::new(site)]);
    Table {
        listen: Listen::default(),
        state: PathBuf::new(),
        certs: PathBuf::new(),
        admin: Arc::default(),
        dns: Dns::default(),
        matcher: Matcher::new(&sites).into(),
        groups: Arc::default(),
        default_site: None,
        fence: Vec::new(),
        warnings: Vec::new(),
        sites,
        words: Arc::new([(SiteName::new("ispot"), Words::default())].into()),
    }
}

fn origin_addr(address: &SocketAddr) -> OriginAddr {
    OriginAddr {
        host: address.ip().to_string(),
        port: address.port(),
        tls: None,
    }
}

fn snapshot(before: Option<&Snapshot>, table: &Table, side: Option<&str>, epoch: u64) -> Snapshot {
    let position = Position {
        active: side.map(SideName::new),
        epoch: Epoch(epoch),
    };
    let positions = Positions([(SiteName::new("ispot"), position)].into());
    let table = Arc::new(table.clone());
    Snapshot::follow(
        before,
        Generation(1),
        table,
        &positions,
        Arc::new(Zones::default()),
    )
}

impl Track {
    /// Lays it on loopback addresses of its own: `127.<net>.1` to `.3`.
    pub(crate) fn lay(net: &str) -> Self {
        Self::lay_with(net, Limits::default(), |_, _| {})
    }

    /// Lays it with other limits and a changed site.
    pub(crate) fn lay_with(
        net: &str,
        limits: Limits,
        change: impl FnOnce(&mut Site, &mut Words),
    ) -> Self {
        let live = Origin::start(&format!("127.{net}.1:0"), "live");
        let backup = Origin::start(&format!("127.{net}.2:0"), "backup");
        let mut table = table(&[live.address], &[backup.address]);
        let mut words = Words::default();
        change(Arc::make_mut(&mut table.sites[0]), &mut words);
        Arc::make_mut(&mut table.words).insert(SiteName::new("ispot"), words);
        let board = Switchboard::new(snapshot(None, &table, Some("live"), 1));
        let registry = Registry::new();
        let metrics = HttpMetrics::register(&registry).unwrap();
        let listen = proxy::Listen {
            http: vec![format!("127.{net}.3:0").parse().unwrap()],
            https: Vec::new(),
            certs: Store::empty().unwrap(),
        };
        let proxy = proxy::spawn(&listen, 2, &board, &metrics, limits).unwrap();
        Self {
            address: proxy.http()[0],
            proxy: Some(proxy),
            runtime: runtime(),
            live,
            backup,
            board,
            registry,
            table,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The gates of the lane that is served.
    pub(crate) fn gates(&self) -> Arc<Gates> {
        let snapshot = self.board.current();
        let view = snapshot.site(&SiteName::new("ispot")).unwrap();
        Arc::clone(&view.lane.as_ref().unwrap().gates)
    }

    /// Publishes a position; `None` is doubt.
    pub(crate) fn publish(&self, side: Option<&str>, epoch: u64) {
        let before = self.board.current();
        let next = snapshot(Some(&before), &self.table, side, epoch);
        let publication = self.board.publish(Arc::new(next));
        self.confirmed(publication);
    }

    /// Moves the site as a flip does: hold, drain, publish, close, and wait for the workers.
    pub(crate) fn flip(&self, side: &str, epoch: u64, during: During) {
        let old = self.gates();
        old.hold(during);
        self.runtime.block_on(old.drained());
        let before = self.board.current();
        let next = snapshot(Some(&before), &self.table, Some(side), epoch);
        self.board.publish(Arc::new(next));
        old.close();
        self.confirmed(self.board.nudge());
    }

    /// Makes every worker look at its lanes, and waits until each has.
    pub(crate) fn nudge(&self) {
        self.confirmed(self.board.nudge());
    }

    fn confirmed(&self, publication: pointsman::switchboard::Publication) {
        let deadline = tokio::time::Instant::now() + super::client::PATIENCE;
        let all = self
            .runtime
            .block_on(self.board.all_at(publication, deadline));
        assert_eq!(all, Ok(()), "these workers did not confirm");
    }

    /// One sample of `/metrics`, as `name{labels} value` begins; 0 when there is none.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let families = self.registry.gather();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&families)
            .unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Begins to stop the proxy, with this much patience; the thread ends when it has stopped.
    pub(crate) fn stop(&mut self, patience: Duration) -> std::thread::JoinHandle<()> {
        let proxy = self.proxy.take().unwrap();
        let deadline = tokio::time::Instant::now() + patience;
        std::thread::spawn(move || runtime().block_on(proxy.stop(deadline)))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}
