//! Connections of HTTP/2 over TLS, each with some streams open at all times.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

use super::tally::Asked;
use super::{HOST, Load};

/// Keeps `connections` with `streams` each busy until the load is over.
pub(super) fn clients(load: &Load, connections: usize, streams: usize) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let config = trusting(load);
    LocalSet::new().block_on(&runtime, async {
        let all = (0..connections).map(|number| {
            let (load, config) = (load.clone(), Arc::clone(&config));
            tokio::task::spawn_local(connection(load, config, number, streams))
        });
        for connection in all.collect::<Vec<_>>() {
            connection.await.unwrap();
        }
    });
}

fn trusting(load: &Load) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(&load.certificate).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

async fn connection(load: Load, config: Arc<ClientConfig>, number: usize, streams: usize) {
    let stream = tokio::net::TcpStream::connect(load.https).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driven = tokio::spawn(connection);
    let load = Rc::new(load);
    let all = (0..streams).map(|stream| {
        let (load, sender) = (Rc::clone(&load), sender.clone());
        tokio::task::spawn_local(requests(load, sender, format!("h2-{number}-{stream}")))
    });
    for stream in all.collect::<Vec<_>>() {
        stream.await.unwrap();
    }
    // Every answer came on this one connection: no flip has closed it.
    driven.abort();
}

async fn requests(load: Rc<Load>, mut sender: SendRequest<Full<Bytes>>, name: String) {
    for turn in 0.. {
        if load.is_over() {
            return;
        }
        let id = (turn % 4 == 0).then(|| format!("{name}-{turn}"));
        let request = match &id {
            Some(id) => Request::post(format!("https://{HOST}/observations"))
                .body(Full::new(Bytes::from(id.clone()))),
            None => Request::get(format!("https://{HOST}/size/1000")).body(Full::default()),
        };
        let asked = Asked::for_id(id.as_ref());
        let answer = async {
            let answer = sender.send_request(request.unwrap()).await?;
            let status = answer.status().as_u16();
            let retry_after = answer.headers().contains_key("retry-after");
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, retry_after, body))
        };
        match answer.await {
            Ok((status, retry_after, body)) => {
                load.tally.answered(asked, status, retry_after, &body);
            }
            Err(error) => {
                load.tally.failed(format!("{name}, turn {turn}: {error:?}"));
                return;
            }
        }
    }
}
