//! TLS: the folder of certificates, `tls` and `redirect` of a site, `tls` of a side.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use super::super::diagnostic::Report;
use super::super::model::{CertFiles, Listen, OriginTls, Redirect};
use super::super::schema::{At, Fields, Wrong};
use super::Context;

/// Where Debian keeps the authorities that browsers trust, for the remedies.
const EXAMPLE_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Reads `certs:`, the folder beside the file when it is left out.
pub(super) fn folder(context: &mut Context<'_>, fields: &Fields<'_>) -> PathBuf {
    let at = fields.find(&mut context.report, "certs");
    let written = at.and_then(|at| at.text(&mut context.report));
    context.beside(written.unwrap_or("certs"))
}

/// Reads `redirect:` of a site.
pub(super) fn redirect(report: &mut Report, fields: &Fields<'_>, listen: &Listen) -> Redirect {
    let Some(at) = fields.find(report, "redirect") else {
        return Redirect::Never;
    };
    let redirect = at.parse(report, |text| match text {
        "https" => Ok(Redirect::Https),
        _ => Err(Wrong::new(
            format!("`{text}` is no place to redirect to"),
            "write `redirect: https`, or leave it out",
        )),
    });
    if redirect.is_some() && listen.https.is_empty() {
        let remedy = "add `https: [127.0.0.1:8443]` to `listen`, or leave `redirect` out";
        at.wrong(report, Wrong::new("nobody listens for https", remedy));
    }
    redirect.unwrap_or_default()
}

/// Reads `tls:` of a site, or of `admin`; whether the files are good is found out when they are loaded.
pub(super) fn own_certificate(context: &mut Context<'_>, fields: &Fields<'_>) -> Option<CertFiles> {
    let at = fields.find(&mut context.report, "tls")?;
    let fields = at.fields(&mut context.report)?;
    let mut file = |name, example| {
        let at = fields.need(&mut context.report, name, example)?;
        let text = at.text(&mut context.report)?;
        Some(context.beside(text))
    };
    let cert = file("cert", "cert: tls/site.pem");
    let key = file("key", "key: tls/site.key.pem");
    Some(CertFiles {
        cert: cert?,
        key: key?,
    })
}

/// Reads `tls:` of a side: whom its `https://` origins are believed to be.
pub(super) fn of_origins(context: &mut Context<'_>, at: &At<'_>) -> Option<Arc<OriginTls>> {
    let fields = at.fields(&mut context.report)?;
    let server_name = fields.find(&mut context.report, "server_name");
    let server_name = server_name.and_then(|at| {
        at.parse(&mut context.report, |text| {
            let name = ServerName::try_from(text);
            name.map(|_| text.to_ascii_lowercase()).map_err(|_| {
                let message = format!("`{text}` is no name that a certificate can be for");
                Wrong::new(message, "write a host name without port")
            })
        })
    });
    let example = format!("ca: {EXAMPLE_CA}");
    let at = fields.need(&mut context.report, "ca", &example)?;
    let ca = context.read(&at)?;
    if let Err(why) = authorities(&ca.text) {
        let message = format!("{} names nobody to believe: {why}", ca.path.display());
        let remedy = format!("write a file of certificates in PEM, such as `{EXAMPLE_CA}`");
        at.wrong(&mut context.report, Wrong::new(message, remedy));
        return None;
    }
    Some(Arc::new(OriginTls { ca, server_name }))
}

/// Says that an `https://` origin cannot be checked.
pub(super) fn nobody_to_believe() -> Wrong {
    let remedy = format!("write `tls: {{ca: {EXAMPLE_CA}}}` beside `web`");
    Wrong::new("nobody is named who may vouch for it", remedy)
}

/// Tries whether a bundle can be used.
fn authorities(bundle: &str) -> Result<(), String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle.as_bytes()).collect();
    let read = read.map_err(|error| error.to_string())?;
    let count = read.len();
    // Bundles of the world have members that nobody can use; one that can be is enough.
    let (good, _) = RootCertStore::empty().add_parsable_certificates(read);
    match (good, count) {
        (0, 0) => Err("there is no certificate in it".into()),
        (0, _) => Err("none of its certificates can be used".into()),
        (_, _) => Ok(()),
    }
}
