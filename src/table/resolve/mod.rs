//! Resolve: from the tree to a table, part by part, with every mistake on the way.
//!
//! For: meaning, once the keys are known to be right: names that must exist, values in their
//! ranges, defaults. Not for: syntax and unknown keys, which `tree` and `schema` have dealt with.
//! A part that is wrong is reported and left out, so that the parts after it are looked at too.
//! Nothing is read here but through the [`ReadFile`] passed in. Proved by `tests/it/mistakes.rs`.

mod admin;
mod check;
mod dns;
mod fence;
mod freshness;
mod groups;
mod hooks;
mod names;
mod policy;
mod site;
mod standby;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::site::SiteName;

use super::chunks::Chunks;
use super::diagnostic::{Diagnostic, Report};
use super::keys::ROOT;
use super::matcher::Matcher;
use super::model::{Dns, Listen, LoadedFile, ReadFile, Table};
use super::scalar;
use super::schema::{At, Fields, Wrong};
use super::tree::{self, Node, Place};

/// What every part needs: where mistakes go, and where named files are read.
struct Context<'c> {
    report: Report,
    /// The sites that name files which were read.
    readers: BTreeSet<SiteName>,
    folder: &'c Path,
    files: &'c dyn ReadFile,
    elsewhere: Elsewhere<'c>,
}

/// Tells whether a site is in a part of the table that is not in the text.
pub(super) type Elsewhere<'e> = &'e dyn Fn(&str) -> bool;

/// Loads a table from its text, and tells which sites name files; see [`Table::load`].
///
/// A text of a part of the sites may name those `elsewhere`, where a name is all that is wanted.
pub(super) fn load(
    path: &Path,
    text: &str,
    files: &dyn ReadFile,
    elsewhere: Elsewhere<'_>,
) -> Result<(Table, BTreeSet<SiteName>), Vec<Diagnostic>> {
    let mut context = Context {
        report: Report::new(path),
        readers: BTreeSet::new(),
        folder: path.parent().unwrap_or(Path::new("")),
        files,
        elsewhere,
    };
    // Editors of other systems begin a file with a byte order mark; it is no part of the YAML.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = tree::parse(text, &mut context.report);
    let table = root.as_ref().and_then(|root| whole(&mut context, root));
    if root.is_none() {
        empty(&mut context.report, text);
    }
    let warnings = context.report.finish()?;
    // Without a mistake nothing was left out; the error keeps this total.
    table
        .map(|table| (Table { warnings, ..table }, context.readers))
        .ok_or_else(Vec::new)
}

/// Reports an empty file, unless it is empty of sense and reported as such.
fn empty(report: &mut Report, text: &str) {
    let blank = |line: &str| ["", "---", "..."].contains(&line) || line.starts_with('#');
    if text.lines().all(|line| blank(line.trim())) {
        let remedy = "write at least `version`, `listen`, `state` and `sites`";
        report.mistake(Place::START, "", "the file is empty", remedy);
    }
}

fn whole(context: &mut Context<'_>, root: &Node<'_>) -> Option<Table> {
    let at = At {
        node: root,
        key: String::new(),
        shape: &ROOT,
    };
    if matches!(root.value, tree::Value::Empty | tree::Value::Null) {
        empty(&mut context.report, "");
        return None;
    }
    let fields = at.fields(&mut context.report)?;
    version(context, &fields);
    let listen = listen(context, &fields);
    let state = fields
        .need(&mut context.report, "state", "state: ./state")
        .and_then(|at| at.text(&mut context.report))
        .map(|state| context.beside(state));
    let certs = tls::folder(context, &fields);
    let admin = admin::resolve(context, &fields, &listen);
    let dns = match fields.find(&mut context.report, "dns") {
        Some(at) => dns::resolve(context, &at),
        None => Dns::default(),
    };
    let example = "sites: {name: {hosts: […], sides: {…}}}";
    let sites = fields.need(&mut context.report, "sites", example)?;
    let around = site::Around {
        dns: &dns,
        listen: &listen,
    };
    let (sites, words) = site::all(context, &sites, around)?;
    let groups = match fields.find(&mut context.report, "groups") {
        Some(at) => groups::resolve(context, &at, &sites),
        None => BTreeMap::new(),
    };
    let default_site = fields.find(&mut context.report, "default_site");
    let default = default_site.and_then(|at| site::index(context, &at, &sites));
    let fence = match fields.find(&mut context.report, "fence") {
        Some(at) => fence::resolve(context, &at),
        None => Vec::new(),
    };
    let sites = Chunks::from_iter(sites);
    Some(Table {
        listen,
        state: state?,
        certs,
        admin: Arc::new(admin),
        dns,
        matcher: Arc::new(Matcher::new(&sites).with_default(default)),
        groups: Arc::new(groups),
        default_site: default.map(|index| sites[index].name.clone()),
        fence,
        sites,
        words: Arc::new(words),
        warnings: Vec::new(),
    })
}

