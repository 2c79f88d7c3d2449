//! The record of a request: counted and logged once, when its answer has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};

use crate::site::{SideName, SiteName};
use crate::telemetry::http::{Answered, HttpShard};

use super::head::RequestHead;
use super::invite;

/// What a client that left before its answer is counted as, as nginx does.
const CLIENT_GONE: u16 = 499;

/// One request; dropping it counts and logs it, however the request ended.
#[derive(Debug)]
pub(super) struct Record {
    shard: Arc<HttpShard>,
    began: Instant,
    method: Method,
    status: u16,
    site: Option<SiteName>,
    side: Option<SideName>,
    /// Kept only while somebody reads the access log.
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    client: SocketAddr,
    target: Box<str>,
}

impl Record {
    /// Begins when the head of a request is there.
    pub(super) fn begin(shard: &Arc<HttpShard>, client: SocketAddr, head: &RequestHead) -> Self {
        let logged = tracing::enabled!(target: "access", tracing::Level::DEBUG);
        Self {
            shard: Arc::clone(shard),
            began: Instant::now(),
            method: head.method.clone(),
            status: CLIENT_GONE,
            site: None,
            side: None,
            shown: logged.then(|| Shown {
                client,
                target: invite::without_token(&head.target).into(),
            }),
        }
    }

    /// Notes the site, once it is known.
    pub(super) fn of_site(&mut self, site: &SiteName) {
        self.site = Some(site.clone());
    }

    /// Notes the side that answered.
    pub(super) fn of_side(&mut self, side: &SideName) {
        self.side = Some(side.clone());
    }

    /// Notes the answer's status.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let site = self.site.as_ref().map_or("none", SiteName::as_str);
        let side = self.side.as_ref().map_or("none", SideName::as_str);
        self.shard.answered(Answered {
            site,
            side,
            method: &self.method,
            code: self.status,
            took,
        });
        if let Some(Shown { client, target }) = &self.shown {
            tracing::debug!(
                target: "access",
                %client,
                site,
                side,
                method = %self.method,
                target = %target,
                status = self.status,
                took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "request"
            );
        }
    }
}
