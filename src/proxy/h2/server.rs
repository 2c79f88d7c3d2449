//! One client connection of HTTP/2: hyper's codec around [`Service`], and a watch over its patience.

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::proxy::Limits;
use crate::proxy::access::Record;
use crate::proxy::client::Client;
use crate::proxy::service::Service;
use crate::proxy::stream::Stream;

use super::convert::{self, ClientBody, Served};
use super::meter::Metered;
use super::patience::{Over, Patience};

/// Streams that a client may have open at once (RFC 9113 §5.1.2); more are refused.
const STREAMS_MAX: u32 = 128;
/// The size of a request's head, in bytes as RFC 9113 §6.5.2 counts them; a longer one is refused.
const HEAD_MAX: u32 = 64 * 1024;
/// Bytes of a body that a client may send before somebody has asked for them, per stream.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;
/// The same over all streams of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for the client, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams reset before they were looked at (CVE-2023-44487); more end the connection.
const RESETS_UNSEEN_MAX: usize = 32;
/// Streams that broke the protocol; more end the connection.
const RESETS_OURS_MAX: usize = 128;
/// How often a client with open streams is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so; then the connection is closed.
const PING_WITHIN: Duration = Duration::from_secs(20);

/// Serves a client until it leaves, loses its patience or ours, or `stop` says that it is time:
/// then it is told to go away (RFC 9113 §6.8) and what it has asked for is answered.
///
/// # Cancel safety
/// Dropping the future closes the connection and gives up what is in flight on it.
pub(in crate::proxy) async fn serve(
    service: Rc<Service>,
    stream: Stream,
    client: Client,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let address = client.address;
    let patience = Patience::new(client.since);
    let client = Rc::new(client);
    let answering = Rc::clone(&patience);
    let connection = builder().serve_connection(
        TokioIo::new(Metered::new(stream, patience.meter())),
        service_fn(move |request| {
            let exchange = Exchange {
                service: Rc::clone(&service),
                client: Rc::clone(&client),
                patience: Rc::clone(&answering),
            };
            exchange.answer(request)
        }),
    );
    let mut connection = pin!(connection);
    let mut going_away = false;
    loop {
        // Each arm only drives or looks; the connection is polled again in the next round.
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client = %address, %error, "client connection ended");
                }
                return;
            }
            over = patience.over(limits) => {
                tracing::debug!(client = %address, ?over, "client connection is over");
                if over != Over::Idle || going_away {
                    return;
                }
                going_away = true;
                patience.last_chance();
                connection.as_mut().graceful_shutdown();
            }
            _ = stop.wait_for(|&stop| stop), if !going_away => {
                going_away = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder() -> Builder<Local> {
    let mut builder = Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS_UNSEEN_MAX)
        .max_local_error_reset_streams(RESETS_OURS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN);
    builder
}

/// Runs the streams of a connection on its worker; they end with the connection at the latest.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

/// What one stream needs.
struct Exchange {
    service: Rc<Service>,
    client: Rc<Client>,
    patience: Rc<Patience>,
}

impl Exchange {
    async fn answer(
        self,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Served>, Infallible> {
        let stream = self.patience.begin();
        let head = convert::request_head(&request);
        let body = ClientBody::take(request.into_body(), &stream);
        let shard = &self.service.upstream.shard;
        let mut record = Record::begin(shard, self.client.address, &head);
        let answer = self.service.answer(&self.client, head, body, &mut record);
        let (head, body) = answer.await;
        let served = Served::new(body, stream, record);
        Ok(convert::hyper_response(&head, served))
    }
}
