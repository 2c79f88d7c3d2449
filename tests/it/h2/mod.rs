//! HTTP/2 frame by frame: how a connection ends, and what hostile clients may do.

mod floods;
mod limits;

use crate::support::daemon::OneSite;
use crate::support::h2_frames::{DATA, END_STREAM, Frame, Frames, RST_STREAM};
use crate::support::stage::Stage;
use crate::support::wait::until;

#[test]
fn a_daemon_that_stops_says_so_answers_what_is_in_flight_and_takes_nothing_new() {
    let mut stage = Stage::with(&OneSite::default());
    let mut client = Frames::connect(stage.place.http().parse().unwrap(), &[]);
    client.send(&Frame::request("GET", 1, "/wait"));
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });

    stage.daemon.signal("TERM");
    // RFC 9113 §6.8: at first no stream is refused, as some may be on their way.
    let first = client.find(|frame| frame.goes_away().is_some()).unwrap();
    assert_eq!(first.goes_away(), Some((i32::MAX as u32, 0)));
    let last = client.find(|frame| frame.goes_away().is_some()).unwrap();
    assert_eq!(last.goes_away(), Some((1, 0)));
    client.send(&Frame::request("GET", 3, "/new"));
    stage.live.let_go();

    let rest = client.rest();
    assert!(rest.iter().any(|frame| frame.is_ok(1)), "{rest:?}");
    let body: Vec<_> = rest.iter().filter(|frame| frame.kind == DATA).collect();
    assert_eq!(body[0].payload, b"live");
    assert_eq!(body.last().unwrap().flags & END_STREAM, END_STREAM);
    assert!(
        rest.iter()
            .all(|frame| frame.stream != 3 || frame.kind == RST_STREAM),
        "{rest:?}"
    );
    assert_eq!(stage.daemon.wait(), Some(0));
    assert_eq!(stage.live.seen_at("/new").len(), 0);
}
