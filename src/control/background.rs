//! What takes long and may be slow: on a thread that leaves the cores to requests and queries.
//!
//! Not for: anything that a held user waits for, and so not for the actor while a flip runs. On a
//! machine that is wholly busy such a thread gets a thirtieth of a core.

use std::io;
use std::panic;
use std::thread::{self, Builder};

use tokio::sync::oneshot;

use crate::sys;

/// Of a core that others want too, this leaves a thread a thirtieth.
pub(super) const NICENESS: i32 = 15;

/// Does a job on a thread of some niceness, from 0 to 19, and waits for it.
///
/// # Errors
/// There can be no further thread; the limits of the machine are at fault, and nothing was done.
pub(super) fn run<T: Send>(
    name: &str,
    niceness: i32,
    job: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = Builder::new().name(name.into());
        let worker = worker.spawn_scoped(scope, || {
            give_way(niceness);
            job()
        })?;
        // A bug in the job ends the control thread, as it would have without this.
        Ok(worker
            .join()
            .unwrap_or_else(|bug| panic::resume_unwind(bug)))
    })
}

/// Does work that may come to stand still (a program on a disk that does not answer) on a thread and
/// a runtime of its own, so that the actor goes on whatever becomes of it.
///
/// # Errors
/// There can be no further thread.
///
/// # Cancel safety
/// Dropping this ends the work where it next waits.
pub(super) async fn apart<T: Send + 'static>(
    name: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let (mut done, answer) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    Builder::new().name(name.into()).spawn(move || {
        let worked = runtime.block_on(async {
            tokio::select! {
                worked = work => Some(worked),
                () = done.closed() => None,
            }
        });
        // Whoever waited may be gone.
        let _ = worked.map(|worked| done.send(worked));
        runtime.shutdown_background();
    })?;
    answer.await.map_err(io::Error::other)
}

/// Drops something on such a thread, and does not wait.
pub(super) fn discard<T: Send + 'static>(rest: T) {
    let worker = Builder::new().name("discard".into());
    // Where there can be no further thread, it is dropped here.
    let _ = worker.spawn(move || {
        give_way(NICENESS);
        drop(rest);
    });
}

/// See [`sys::give_way`]; that a thread may not is no reason for it not to do its work.
pub(super) fn give_way(niceness: i32) {
    if let Err(error) = sys::give_way(niceness) {
        tracing::debug!(%error, "a thread of the control plane cannot give way");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    /// Reads how nice this thread is: the 19th field, the 17th after the name (proc(5)).
    fn niceness() -> i32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").expect("proc");
        let (_, after_name) = stat.rsplit_once(") ").expect("a name");
        let field = after_name.split(' ').nth(16).expect("19 fields");
        field.parse().expect("a number")
    }

    #[test]
    fn a_job_in_the_background_gives_way_and_its_caller_does_not() {
        let before = niceness();

        for asked in [super::NICENESS, 0] {
            let within = super::run("test", asked, niceness).expect("a thread");
            assert_eq!(within, before.max(asked));
        }
        assert_eq!(niceness(), before);
    }
}