fn version(context: &mut Context<'_>, fields: &Fields<'_>) {
    let report = &mut context.report;
    let Some(at) = fields.need(report, "version", "version: 1") else {
        return;
    };
    at.parse(report, |text| match text {
        "1" => Ok(()),
        _ => Err(Wrong::new(
            format!("version {text} is not known"),
            "write `version: 1`",
        )),
    });
}

/// A listener with the place it is written at.
struct Bound<'n> {
    at: At<'n>,
    address: SocketAddr,
}

fn listen(context: &mut Context<'_>, fields: &Fields<'_>) -> Listen {
    let report = &mut context.report;
    let example = "listen: {http: [127.0.0.1:8080]}";
    let Some(at) = fields.need(report, "listen", example) else {
        return Listen::default();
    };
    let Some(fields) = at.fields(report) else {
        return Listen::default();
    };
    let mut http = Vec::new();
    if let Some(at) = fields.need(report, "http", "http: [127.0.0.1:8080]") {
        http = listeners(report, &at);
        if matches!(&at.node.value, tree::Value::List(items) if items.is_empty()) {
            let remedy = "write at least one address: `[127.0.0.1:8080]`";
            at.wrong(report, Wrong::new("is empty", remedy));
        }
    }
    let https = fields.find(report, "https");
    let https = https.map(|at| listeners(report, &at)).unwrap_or_default();
    let dns = fields.find(report, "dns");
    let dns = dns.map(|at| listeners(report, &at)).unwrap_or_default();
    let admin = fields.find(report, "admin").and_then(|at| {
        let address = at.parse(report, scalar::listener)?;
        Some(Bound { at, address })
    });
    let admin_tls = fields.find(report, "admin_tls");
    let admin_tls = admin_tls.map(|at| listeners(report, &at));
    let admin_tls = admin_tls.unwrap_or_default();
    let (users, operators) = (http.iter().chain(&https).chain(&dns), admin.iter());
    refuse_overlaps(report, users.chain(operators).chain(&admin_tls));
    let addresses = |bound: Vec<Bound<'_>>| bound.iter().map(|one| one.address).collect();
    Listen {
        http: addresses(http),
        https: addresses(https),
        dns: addresses(dns),
        admin: admin.map(|one| one.address),
        admin_tls: addresses(admin_tls),
    }
}

fn listeners<'n>(report: &mut Report, at: &At<'n>) -> Vec<Bound<'n>> {
    let items = at.list(report).unwrap_or_default();
    let mut bound = Vec::with_capacity(items.len());
    for at in items {
        if let Some(address) = at.parse(report, scalar::listener) {
            bound.push(Bound { at, address });
        }
    }
    bound
}

/// Two listeners must not take one address; one without an IP address takes all of its family.
fn refuse_overlaps<'b, 'n: 'b>(report: &mut Report, all: impl Iterator<Item = &'b Bound<'n>>) {
    let mut before: Vec<&Bound<'_>> = Vec::new();
    for bound in all {
        let (ip, port) = (bound.address.ip(), bound.address.port());
        let clash = before.iter().find(|other| {
            let same_family = other.address.is_ipv4() == bound.address.is_ipv4();
            let all = other.address.ip().is_unspecified() || ip.is_unspecified();
            let same_ip = other.address.ip() == ip || (all && same_family);
            // Port 0 is another port each time.
            port != 0 && other.address.port() == port && same_ip
        });
        if let Some(other) = clash {
            let message = format!("`{}` is taken by {} already", bound.address, other.at.key);
            let wrong = Wrong::new(message, "write another address or port");
            bound.at.wrong(report, wrong);
        }
        before.push(bound);
    }
}

impl Context<'_> {
    /// Takes a path as relative to the folder of the table.
    fn beside(&self, path: &str) -> PathBuf {
        let joined = self.folder.join(path);
        let parts = joined
            .components()
            .filter(|part| *part != Component::CurDir);
        parts.collect()
    }

    /// Reads a file that the table names.
    fn read(&mut self, at: &At<'_>) -> Option<LoadedFile> {
        let text = at.text(&mut self.report)?;
        let path = self.beside(text);
        // A name has no dot in it.
        if let Some(below) = at.key.strip_prefix("sites.") {
            let name = below.split('.').next().unwrap_or_default();
            self.readers.insert(SiteName::new(name));
        }
        let read = self.files.read(&path);
        let remedy = "write the path of a readable file, relative to this one";
        let text = self.readable(at, &path, read, remedy)?;
        Some(LoadedFile {
            path,
            text: Arc::from(text),
        })
    }

    /// Reads a file that the table names and that nobody else may know.
    fn read_secret(&mut self, at: &At<'_>) -> Option<String> {
        let text = at.text(&mut self.report)?;
        let path = self.beside(text);
        let read = self.files.read_secret(&path);
        let remedy = "write the path of a file that the daemon may read, and others may not";
        self.readable(at, &path, read, remedy)
    }

    fn readable(
        &mut self,
        at: &At<'_>,
        path: &Path,
        read: std::io::Result<String>,
        remedy: &str,
    ) -> Option<String> {
        read.map_err(|error| {
            let message = format!("{} cannot be read: {error}", path.display());
            at.wrong(&mut self.report, Wrong::new(message, remedy));
        })
        .ok()
    }
}
