//! A worker: one thread, one current-thread runtime, everything it serves from its own.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use crate::switchboard::{Confirms, Switchboard};
use crate::telemetry::http::HttpShard;

use super::Limits;
use super::door::{Door, Greeter};
use super::listener::{Connections, accept};
use super::pool::Pools;
use super::service::Service;

/// How often a stopping worker looks whether its last connection has ended.
const STOP_POLL: Duration = Duration::from_millis(10);

/// Everything a worker is given.
pub(super) struct Worker {
    pub(super) listeners: Vec<(Door, TcpListener)>,
    pub(super) board: Arc<Switchboard>,
    pub(super) confirms: Confirms,
    pub(super) shard: Arc<HttpShard>,
    pub(super) limits: Limits,
    /// `Some` tells it to stop, and by when.
    pub(super) stop: watch::Receiver<Option<Instant>>,
}

impl Worker {
    /// Serves until it is stopped.
    pub(super) fn run(self, runtime: &Runtime) {
        let local = LocalSet::new();
        local.block_on(runtime, self.serve());
        // What is left is over its deadline: dropped with its sockets.
        drop(local);
    }

    async fn serve(mut self) {
        let pools = Rc::new(Pools::default());
        let (end, ending) = watch::channel(false);
        let service = Rc::new(Service::new(
            self.board,
            Rc::clone(&pools),
            Arc::clone(&self.shard),
            ending.clone(),
        ));
        spawn_local(confirm(Rc::clone(&pools), self.confirms));
        let tidied = Rc::clone(&pools);
        spawn_local(async move { tidied.keep_tidy().await });
        let connections = Connections::new(self.limits.connections, Arc::clone(&self.shard));
        let greeter = Rc::new(Greeter::new(service, self.limits, self.shard, ending));
        let mut accepting = Vec::new();
        for (door, listener) in self.listeners {
            let greeter = Rc::clone(&greeter);
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accepting.push(spawn_local(accept(
                    listener,
                    Rc::clone(&connections),
                    move |stream, client, place| {
                        let (greeter, door) = (Rc::clone(&greeter), door.clone());
                        spawn_local(async move {
                            greeter.greet(&door, stream, client).await;
                            drop(place);
                        });
                    },
                ))),
                Err(error) => tracing::error!(%error, "a listener cannot be polled: restart"),
            }
        }
        let told = self.stop.wait_for(Option::is_some).await;
        // Whoever held the other end is gone: stop at once.
        let deadline = told.map_or(None, |told| *told).unwrap_or_else(Instant::now);
        for task in accepting {
            task.abort();
        }
        end.send_replace(true);
        while connections.open() > 0 && Instant::now() < deadline {
            tokio::time::sleep(STOP_POLL).await;
        }
    }
}

/// Does what each publication asks of this worker, and says so when it is done.
async fn confirm(pools: Rc<Pools>, mut confirms: Confirms) {
    while let Some(publication) = confirms.told().await {
        pools.obey();
        confirms.confirm(publication);
    }
}
