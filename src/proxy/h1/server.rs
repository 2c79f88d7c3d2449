//! One client connection: hyper's codec around [`Service`], and a watch over its patience.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::{self, pin};
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use crate::proxy::Limits;
use crate::proxy::access::Record;
use crate::proxy::body::Body;
use crate::proxy::client::Client;
use crate::proxy::error::Error;
use crate::proxy::head::{Headers, RequestHead, Version};
use crate::proxy::service::Service;
use crate::proxy::stream::Stream;
use crate::proxy::tunnel::Tunnel;

use super::convert::{self, ClientBody, Served};
use super::patience::{Activity, ClientIo};

/// How much of a head or body hyper may buffer, in bytes; a longer head is answered with 431.
const BUFFER_MAX: usize = 256 * 1024;

/// Serves a client until it leaves, loses its patience or ours, or `stop` says that it is time.
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
    let activity = Rc::new(Activity::new(client.since));
    let io = ClientIo {
        stream,
        activity: Rc::clone(&activity),
    };
    let switched = Rc::new(Cell::new(None));
    let answering = Answering {
        service,
        client: Rc::new(client),
        activity: Rc::clone(&activity),
        switched: Rc::clone(&switched),
    };
    let mut connection = Builder::new()
        .max_buf_size(BUFFER_MAX)
        .header_read_timeout(None)
        .serve_connection(
            TokioIo::new(io),
            service_fn(move |request| answering.clone().answer(request)),
        );
    let mut overdue = pin!(activity.overdue(limits));
    let mut stopping = false;
    loop {
        // Each arm only drives or looks; the connection is polled again in the next round.
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(client = %address, %error, "client connection ended");
                    return;
                }
                break;
            }
            what = overdue.as_mut() => {
                tracing::debug!(client = %address, what, "client connection closed");
                return;
            }
            _ = stop.wait_for(|&stop| stop), if !stopping => {
                stopping = true;
                pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    if let Some(tunnel) = switched.take() {
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().stream.replay(parts.read_buf);
        tunnel.carry(stream, stop).await;
    }
}

/// What the requests of a connection are answered with.
#[derive(Clone)]
struct Answering {
    service: Rc<Service>,
    client: Rc<Client>,
    activity: Rc<Activity>,
    /// Filled by the answer that ends HTTP on the connection.
    switched: Rc<Cell<Option<Tunnel>>>,
}

impl Answering {
    async fn answer(
        self,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Served>, Infallible> {
        let Self {
            service,
            client,
            activity,
            switched,
        } = self;
        activity.asked();
        let head = convert::request_head(&request);
        let body = ClientBody::take(request.into_body(), &activity);
        let (head, refused) = match head {
            Ok(head) => (head, None),
            Err(why) => (unreadable(), Some(Error::BadRequest(why))),
        };
        let mut record = Record::begin(&service.upstream.shard, client.address, &head);
        // RFC 9112 §6.1: a request with two lengths must be the last on its connection. hyper goes by
        // Transfer-Encoding alone and hides that there was a Content-Length, so every chunked one is.
        let is_last = refused.is_some() || head.headers.contains("transfer-encoding");
        let (mut head, mut body) = match refused {
            None => service.answer(&client, head, body, &mut record).await,
            Some(error) => {
                let answer = error.answer(&head);
                record.answered(answer.0.status);
                answer
            }
        };
        if is_last {
            head.headers.set("connection", "close");
        }
        if let Body::Tunnel(tunnel) = body {
            switched.set(Some(*tunnel));
            body = Body::Empty;
        }
        let served = Served {
            body,
            activity,
            record,
        };
        Ok(convert::hyper_response(&head, served))
    }
}

/// Stands in for a head that was refused before it was read.
fn unreadable() -> RequestHead {
    RequestHead {
        method: http::Method::GET,
        target: "/".into(),
        authority: None,
        version: Version::Http11,
        headers: Headers::default(),
    }
}
