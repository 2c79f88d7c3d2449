//! `pointsman completions`: what a shell needs to complete the command line.

use super::exit::Exit;
use super::out;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        pointsman completions bash > /etc/bash_completion.d/pointsman\n  \
                        pointsman completions zsh > ~/.zfunc/_pointsman")]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints them; `command` is the whole command line.
pub(super) fn completions(args: &Args, mut command: clap::Command) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pointsman", &mut script);
    out::say(String::from_utf8_lossy(&script).trim_end());
    Exit::Settled
}
