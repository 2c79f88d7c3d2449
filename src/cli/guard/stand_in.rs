//! The process that becomes the job: it waits until it is told that its number is on disk.
//!
//! So the daemon knows of each process before it does anything; and when the guard dies before that,
//! nothing was done.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::unistd::close;

use super::super::exit::Exit;

/// Wait for a word, then become the job; for `pointsman guard` alone.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(in crate::cli) struct Args {
    /// The descriptor on which the word comes.
    word: i32,
    /// The descriptor on which it is said that the job cannot be started.
    failed: i32,
    /// The job.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the job; returns only when it cannot.
///
/// # Errors
/// The descriptors are not those of a guard.
pub(in crate::cli) fn stand_in(args: &Args) -> anyhow::Result<Exit> {
    // Opened anew they close by themselves when the job takes over.
    let mut word = File::open(format!("/proc/self/fd/{}", args.word))?;
    let failed = format!("/proc/self/fd/{}", args.failed);
    let mut failed = OpenOptions::new().write(true).open(failed)?;
    close(args.word)?;
    close(args.failed)?;
    let mut told = Vec::new();
    word.read_to_end(&mut told)?;
    if told != super::job::GO {
        return Ok(Exit::Failed);
    }
    let (program, arguments) = args.command.split_first().unwrap_or_else(|| unreachable!());
    let error = Command::new(program).args(arguments).exec();
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let exit = Exit::Job(if is_missing { 127 } else { 126 });
    // Who reads it is the guard, which waits for this.
    let _ = write!(failed, "{}: {error}", program.to_string_lossy());
    Ok(exit)
}
