//! The command line: one file per verb.
//!
//! For: people and scripts; what they type, what they read, and the exit code. Not for: doing the
//! work; `run` and `demo` hand over to `app`, the other verbs ask the daemon over its socket, or from
//! another host over TLS.
//!
//! ```text
//! arguments ─> verb ─┬─ run, demo ──> app
//!                    ├─ check, schema > table, zone
//!                    ├─ recover ────> journal
//!                    ├─ token ──────> a secret and its digest
//!                    ├─ guard ──────> client, and a job
//!                    └─ the others ─> client ──admin.sock, or TLS──> the daemon
//!                  stdout: what was asked for · stderr: what went wrong · Exit: the code
//! ```
//!
//! Invariants: every exit code comes from [`Exit`]; a verb that changes something asks first on a
//! terminal, and refuses without one unless told `--yes`; a reader of the output that goes away
//! ends the output, not the command.
//!
//! A crash leaves nothing behind: the flip is the daemon's, and goes on without its reader.
//! Tests: `tests/it/cli.rs`, and the ends of the files that make text.

mod access;
mod check;
mod client;
mod clock;
mod completions;
mod confirm;
mod demo;
mod exit;
mod files;
mod flip;
mod guard;
mod history;
mod invite;
mod out;
mod plan;
mod reach;
mod recover;
mod run;
mod schema;
mod socket;
mod status;
mod token;
mod told;
mod undo;
mod verify;
mod watch;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

pub use exit::Exit;

/// Reverse proxy and authoritative DNS from one routes.yaml: move a site by editing one word.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    reach: reach::Args,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Check(check::Args),
    Status(status::Args),
    Plan(plan::Args),
    Flip(flip::Args),
    Undo(undo::Args),
    Access(access::Args),
    Watch(watch::Args),
    History(history::Args),
    Verify(verify::Args),
    Guard(guard::Args),
    #[command(name = "guard-stand-in")]
    GuardStandIn(guard::StandInArgs),
    Token(token::Args),
    Recover(recover::Args),
    Demo(demo::Args),
    Schema(schema::Args),
    Completions(completions::Args),
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // A mistake in the arguments ends the process here, with exit code 2, which is `Exit::Usage`.
    let cli = Cli::parse();
    let client = || cli.reach.reached().map(client::Client::new);
    let done = runtime().and_then(|runtime| {
        runtime.block_on(async {
            match cli.verb {
                Verb::Run(args) => run::run(args).await,
                Verb::Check(args) => Ok(check::check(&args)),
                Verb::Status(args) => status::status(&args, &client()?).await,
                Verb::Flip(args) => flip::flip(&args, &client()?).await,
                Verb::Plan(args) => Ok(plan::plan(args, &client()?).await),
                Verb::Undo(args) => undo::undo(&args, &client()?).await,
                Verb::History(args) => Ok(history::history(&args, &client()?).await),
                Verb::Verify(args) => Ok(verify::verify(&args, &client()?).await),
                Verb::Access(args) => access::access(&args, &client()?).await,
                Verb::Watch(args) => watch::watch(&args, &client()?).await,
                Verb::Guard(args) => guard::guard(&args, &client()?).await,
                Verb::GuardStandIn(args) => guard::stand_in(&args),
                Verb::Token(args) => Ok(token::token(&args)),
                Verb::Recover(args) => recover::recover(&args),
                Verb::Demo(args) => demo::demo(args).await,
                Verb::Schema(args) => Ok(schema::schema(&args)),
                Verb::Completions(args) => Ok(completions::completions(&args, Cli::command())),
            }
        })
    });
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            out::complain(&format!("pointsman: {error:#}"));
            let is_usage = error.is::<reach::Wrong>();
            if is_usage { Exit::Usage } else { Exit::Failed }.into()
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}
