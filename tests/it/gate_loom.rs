//! Gate and line under loom: every interleaving of admission, hold, release, close and waiting.
//!
//! The files of both are included here, with loom's primitives in the place of those it
//! is built on. `POINTSMAN_SOAK=1` takes the bound off the number of preemptions.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    // Methods take `self: &Arc<Self>`, which is the standard one's privilege; who shares the gate
    // is not what is explored.
    pub(super) use std::sync::Arc;
}

#[path = "../../src/switchboard/gate.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "what is public in the library is private here, and not all of it is explored"
)]
mod gate;

#[path = "../../src/switchboard/line.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "what is public in the library is private here, and not all of it is explored"
)]
mod line;

use std::time::Instant;

use gate::{Entry, Gate, Pass};
use line::{Joined, Line, LineBounds, Place, Turn};

/// Room for two, who go on at once when a hold is over.
const BOUNDS: LineBounds = LineBounds {
    requests: 2,
    bytes: 2,
    release_rate: 1_000_000,
};

/// How often a thread is taken the processor from, in the everyday run.
const PREEMPTIONS: usize = 3;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = (!is_soak()).then_some(PREEMPTIONS);
    builder.check(model);
}

/// Explores a model that is too large without a bound.
fn explore_bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
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
                        if let Entry::Admitted(permit) = gate.enter(Pass::default()) {
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
        assert!(matches!(gate.enter(Pass::default()), Entry::Held));
    });
}

/// A gate that is held, and its line.
#[derive(Clone)]
struct Held {
    gate: Arc<Gate>,
    line: Arc<Line>,
}

impl Held {
    fn new() -> Self {
        let held = Self {
            gate: Arc::new(Gate::new()),
            line: Arc::new(Line::default()),
        };
        held.hold();
        held
    }

    fn hold(&self) {
        self.line.hold();
        self.gate.hold();
    }

    fn release(&self) {
        self.line.open(Instant::now(), |somebody_waits| {
            if somebody_waits {
                self.gate.line_up();
            }
            self.gate.release();
        });
    }

    fn close(&self) {
        self.line.open(Instant::now(), |_| self.gate.close());
    }

    fn join(&self) -> Joined {
        let at_end = || self.gate.line_over();
        self.line.join(1, BOUNDS, Instant::now(), at_end)
    }

    /// Enters as a request does: waits for its turn whenever the gate is held.
    fn enter(&self) -> Entry {
        let mut pass = Pass::default();
        loop {
            match self.gate.enter(pass) {
                Entry::Held => {
                    if let Joined::Waits(place) = self.join() {
                        block_on(turn(&place));
                    }
                    pass = Pass::in_turn();
                }
                entry @ (Entry::Admitted(_) | Entry::Shut | Entry::Closed) => return entry,
            }
        }
    }
}

fn turn(place: &Place) -> impl Future<Output = ()> {
    std::future::poll_fn(|cx| match place.turn(cx.waker(), Instant::now()) {
        Turn::Now => Poll::Ready(()),
        Turn::At(_) | Turn::Later => Poll::Pending,
    })
}

#[test]
fn a_waiter_is_never_lost_against_a_release() {
    explore(|| {
        let held = Held::new();
        let of_waiter = held.clone();
        let waiter = loom::thread::spawn(move || {
            // Blocks for ever, which loom reports, when the wake-up is lost.
            assert!(matches!(of_waiter.enter(), Entry::Admitted(_)));
        });
        held.release();
        waiter.join().unwrap();
    });
}

#[test]
fn a_waiter_is_never_lost_against_a_close() {
    explore(|| {
        let held = Held::new();
        let of_waiter = held.clone();
        let waiter = loom::thread::spawn(move || {
            assert!(matches!(of_waiter.enter(), Entry::Closed));
        });
        held.close();
        waiter.join().unwrap();
    });
}

#[test]
fn whose_turn_it_is_gets_in_to_no_gate_that_is_held_again() {
    explore(|| {
        let held = Held::new();
        let drained = Arc::new(AtomicBool::new(false));
        let (of_waiter, of_drain) = (held.clone(), Arc::clone(&drained));
        let waiter = loom::thread::spawn(move || {
            if let Entry::Admitted(permit) = of_waiter.enter() {
                assert!(!of_drain.load(Ordering::SeqCst), "in work after the drain");
                drop(permit);
            }
        });
        held.release();
        held.hold();
        block_on(held.gate.drained());
        drained.store(true, Ordering::SeqCst);
        // Or it would wait for ever.
        drained.store(false, Ordering::SeqCst);
        held.release();
        waiter.join().unwrap();
    });
}

#[test]
fn a_newcomer_is_never_lost_against_the_end_of_the_line() {
    // Unbounded, two entrants beside a release did not end within minutes.
    explore_bounded(|| {
        let held = Held::new();
        let (one, other) = (held.clone(), held.clone());
        let enter = |held: Held| {
            loom::thread::spawn(move || assert!(matches!(held.enter(), Entry::Admitted(_))))
        };
        let entrants = [enter(one), enter(other)];
        held.release();
        for entrant in entrants {
            entrant.join().unwrap();
        }
    });
}

#[test]
fn a_waiter_that_leaves_takes_nobody_elses_place() {
    explore(|| {
        let held = Held::new();
        let of_leaver = held.clone();
        let leaver = loom::thread::spawn(move || {
            if let Joined::Waits(place) = of_leaver.join() {
                let found = place.turn(Waker::noop(), Instant::now());
                assert!(matches!(found, Turn::Later | Turn::Now));
            }
        });
        let of_waiter = held.clone();
        let waiter = loom::thread::spawn(move || {
            assert!(matches!(of_waiter.enter(), Entry::Admitted(_)));
        });
        held.release();
        leaver.join().unwrap();
        waiter.join().unwrap();
        assert_eq!(held.line.len(), 0);
    });
}

#[test]
fn the_last_permit_wakes_the_drain() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        let permits = [gate.enter(Pass::default()), gate.enter(Pass::default())];
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
                    if let Entry::Admitted(permit) = gate.enter(Pass::default()) {
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
