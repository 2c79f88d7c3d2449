//! Certificates replaced under load, picked by name, and refused with what is wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::daemon::Place;
use crate::support::wait::until;
use crate::tls::{self, HOST, certs};

/// A certificate and its key, in PEM.
struct Pair {
    der: CertificateDer<'static>,
    chain: String,
    key: String,
}

fn pair(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair {
        der: certificate.der().clone(),
        chain: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// Puts a file in the place of another at one instant, as whatever renews certificates does.
fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

fn install(place: &Place, name: &str, pair: &Pair) {
    put(&certs(place).join(format!("{name}.key.pem")), &pair.key);
    put(&certs(place).join(format!("{name}.pem")), &pair.chain);
}

/// A client that believes these certificates only, with or without memory of its sessions.
fn client(trusted: &[&Pair], resumes: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(pair.der.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    if !resumes {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Arc::new(config)
}

/// Connects, asks once, and gives the certificate that answered.
fn ask(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<CertificateDer<'static>> {
    use std::io::{Read, Write};
    let socket = std::net::TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::clone(config), server_name).unwrap();
    let mut stream = StreamOwned::new(session, socket);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    if !head.starts_with(b"HTTP/1.1 ") {
        return Err(std::io::Error::other(format!("not an answer: {head:?}")));
    }
    let shown = stream.conn.peer_certificates().unwrap_or_default();
    Ok(shown[0].clone().into_owned())
}

fn https(place: &Place) -> SocketAddr {
    SocketAddr::new(place.ip.into(), 8443)
}

#[test]
fn certificates_are_replaced_under_load_without_a_failed_handshake() {
    const REPLACED: usize = 10;
    let (place, _origins, _daemon) = tls::serve("");
    let pairs: Vec<Pair> = (0..=REPLACED).map(|_| pair(&[HOST], |_| {})).collect();
    install(&place, "site", &pairs[0]);
    let all: Vec<&Pair> = pairs.iter().collect();
    let (fresh, resuming) = (client(&all, false), client(&all, true));
    let address = https(&place);
    until("the first one answers", || {
        let shown = ask(address, &fresh, HOST).ok()?;
        (shown == pairs[0].der).then_some(())
    });

    let (over, handshakes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        for config in [&fresh, &fresh, &fresh, &resuming] {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    if let Err(error) = ask(address, config, HOST) {
                        failed.lock().unwrap().push(error.to_string());
                    }
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for new in &pairs[1..] {
            install(&place, "site", new);
            let began = Instant::now();
            let shows = || ask(address, &fresh, HOST).is_ok_and(|shown| shown == new.der);
            until("the new one answers", || shows().then_some(()));
            took.push(began.elapsed());
            assert!((0..20).all(|_| shows()), "once it answers, no other does");
        }
        over.store(true, Ordering::Release);
    });
    assert_eq!(*failed.lock().unwrap(), Vec::<String>::new());
    let handshakes = handshakes.into_inner();
    assert!(handshakes > 200, "only {handshakes} handshakes");
    took.sort();
    println!(
        "{handshakes} handshakes, 0 failed; a new certificate answers after {:?} (median), {:?} (max)",
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

#[test]
fn a_bad_certificate_is_said_to_be_what_it_is_and_the_last_good_one_goes_on() {
    let (place, _origins, daemon) = tls::serve("");
    let good = pair(&[HOST], |_| {});
    install(&place, "site", &good);
    let config = client(&[&good], false);
    let address = https(&place);
    let serves = || ask(address, &config, HOST).is_ok_and(|shown| shown == good.der);
    until("the good one answers", || serves().then_some(()));
    let of_another = pair(&[HOST], |_| {});
    let expired = pair(&[HOST], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let nameless = pair(&[], |_| {});
    for (chain, key, said) in [
        (
            "this is no PEM",
            good.key.as_str(),
            "there is no certificate in it",
        ),
        (&of_another.chain, &good.key, "its private key does not fit"),
        (&good.chain, "no key", "no private key"),
        (&expired.chain, &expired.key, "it expired on 2021-01-01"),
        (&nameless.chain, &nameless.key, "it is for no name"),
    ] {
        put(&certs(&place).join("site.key.pem"), key);
        put(&certs(&place).join("site.pem"), chain);
        until(said, || {
            let shown = place.status_json()?["certs"][0].clone();
            shown["problem"].as_str()?.contains(said).then_some(())
        });
        assert!(serves(), "{said}: the last good one goes on");
        assert!(daemon.said().contains(said), "{said}: in the log");
        let sample = "pointsman_cert_last_reload_successful{cert=\"site\"}";
        assert_eq!(place.metric(sample), Some(0.0), "{said}");
    }
    install(&place, "site", &good);
    until("all is well again", || {
        let shown = place.status_json()?["certs"][0].clone();
        shown["problem"].is_null().then_some(())
    });
}

#[test]
fn the_server_name_picks_the_certificate_and_a_sites_own_comes_first() {
    let (place, _origins, _daemon) = tls::serve("");
    let hosts = "hosts: [www.ispot.example, a.ispot.example, own.example, \"*.wild.example\"]";
    place.edit(&[("hosts: [www.ispot.example]", hosts)]);
    let pairs: BTreeMap<&str, Pair> = [
        ("exact", &["www.ispot.example"][..]),
        ("wild", &["*.ispot.example", "*.wild.example"]),
        ("own", &["own.example", "www.ispot.example"]),
    ]
    .map(|(name, names)| (name, pair(names, |_| {})))
    .into();
    fs::remove_file(certs(&place).join("site.pem")).unwrap();
    for name in ["exact", "wild"] {
        install(&place, name, &pairs[name]);
    }
    // Who resumes a session shows the certificate that it began with.
    let config = client(&pairs.values().collect::<Vec<_>>(), false);
    let shows = |host: &str, name: &str| {
        until(&format!("{host}: {name}"), || {
            let shown = ask(https(&place), &config, host).ok()?;
            (shown == pairs[name].der).then_some(())
        });
    };
    shows("www.ispot.example", "exact");
    shows("a.ispot.example", "wild");
    shows("b.wild.example", "wild");
    let other = ask(https(&place), &config, "other.example").unwrap_err();
    assert!(other.to_string().contains("not valid for name"), "{other}");

    for (end, text) in [("crt", &pairs["own"].chain), ("key", &pairs["own"].key)] {
        fs::write(place.path().join(format!("etc/own.{end}")), text).unwrap();
    }
    place.edit(&[(
        "    sides:",
        "    tls: {cert: own.crt, key: own.key}\n    sides:",
    )]);
    shows("own.example", "own");
    shows("www.ispot.example", "own");
    until("it is said that it is not for every host", || {
        let shown = place.status_json()?["certs"].clone();
        let own = shown
            .as_array()?
            .iter()
            .find(|one| one["name"] == "sites.ispot.tls")?;
        let problem = own["problem"].as_str()?;
        problem.contains("not for a.ispot.example").then_some(())
    });
}

#[test]
fn the_expiry_of_a_certificate_is_shown_in_status_and_metrics() {
    let (place, _origins, _daemon) = tls::serve("");
    let soon = pair(&[HOST], |params| {
        params.not_after = date_time_ymd(2100, 1, 1);
    });
    install(&place, "site", &soon);
    until("it is in the metrics", || {
        let expiry = place.metric("pointsman_cert_expiry_timestamp_seconds{cert=\"site\"}")?;
        (expiry == 4_102_444_800.0).then_some(())
    });
    let shown = place.status_json().unwrap()["certs"][0]["expires"].clone();
    assert_eq!(shown, "2100-01-01T00:00:00Z");
}
