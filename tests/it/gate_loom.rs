//! The gate under loom: every interleaving of admission, hold, release, close and waiting.
//!
//! The file of the gate itself is included here, with loom's primitives in the place of those it
//! is built on. `POINTSMAN_SOAK=1` takes the bound off the number of preemptions.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(super) use loom::sync::{Arc, Mutex, MutexGuard};
}

#[path = "../../src/switchboard/gate.rs"]
#[expect(dead_code, reason = "not all of the gate is asked for here")]
mod gate;

use gate::{Entry, Gate};

/// How often a thread is taken the processor from, in the everyday run.
const PREEMPTIONS: usize = 3;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let soak = std::env::var_os("POINTSMAN_SOAK").is_some_and(|value| value == "1");
    builder.preemption_bound = (!soak).then_some(PREEMPTIONS);
    builder.check(model);
}

#[test]
fn nobody_is_admitted_after_a_hold_was_seen_to_drain() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        let drained = Arc::new(AtomicBool::new(false));
        let entrants: Vec<_> = (0..2)
            .map(|_| {
                let (gate, drained) = (Arc::clone(&gate), Arc::clone(&drained));
                loom::thread::spawn(move || {
                    if let Entry::Admitted(permit) = gate.enter() {
                        assert!(!drained.load(Ordering::SeqCst), "in work after the drain");
                        drop(permit);
                    }
                })
            })
            .collect();
        gate.hold();
        loom::future::block_on(gate.drained());
        drained.store(true, Ordering::SeqCst);
        for entrant in entrants {
            entrant.join().unwrap();
        }
        assert_eq!(gate.in_flight(), 0);
        assert!(matches!(gate.enter(), Entry::Held));
    });
}

#[test]
fn a_waiter_is_never_lost_against_a_release() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        gate.hold();
        let of_waiter = Arc::clone(&gate);
        let waiter = loom::thread::spawn(move || {
            // Blocks for ever, which loom reports, when the wake-up is lost.
            loom::future::block_on(of_waiter.opened());
            assert!(matches!(of_waiter.enter(), Entry::Admitted(_)));
        });
        gate.release();
        waiter.join().unwrap();
    });
}

#[test]
fn a_waiter_is_never_lost_against_a_close() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        gate.hold();
        let of_waiter = Arc::clone(&gate);
        let waiter = loom::thread::spawn(move || {
            loom::future::block_on(of_waiter.opened());
            assert!(matches!(of_waiter.enter(), Entry::Closed));
        });
        gate.close();
        waiter.join().unwrap();
    });
}

#[test]
fn a_waiter_that_leaves_takes_nobody_elses_place() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        gate.hold();
        let of_leaver = Arc::clone(&gate);
        let leaver = loom::thread::spawn(move || {
            let mut opened = pin!(of_leaver.opened());
            let waker = std::task::Waker::noop();
            let polled = opened.as_mut().poll(&mut Context::from_waker(waker));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(())));
        });
        let of_waiter = Arc::clone(&gate);
        let waiter = loom::thread::spawn(move || loom::future::block_on(of_waiter.opened()));
        gate.release();
        leaver.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn the_last_permit_wakes_the_drain() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        let permits = [gate.enter(), gate.enter()];
        gate.hold();
        let leavers = permits.map(|entry| {
            assert!(matches!(entry, Entry::Admitted(_)));
            loom::thread::spawn(move || drop(entry))
        });
        loom::future::block_on(gate.drained());
        assert_eq!(gate.in_flight(), 0);
        for leaver in leavers {
            leaver.join().unwrap();
        }
    });
}

#[test]
fn permits_are_counted() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                loom::thread::spawn(move || {
                    if let Entry::Admitted(permit) = gate.enter() {
                        inside.fetch_add(1, Ordering::SeqCst);
                        let counted = gate.in_flight();
                        assert!((1..=2).contains(&counted), "{counted} in flight");
                        assert!(!permit.is_stale());
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        assert!(gate.in_flight() >= inside.load(Ordering::SeqCst) as u64 || gate.in_flight() <= 2);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(gate.in_flight(), 0);
    });
}
