//! Which token may ask for what: the one table of the routes.

use axum::http::Method;

use crate::site::Scope::{self, Guard, Operate, Read};

/// Who may ask for something over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// Anybody, without a token too.
    ToAll,
    /// The holders of tokens of these scopes, and of `operate`.
    To(&'static [Scope]),
}

const READERS: Open = Open::To(&[Read]);
const READERS_AND_JOBS: Open = Open::To(&[Read, Guard]);
const JOBS: Open = Open::To(&[Guard]);
const OPERATORS: Open = Open::To(&[]);

/// Every route, as `api` has it; what is not in here is for operators.
const ROUTES: &[(Method, &str, Open)] = &[
    (Method::GET, "/-/healthy", Open::ToAll),
    (Method::GET, "/-/ready", READERS_AND_JOBS),
    (Method::GET, "/-/ready/{site}", READERS_AND_JOBS),
    (Method::GET, "/", READERS),
    (Method::GET, "/metrics", READERS),
    (Method::GET, "/api/v1/status", READERS_AND_JOBS),
    (Method::GET, "/api/v1/sites", READERS_AND_JOBS),
    (Method::GET, "/api/v1/sites/{site}/role", READERS_AND_JOBS),
    (Method::PUT, "/api/v1/sites/{site}/access", OPERATORS),
    (Method::POST, "/api/v1/sites/{site}/invites", OPERATORS),
    (Method::GET, "/api/v1/events", READERS),
    (Method::GET, "/api/v1/flips", READERS),
    (Method::POST, "/api/v1/flips", OPERATORS),
    (Method::GET, "/api/v1/flips/{id}", READERS),
    (Method::DELETE, "/api/v1/flips/{id}", OPERATORS),
    (Method::GET, "/api/v1/flips/{id}/events", READERS),
    (Method::GET, "/api/v1/history", READERS),
    (Method::GET, "/api/v1/history/{id}", READERS),
    (Method::GET, "/api/v1/guards", READERS_AND_JOBS),
    (Method::POST, "/api/v1/guards", JOBS),
    (Method::POST, "/api/v1/guards/{id}/begin", JOBS),
    (Method::POST, "/api/v1/guards/{id}/renew", JOBS),
    (Method::POST, "/api/v1/guards/{id}/end", JOBS),
    (Method::POST, "/api/v1/guards/{id}/release", OPERATORS),
];

/// Tells who may ask for something; a path that is no route is for operators, who get the 404.
pub(super) fn open(method: &Method, path: &str) -> Open {
    // RFC 9110 §9.3.2: HEAD is GET without the content.
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut routes = ROUTES.iter();
    let found = routes.find(|(of, route, _)| of == method && leads_to(route, path));
    found.map_or(OPERATORS, |(_, _, open)| *open)
}

/// Tells whether a path is of a route, part by part; `{…}` stands for any one part.
fn leads_to(route: &str, path: &str) -> bool {
    let (mut parts, mut given) = (route.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given => {}
            (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
            (_, _) => return false,
        }
    }
}

impl Open {
    /// Tells whether a token of a scope may.
    pub(super) fn allows(self, scope: Scope) -> bool {
        match self {
            Self::ToAll => true,
            Self::To(scopes) => scope == Operate || scopes.contains(&scope),
        }
    }

    /// Names the scopes that may, the least one first.
    pub(super) fn scopes(self) -> impl Iterator<Item = Scope> {
        let named = [Read, Guard, Operate].into_iter();
        named.filter(move |scope| self.allows(*scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the routes out of the source, as the router does not show them.
    fn routes() -> Vec<(Method, String)> {
        let source = [include_str!("api.rs"), include_str!("health.rs")].concat();
        let mut found = Vec::new();
        for route in source.split(".route(").skip(1) {
            let (path, rest) = route.trim_start()[1..].split_once('"').unwrap_or_default();
            let handlers = rest.split("\n        .").next().unwrap_or_default();
            for method in [
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::DELETE,
                Method::PATCH,
            ] {
                let word = format!("{}(", method.as_str().to_lowercase());
                if handlers.contains(&format!(" {word}")) || handlers.contains(&format!(".{word}"))
                {
                    found.push((method, path.to_owned()));
                }
            }
        }
        found
    }

    #[test]
    fn each_route_of_the_router_is_in_the_table() {
        let routes = routes();

        let listed = |(method, path): &&(Method, String)| {
            let mut rows = ROUTES.iter();
            !rows.any(|(of, route, _)| of == method && route == path)
        };
        let missing: Vec<_> = routes.iter().filter(listed).collect();
        assert!(routes.len() >= 15, "{routes:?}");
        assert!(missing.is_empty(), "say who may ask for {missing:?}");
    }

    #[test]
    fn only_operators_change_what_is_not_a_job() {
        for (method, path, open) in ROUTES {
            let is_job = path.starts_with("/api/v1/guards");
            let changes = *method != Method::GET;
            assert!(!(changes && open.allows(Read)), "{method} {path}");
            assert!(
                !(changes && !is_job && open.allows(Guard)),
                "{method} {path}"
            );
        }
        let release = open(&Method::POST, "/api/v1/guards/7/release");
        assert_eq!(release.scopes().collect::<Vec<_>>(), [Operate]);
    }

    #[test]
    fn what_is_not_listed_is_for_operators() {
        for (method, path) in [
            (Method::GET, "/api/v1/nosuch"),
            (Method::GET, "/api/v1/status/"),
            (Method::GET, "/api/v1//status"),
            (Method::GET, "/api/v1/flips//events"),
            (Method::DELETE, "/api/v1/status"),
            (Method::GET, ""),
            (Method::GET, "/API/v1/status"),
        ] {
            assert_eq!(open(&method, path), OPERATORS, "{method} {path}");
        }
        assert_eq!(open(&Method::HEAD, "/api/v1/status"), READERS_AND_JOBS);
    }
}
