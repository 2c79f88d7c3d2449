//! What the records of two origins say together.

use std::time::Instant;

use super::origin::{Origin, Seen};

/// When a request was in work at its origin: from its head to the end of its answer.
pub(crate) type Span = (Instant, Instant);

/// The requests of users: all but our own checks.
pub(crate) fn users(origin: &Origin) -> Vec<Seen> {
    let users = |seen: &Seen| !seen.header("user-agent").starts_with("pointsman");
    origin.seen().into_iter().filter(users).collect()
}

/// Counts the requests that came to one side while the other had some in work.
pub(crate) fn overlaps(one: &[Span], other: &[Span]) -> usize {
    let mut edges: Vec<(Instant, i32, usize)> = Vec::new();
    for (side, spans) in [one, other].into_iter().enumerate() {
        for (began, ended) in spans {
            edges.push((*began, 1, side));
            edges.push((*ended, -1, side));
        }
    }
    edges.sort();
    let mut busy = [0, 0];
    let mut both = 0;
    for (_, step, side) in edges {
        busy[side] += step;
        both += usize::from(step > 0 && busy[1 - side] > 0);
    }
    both
}
