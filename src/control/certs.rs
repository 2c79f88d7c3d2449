//! Certificates: when to look at their files again, and what is shown of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::certs::Store;

use super::actor::Actor;
use super::status::CertStatus;

/// How often the files are looked at: twice in the second within which a new one is to answer.
///
/// By polling and not by events, as the files may lie in many folders and behind symlinks that
/// renewal turns; a look reads no file.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A look at very many files may take this part of the time, at most: 1 in 50.
const LOOK_SHARE: u32 = 50;

/// A running watch over the files of certificates; dropping it waits for its thread.
#[derive(Debug)]
pub(super) struct CertWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Watches the files that a store names, and sends when they have changed and come to rest.
///
/// # Errors
/// The operating system's, when it gives no thread.
pub(super) fn watch(store: Arc<Store>, on_change: mpsc::Sender<()>) -> std::io::Result<CertWatch> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    // What was loaded before the first look may be older than what that look sees.
    let mut loaded = None;
    let mut before = store.stamp();
    let thread = thread::Builder::new().name("certs".into()).spawn(move || {
        let mut pause = LOOK_EVERY;
        while !told.load(Ordering::Acquire) {
            thread::park_timeout(pause);
            let began = Instant::now();
            let stamp = store.stamp();
            pause = LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
            // A chain and its key are two files: both are to be there before either is read.
            let rests = stamp == before;
            before = stamp;
            if rests && loaded != Some(stamp) {
                loaded = Some(stamp);
                if let Err(mpsc::error::TrySendError::Closed(())) = on_change.try_send(()) {
                    return;
                }
            }
        }
    })?;
    Ok(CertWatch {
        stop,
        thread: Some(thread),
    })
}

impl Drop for CertWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that ended by a panic has stopped, which is what was asked.
            let _ = thread.join();
        }
    }
}

impl Actor {
    /// Takes over what has changed of the certificates, and shows what is wrong with them.
    pub(super) fn reload_certificates(&mut self) {
        self.certs.look_again();
        self.show();
    }

    pub(super) fn certificates(&self) -> Vec<CertStatus> {
        let shown = self.certs.shown().into_iter().map(|shown| CertStatus {
            name: shown.label,
            names: shown.names,
            expires: shown.not_after.and_then(|seconds| {
                let seconds = i64::try_from(seconds).ok()?;
                Timestamp::from_second(seconds).ok()
            }),
            problem: shown.problem,
        });
        shown.collect()
    }
}
