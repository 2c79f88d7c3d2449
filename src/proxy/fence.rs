//! The fence: what each request tells its origin of the lane that it was admitted to.
//!
//! By these fields an origin can refuse what was not sent to it, or was sent in another epoch
//! (`docs/fence.md`). They are made once a second for a lane, by each worker for itself, and put
//! into every request as they are; a second, or a table, later all of them are forgotten.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use crate::site::Generation;
use crate::switchboard::{Claim, Lane, Switchboard};
use crate::table::FenceKey;

use super::head::Headers;

/// How the names of all our fields begin; origins are told nothing of that kind by clients. What
/// comes after it does not matter: CGI makes one variable of `Pointsman-Side` and `Pointsman_Side`.
const OURS: &[u8] = b"pointsman";

/// Tells whether a field is one that only we may say something by.
pub(super) fn is_ours(name: &[u8]) -> bool {
    let begins = name.get(..OURS.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(OURS))
}

/// What one worker tells origins.
#[derive(Debug, Default)]
pub(super) struct Fence {
    marks: RefCell<Marks>,
}

/// The marks of one second and one table, by the address of the lane, which they keep alive.
#[derive(Debug)]
struct Marks {
    made: (u64, Generation),
    by_lane: HashMap<usize, Mark>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            made: (0, Generation(0)),
            by_lane: HashMap::new(),
        }
    }
}

/// The fields of a lane.
#[derive(Debug)]
struct Mark {
    _lane: Arc<Lane>,
    site: Bytes,
    side: Bytes,
    epoch: Bytes,
    /// `None` without a key.
    signature: Option<Bytes>,
}

impl Fence {
    /// Takes out what a client says in our name, and says what is so.
    pub(super) fn tell(
        &self,
        headers: &mut Headers,
        lane: &Arc<Lane>,
        generation: Generation,
        board: &Switchboard,
    ) {
        headers.retain(|name, _| !is_ours(name));
        let mut marks = self.marks.borrow_mut();
        let made = (now_s(), generation);
        if marks.made != made {
            marks.made = made;
            marks.by_lane.clear();
        }
        let address = Arc::as_ptr(lane).addr();
        let mark = marks
            .by_lane
            .entry(address)
            .or_insert_with(|| Mark::of(lane, board.load().table.fence.first(), made.0));
        headers.push("pointsman-site", mark.site.clone());
        headers.push("pointsman-side", mark.side.clone());
        headers.push("pointsman-epoch", mark.epoch.clone());
        if let Some(signature) = &mark.signature {
            headers.push("pointsman-signature", signature.clone());
        }
    }
}

impl Mark {
    fn of(lane: &Arc<Lane>, key: Option<&FenceKey>, at_s: u64) -> Self {
        let claim = Claim {
            site: &lane.site,
            side: &lane.side,
            epoch: lane.epoch,
        };
        Self {
            _lane: Arc::clone(lane),
            site: Bytes::copy_from_slice(lane.site.as_str().as_bytes()),
            side: Bytes::copy_from_slice(lane.side.as_str().as_bytes()),
            epoch: Bytes::from(lane.epoch.to_string()),
            signature: key.map(|key| Bytes::from(claim.sign(key, at_s))),
        }
    }
}

fn now_s() -> u64 {
    // With a clock before the epoch no origin takes what is signed; that it is told all the same.
    UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs())
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails, and says what it measured"
)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;
    use crate::site::{Epoch, Position, Positions, SideName, SiteName};
    use crate::switchboard::Snapshot;
    use crate::table::{ReadFile, Table};
    use crate::zone::Zones;

    #[test]
    fn whatever_begins_like_ours_is_ours_in_any_case() {
        for ours in [
            "Pointsman-Side",
            "pointsman_epoch",
            "POINTSMAN-X",
            "pointsman",
        ] {
            assert!(is_ours(ours.as_bytes()), "{ours}");
        }
        for other in ["X-Pointsman-Side", "Point", "Pointsma", ""] {
            assert!(!is_ours(other.as_bytes()), "{other}");
        }
    }

    /// A snapshot whose table signs by a key, after another one or as the first.
    fn signing_by(key: &str, generation: Generation, before: Option<&Snapshot>) -> Snapshot {
        let site = "{hosts: [www.ispot.example], sides: {live: {web: [http://127.0.0.1:9101]}}}";
        let text = format!(
            "version: 1\nlisten: {{http: [127.0.0.1:8080]}}\nstate: ./state\n\
             fence: {{keys: [{{id: {key}, file: a.key}}]}}\nsites: {{ispot: {site}}}\n"
        );
        let table = Table::load(Path::new("routes.yaml"), &text, &AKey).unwrap();
        let at = Position {
            active: Some(SideName::new("live")),
            epoch: Epoch(7),
        };
        let positions = Positions([(SiteName::new("ispot"), at)].into());
        let zones = Arc::new(Zones::default());
        Snapshot::follow(before, generation, Arc::new(table), &positions, zones)
    }

    /// A board whose table signs by the key `a`, and its lane.
    fn signing() -> (Arc<Switchboard>, Arc<Lane>) {
        let snapshot = signing_by("a", Generation(1), None);
        let lane = snapshot.site(&SiteName::new("ispot")).unwrap().lane.clone();
        (Switchboard::new(snapshot), lane.unwrap())
    }

    struct AKey;

    impl ReadFile for AKey {
        fn read(&self, _: &Path) -> std::io::Result<String> {
            Ok("0".repeat(64))
        }
    }

    /// The fields of a browser's request.
    fn of_a_browser() -> Headers {
        let mut headers = Headers::with_capacity(20);
        for name in [
            "host",
            "user-agent",
            "accept",
            "accept-language",
            "accept-encoding",
            "referer",
            "cookie",
            "connection",
            "content-type",
            "content-length",
            "origin",
            "cache-control",
        ] {
            headers.push(name, "some value");
        }
        headers
    }

    #[test]
    fn another_table_signs_at_once_whatever_the_second() {
        let (board, lane) = signing();
        let fence = Fence::default();
        let signs = |generation| {
            let mut headers = Headers::default();
            fence.tell(&mut headers, &lane, generation, &board);
            let signature = headers.first("pointsman-signature").unwrap();
            signature
                .split(|&byte| byte == b'.')
                .next()
                .unwrap()
                .to_vec()
        };
        assert_eq!(signs(Generation(1)), b"a");

        let next = signing_by("b", Generation(2), Some(&board.current()));
        board.publish(Arc::new(next));

        assert_eq!(signs(Generation(2)), b"b");
    }

    #[test]
    fn what_it_adds_to_a_request_is_small() {
        const ROUNDS: u32 = 200_000;
        let (board, lane) = signing();
        let fence = Fence::default();
        let measured = |tells: bool| {
            let began = Instant::now();
            for _ in 0..ROUNDS {
                let mut headers = of_a_browser();
                if tells {
                    fence.tell(&mut headers, &lane, Generation(1), &board);
                }
                std::hint::black_box(&headers);
            }
            began.elapsed().as_nanos() / u128::from(ROUNDS)
        };
        let (without, with) = (measured(false), measured(true));
        println!("a head of 12 fields: {without} ns, and told of its lane: {with} ns");

        let mut headers = of_a_browser();
        fence.tell(&mut headers, &lane, Generation(1), &board);
        assert_eq!(headers.len(), 12 + 4);
    }
}
