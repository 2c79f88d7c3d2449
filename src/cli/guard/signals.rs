//! Signals that a guard passes on to its job.

use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a terminal, cron, systemd and operators send.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The signals that come to the guard.
pub(super) struct Signals(Vec<(Signal, Stream)>);

impl Signals {
    /// Takes them from here on; one that is ignored stays so, as `nohup` wants it.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn take() -> std::io::Result<Self> {
        let ignored = ignored();
        let taken = PASSED_ON
            .into_iter()
            .filter(|sent| ignored & mask(*sent) == 0);
        let streams = taken.map(|sent| Ok((sent, signal(SignalKind::from_raw(sent as i32))?)));
        streams.collect::<Result<_, _>>().map(Self)
    }

    /// Waits for the next.
    ///
    /// # Cancel safety
    /// Safe: one that came and was not returned comes the next time.
    pub(super) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            for (sent, stream) in &mut self.0 {
                if stream.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(*sent);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

fn mask(sent: Signal) -> u64 {
    1 << (sent as i32 - 1)
}

/// The signals that are ignored, as proc_pid_status(5) has them; none where nobody can look.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0)
}
