//! A check by a command: it passes when the command ends with status 0.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Failed;
use super::expect::shown;

/// How much of what a command prints is looked at, in bytes; the rest is read and dropped, so that
/// it never waits for a reader.
const OUTPUT_MAX: usize = 4096;

/// How long the last words of a failed command may take to come out of its pipe.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// One command.
#[derive(Clone, Debug)]
pub struct CommandProbe {
    /// The program, looked for in `PATH`, and its arguments; no shell is in between.
    pub argv: Vec<String>,
    /// What it finds in its environment beside the daemon's own.
    pub environment: Vec<(&'static str, String)>,
}

/// Runs the command in a process group of its own, of which nothing is left afterwards.
///
/// # Errors
/// It cannot be started, or does not end with status 0.
///
/// # Cancel safety
/// Dropping the future kills the group.
pub(super) async fn check(probe: &CommandProbe) -> Result<(), Failed> {
    let Some((program, arguments)) = probe.argv.split_first() else {
        return Err(Failed::Unsendable("there is no command".into()));
    };
    let failed = |error: io::Error| Failed::Command(format!("{program}: {error}"));
    let (reader, writer) = io::pipe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(probe.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        // One pipe for both: what was said last is what is shown.
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    // It holds the pipe open.
    drop(command);
    let group = Group(child.id());
    let mut printed = Printed::of(pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?);
    let status = printed.until_end(&mut child).await;
    // What it left behind in its group ends here, before the number can belong to another.
    drop(group);
    let status = status.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    // With the group gone there is an end to what is in the pipe, unless somebody left the group.
    let _ = timeout(LAST_WORDS, printed.rest()).await;
    Err(Failed::Command(words(status, &printed.last_line())))
}

fn words(status: ExitStatus, last_line: &str) -> String {
    // `exit status: 1`, `signal: 9 (SIGKILL)`
    let ended = status.to_string().replacen(": ", " ", 1);
    if last_line.is_empty() {
        return format!("ended with {ended}");
    }
    format!("ended with {ended}: {}", shown(last_line))
}

/// The process group of a command; it is killed when this is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader.filter(|leader| *leader > 1) {
            // A group of which nobody is left is what is wanted.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// The end of what a command prints.
#[derive(Debug)]
struct Printed {
    /// `None` when there is no more.
    pipe: Option<pipe::Receiver>,
    kept: Vec<u8>,
}

impl Printed {
    fn of(pipe: pipe::Receiver) -> Self {
        Self {
            pipe: Some(pipe),
            kept: Vec::new(),
        }
    }

    /// Reads until the command has ended; what its children still print is not waited for.
    async fn until_end(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            // A read and the wait for a child are cancel safe.
            tokio::select! {
                status = child.wait() => return status,
                () = self.more(), if self.pipe.is_some() => {}
            }
        }
    }

    async fn rest(&mut self) {
        while self.pipe.is_some() {
            self.more().await;
        }
    }

    /// Reads a part.
    async fn more(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        let mut part = [0; 1024];
        match pipe.read(&mut part).await {
            Ok(length @ 1..) => self.keep(&part[..length]),
            Ok(0) | Err(_) => self.pipe = None,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        let over = self.kept.len().saturating_sub(OUTPUT_MAX);
        self.kept.drain(..over);
    }

    fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let mut lines = text.lines().rev().map(str::trim);
        lines
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tokio::time::Instant;

    use super::super::{Failed, Probe, run};
    use super::*;

    fn ran(script: &str, timeout: Duration) -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let probe = Probe::Command(CommandProbe {
            argv: ["sh", "-c", script].map(str::to_owned).into(),
            environment: vec![("POINTSMAN_SIDE", "backup".into())],
        });
        runtime.block_on(run(&probe, timeout)).map(|_| ())
    }

    const LONG: Duration = Duration::from_secs(20);

    fn words_of(script: &str) -> String {
        let failed = ran(script, LONG).expect_err("it fails");
        failed.to_string()
    }

    /// Waits until a process is gone, or is only waited for by its parent.
    fn until_gone(id: &str) {
        let stat = Path::new("/proc").join(id.trim()).join("stat");
        let deadline = Instant::now() + LONG;
        while fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
            assert!(Instant::now() < deadline, "{id} is still there");
            std::thread::yield_now();
        }
    }

    #[test]
    fn status_0_passes_and_any_other_is_named_with_the_last_line() {
        assert_eq!(ran("test $POINTSMAN_SIDE = backup", LONG), Ok(()));
        assert_eq!(words_of("exit 3"), "ended with exit status 3");
        let script = "echo begun; echo no copy since noon >&2; echo; exit 1";
        assert_eq!(
            words_of(script),
            "ended with exit status 1: \"no copy since noon\""
        );
        let killed = words_of("kill -TERM $$");
        assert!(killed.starts_with("ended with signal 15"), "{killed}");
    }

    #[test]
    fn a_command_that_prints_for_ever_is_read_and_ends_with_the_deadline() {
        let short = Duration::from_millis(300);
        assert_eq!(ran("yes", short), Err(Failed::Timeout(short)));
        let long = words_of("yes x | head -c 5000000; echo; echo done; exit 1");
        assert_eq!(long, "ended with exit status 1: \"done\"");
    }

    #[test]
    fn nobody_of_its_group_outlives_the_deadline_or_its_end() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let note = scratch.path().join("id");
        let child = format!("sleep 1000 & echo $! > {}", note.display());
        let id = || fs::read_to_string(&note).expect("the child is noted");

        let short = Duration::from_millis(500);
        let late = ran(&format!("{child}; wait"), short);
        assert_eq!(late, Err(Failed::Timeout(short)));
        until_gone(&id());

        assert_eq!(ran(&child, LONG), Ok(()), "its pipes are still open");
        until_gone(&id());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let probe = Probe::Command(CommandProbe {
            argv: vec!["/no/such/program".into()],
            environment: Vec::new(),
        });
        let failed = runtime.block_on(run(&probe, LONG)).map(|_| ());
        let words = failed.map_err(|failed| failed.to_string());
        assert!(words.is_err_and(|words| words.starts_with("/no/such/program: ")));
    }
}
