//! The gate under loom: every interleaving of admission, hold, release, close and waiting.
//!
//! The file of the gate itself is included here, with loom's primitives in the place of those it
//! is built on. `POINTSMAN_SOAK=1` takes the bound off the number of preemptions.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    // Methods take `self: &Arc<Self>`, which is the standard one's privilege; who shares the gate
    // is not what is explored.
    pub(super) use std::sync::Arc;
}

#[path = "../../src/switchboard/gate.rs"]
#[expect(
    unreachable_pub,
    reason = "what is public in the library is private here"
)]
mod gate;

use gate::{Entry, Gate};

/// How often a thread is taken the processor from, in the everyday run.
const PREEMPTIONS: usize = 3;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = (!is_soak()).then_some(PREEMPTIONS);
    builder.check(model);
}

fn is_soak() -> bool {
    std::env::var_os("POINTSMAN_SOAK").is_some_and(|value| value == "1")
}

/// Wakes a thread that waits for a future.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.heard.notify_one();
    }
}

/// Waits for a future; a wake-up that never comes is a deadlock, which loom reports.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        let mut rung = bell.rung.lock().unwrap();
        while !*rung {
            rung = bell.heard.wait(rung).unwrap();
        }
        *rung = false;
    }
}

#[test]
fn nobody_is_admitted_after_a_hold_was_seen_to_drain() {
    // Unbounded, two entrants beside a drain did not end within a minute; one that comes twice
    // ends in a second, and two are what the bounded run has.
    let (threads, times) = if is_soak() { (1, 2) } else { (2, 1) };
    explore(move || {
        let gate = Arc::new(Gate::new());
        let drained = Arc::new(AtomicBool::new(false));
        let entrants: Vec<_> = (0..threads)
            .map(|_| {
                let (gate, drained) = (Arc::clone(&gate), Arc::clone(&drained));
                loom::thread::spawn(move || {
                    for _ in 0..times {
                        if let Entry::Admitted(permit) = gate.enter() {
                            assert!(!drained.load(Ordering::SeqCst), "in work after the drain");
                            drop(permit);
                        }
                    }
                })
            })
            .collect();
        gate.hold();
        block_on(gate.drained());
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
            block_on(of_waiter.opened());
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
            block_on(of_waiter.opened());
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
            let waker = Waker::noop();
            let polled = opened.as_mut().poll(&mut Context::from_waker(waker));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(())));
        });
        let of_waiter = Arc::clone(&gate);
        let waiter = loom::thread::spawn(move || block_on(of_waiter.opened()));
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
        block_on(gate.drained());
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
                        let others = inside.fetch_add(1, Ordering::SeqCst) as u64;
                        let counted = gate.in_flight();
                        assert!(
                            (1..=2).contains(&counted),
                            "{counted} in flight, {others} inside"
                        );
                        assert!(!permit.is_stale());
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(gate.in_flight(), 0);
    });
}
