//! Waiting for a child, and saying how it ended.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::oneshot;

/// Says how a process ended: `exit status 3`.
pub fn in_words(status: &ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("exit status {code}");
    }
    let number = status.signal().unwrap_or(0);
    let name = Signal::try_from(number).map_or("", Signal::as_str);
    format!("ended by signal {number} {name}").trim_end().into()
}

/// Waits on a thread of its own until a child of this process has ended, and leaves it to be reaped:
/// so its number, which is that of its group too, belongs to nobody else.
///
/// Where there can be no thread, it is as if the process had ended at once: it is then looked at,
/// and ended as one that was left behind.
pub fn await_exit(process: u32) -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    let process = Pid::from_raw(i32::try_from(process).unwrap_or(0));
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    let waiter = std::thread::Builder::new().name("await-exit".into());
    // The thread ends with the process, which is always seen to its end.
    let _ = waiter.spawn(move || {
        while waitid(Id::Pid(process), flags) == Err(Errno::EINTR) {}
        let _ = tell.send(());
    });
    told
}
