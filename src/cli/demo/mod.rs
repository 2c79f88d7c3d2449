//! `pointsman demo`: everything on one machine, to try a flip in a minute.
//!
//! For: seeing the whole loop with sites that are recognisable, from the repository's own
//! routes.yaml, on loopback and high ports. Not for: anything that lasts; what is posted to the
//! demo's sites is gone with them.
//!
//! ```text
//! routes.yaml ─> app (proxy, DNS, admin) ──> origins (one small server per address of a side)
//!                 └─ control status ──> narrate ──> the terminal
//! ```
//!
//! Invariants: origins listen on loopback addresses only; the program is the same `app` as `run`.
//! A crash leaves the state directory of the file, as `run` does. Tests: `tests/it/demo.rs` when
//! the parts are joined, and the end of `origins.rs`.

mod issue;
mod narrate;
mod origins;
mod pages;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Addresses, App};
use crate::table::{Site, Table};
use crate::telemetry;

use super::exit::Exit;
use super::run::failed;
use super::{files, out};
use origins::Origins;

/// Try it: two sites with two sides each, the proxy and the DNS, all on this machine.
///
/// It prints what to try and tells each flip as it happens. Nothing needs root; Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pointsman demo")]
pub(super) struct Args {
    /// The route table [default: ./routes.yaml, then /etc/pointsman/routes.yaml]
    file: Option<PathBuf>,
}

/// Runs the demo until Ctrl-C or TERM.
pub(super) async fn demo(args: Args) -> anyhow::Result<Exit> {
    // The narration tells what happens; the log only what goes wrong.
    telemetry::log::init("warn")?;
    let file = files::routes(args.file.as_deref());
    let app = match App::build(&file) {
        Ok(app) => app,
        Err(error) => return Ok(failed(&error)),
    };
    let table = Table::clone(app.table());
    issue::if_missing(&table)?;
    let origins = Origins::start(&table)?;
    let running = match app.spawn() {
        Ok(running) => running,
        Err(error) => return Ok(failed(&error)),
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;

    out::say(&origins.listing());
    out::say(&things_to_try(&file, &table, running.addresses()));
    let mut flips = std::pin::pin!(narrate::flips(running.handle().watch()));
    loop {
        // Signal streams are cancel safe, and the story goes on where it was.
        tokio::select! {
            () = flips.as_mut() => break,
            _ = tokio::signal::ctrl_c() => break,
            _ = terminated.recv() => break,
            // As `run` does.
            _ = hung_up.recv() => running.handle().reload().await,
        }
    }

    out::say("\nStopping.");
    running.stop().await;
    origins.stop().await;
    Ok(Exit::Settled)
}

/// The addresses, and a few commands that show what this is.
fn things_to_try(file: &Path, table: &Table, addresses: &Addresses) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_things(&mut text, file, table, addresses);
    text
}

fn write_things(
    text: &mut String,
    file: &Path,
    table: &Table,
    addresses: &Addresses,
) -> std::fmt::Result {
    let routes = file.display();
    writeln!(
        text,
        "Pointsman stands in front of them, with the routes of {routes}:"
    )?;
    for address in &addresses.http {
        writeln!(text, "  HTTP   http://{address}")?;
    }
    for address in &addresses.https {
        writeln!(text, "  HTTPS  https://{address}  (HTTP/2 too)")?;
    }
    for address in &addresses.dns {
        writeln!(text, "  DNS    {address} (UDP and TCP)")?;
    }
    if let Some(address) = addresses.admin {
        writeln!(
            text,
            "  admin  http://{address}  (status page, API, /metrics)"
        )?;
    }
    writeln!(text, "  socket {}", addresses.socket.display())?;
    if let Some(site) = table.sites.get(0) {
        writeln!(text, "\nThings to try, in another terminal:")?;
        for (number, command) in (1..).zip(commands(file, table, site, addresses)) {
            writeln!(text, "  {number}. {command}")?;
        }
        let name = &site.name;
        // As it was started: `cargo run` does not put it on the path.
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "pointsman".into());
        writeln!(
            text,
            "     then the others again; the way back: {program} flip {name}"
        )?;
    }
    writeln!(text, "\nCtrl-C ends it. What happens to the sites:")
}

fn commands(file: &Path, table: &Table, site: &Site, addresses: &Addresses) -> Vec<String> {
    let curl = addresses.http.first().map(|http| {
        let host = &site.hosts[0];
        format!("curl -H 'Host: {host}' http://{http}/")
    });
    let https = addresses.https.first().zip(issue::authority(table));
    let https = https.map(|(https, authority)| {
        let (host, port) = (&site.hosts[0], https.port());
        let (ca, ip) = (authority.display(), https.ip());
        format!("curl --cacert {ca} --resolve {host}:{port}:{ip} https://{host}:{port}/")
    });
    let dig = addresses.dns.first().map(|dns| {
        let names = site.hosts.first().into_iter();
        let names = names.chain(site.names.first().map(|name| &name.owner));
        let mut asked: Vec<_> = names.cloned().collect();
        let mut zones = table.dns.zones.keys();
        let zone = zones.find(|zone| site.hosts[0].ends_with(zone.as_str()));
        asked.extend(zone.map(|zone| format!("{zone} SOA")));
        let (server, port) = (dns.ip(), dns.port());
        format!("dig @{server} -p {port} +noall +answer {}", asked.join(" "))
    });
    [curl, https, dig, sed(file, site, table)]
        .into_iter()
        .flatten()
        .collect()
}

/// The edit that moves a site: the first `active:` after the line of its name.
fn sed(file: &Path, site: &Site, table: &Table) -> Option<String> {
    let active = table.words.get(&site.name)?.active.as_ref()?;
    let other = site.sides.iter().find(|side| side.name != *active)?;
    Some(format!(
        "sed -i '/^  {}:/,/active:/s/active: {active}/active: {}/' {}",
        site.name,
        other.name,
        file.display()
    ))
}
