//! Reading the marker of a side: of each of its origins, through its own address.

use http::{Method, StatusCode};

use crate::certs::Trust;
use crate::probe::{self, Expect};
use crate::site::SideName;
use crate::table::{Freshness, OriginAddr, Site};

use super::super::checks;
use super::marker::{self, Marker};

/// Which of several origins tells how new a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// The newest: nothing of it may be left behind.
    Newest,
    /// The oldest: each of them is to serve.
    Oldest,
}

/// Reads the marker of a side.
///
/// # Errors
/// The first origin that cannot be read, with its place, or that texts differ, in words.
pub(super) async fn side(
    site: &Site,
    freshness: &Freshness,
    name: &SideName,
    counts: Counts,
    trust: &Trust,
) -> Result<Marker, String> {
    let side = site.side(name).ok_or("the side is gone")?;
    let mut found: Option<Marker> = None;
    for origin in &side.web {
        let place = || format!("{origin}{}", freshness.path);
        let read = origin_marker(site, freshness, origin, trust).await;
        let read = read.map_err(|why| format!("{}: {why}", place()))?;
        found = Some(match (found, counts) {
            (None, _) => read,
            (Some(Marker::Text(other)), _) if Marker::Text(other.clone()) != read => {
                return Err(format!("{} has {read}, another has {other:?}", place()));
            }
            (Some(other), Counts::Newest) => other.max(read),
            (Some(other), Counts::Oldest) => other.min(read),
        });
    }
    found.ok_or_else(|| "it has no origin".into())
}

async fn origin_marker(
    site: &Site,
    freshness: &Freshness,
    origin: &OriginAddr,
    trust: &Trust,
) -> Result<Marker, String> {
    let asked = (
        Method::GET,
        &*freshness.path,
        Expect::status(StatusCode::OK),
    );
    let probe = checks::request(site, origin, trust, asked)?;
    let body = probe::fetch(&probe, freshness.timeout).await;
    let body = body.map_err(|failed| failed.to_string())?;
    marker::find(&body, &freshness.place, freshness.kind)
}
