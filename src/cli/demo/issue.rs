//! Throw-away certificates: an authority of the demo's own and a certificate for each site.
//!
//! The authority's key is never written down, so that nobody can sign with it afterwards.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::certs::Store;
use crate::table::Table;

/// How long they are valid; the demo makes new ones when their time is over.
const VALID_DAYS: i64 = 90;

/// How the names of the demo's files begin, by which it knows them again.
const OURS: &str = "demo-";

/// The authority's certificate, for `curl --cacert`; `None` when the demo did not make it.
pub(super) fn authority(table: &Table) -> Option<PathBuf> {
    let file = table.certs.join(format!("{OURS}ca.pem"));
    (!table.listen.https.is_empty() && file.exists()).then_some(file)
}

/// Makes certificates for every site when there are none, or when those it made have had their day.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn if_missing(table: &Table) -> anyhow::Result<()> {
    if table.listen.https.is_empty() || are_there(table)? {
        return Ok(());
    }
    fs::create_dir_all(&table.certs)
        .and_then(|()| issue(table).map_err(std::io::Error::other))
        .with_context(|| format!("certificates for the demo, in {}", table.certs.display()))
}

/// Tells whether somebody has put certificates there, or ours are still good for every site.
fn are_there(table: &Table) -> anyhow::Result<bool> {
    if !table.certs.exists() {
        return Ok(false);
    }
    let store = Store::empty()?;
    store.follow(table);
    let shown = store.shown();
    let is_ours = |label: &str| label.starts_with(OURS);
    if shown
        .iter()
        .any(|one| one.not_after.is_some() && !is_ours(&one.label))
    {
        return Ok(true);
    }
    Ok(table.sites.iter().all(|site| {
        let label = format!("{OURS}{}", site.name);
        let found = shown.iter().find(|one| one.label == label);
        found.is_some_and(|one| one.problem.is_none() && one.names == site.hosts)
    }))
}

fn issue(table: &Table) -> anyhow::Result<()> {
    let mut params = CertificateParams::default();
    let name = "Pointsman demo, a throw-away authority";
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params)?;
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    for site in table.sites.iter() {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(site.hosts.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, site.hosts[0].as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params)?;
        let certificate = params.signed_by(&key, &authority)?;
        let file = |end: &str| table.certs.join(format!("{OURS}{}{end}", site.name));
        write(&file(".key.pem"), &key.serialize_pem())?;
        write(&file(".pem"), &certificate.pem())?;
    }
    write(
        &table.certs.join(format!("{OURS}ca.pem")),
        &authority.as_ref().pem(),
    )
}

/// From yesterday, for whose clock is behind, and for [`VALID_DAYS`].
fn valid(params: &mut CertificateParams) -> anyhow::Result<()> {
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let day = |days: i64| {
        let day = today.checked_add(Span::new().days(days))?;
        let part = |number: i8| number.unsigned_abs();
        let (month, of_month) = (part(day.month()), part(day.day()));
        anyhow::Ok(date_time_ymd(day.year().into(), month, of_month))
    };
    params.not_before = day(-1)?;
    params.not_after = day(VALID_DAYS)?;
    Ok(())
}

/// Writes a file that only its owner may read, in the place of what was there.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    // Another mode than that of a file that is there can only be had by making a new one.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
