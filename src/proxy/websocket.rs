//! Frames of a WebSocket: where one ends, so that another can be put behind it.
//!
//! Only what an origin sends is followed, and of that only the lengths (RFC 6455 §5.2): nothing is
//! unmasked, put together or changed.

/// The longest head of a frame from a server, in bytes: two, and a length of 64 bits.
const HEAD_MAX: usize = 10;
/// The longest payload of a control frame (RFC 6455 §5.5), and of a length in seven bits.
const SHORT_MAX: u64 = 125;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Bits that belong to extensions; IANA's registry has one, which changes no lengths.
const RESERVED: u8 = 0x70;
/// A compressed message: in the first of its frames only (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Why a stream ends, as its client is told: a number of IANA's registry of close codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The server goes away (RFC 6455 §7.4.1).
    GoingAway = 1001,
    /// The service restarts: connect again.
    ServiceRestart = 1012,
}

impl Close {
    fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "the server is stopping",
            Self::ServiceRestart => "the site is moving: connect again",
        }
    }

    /// Makes the frame that says so.
    fn frame(self) -> Vec<u8> {
        let reason = self.reason().as_bytes();
        let code = (self as u16).to_be_bytes();
        // Both reasons are far below the 123 bytes that there is room for.
        let length = u8::try_from(code.len() + reason.len()).unwrap_or_default();
        [&[FINAL | CLOSE, length][..], &code, reason].concat()
    }
}

/// How far a stream of frames from a server has got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames {
    place: Place,
    /// A message has begun, and its last fragment has not (RFC 6455 §5.4).
    in_message: bool,
    /// The server has said that it closes (RFC 6455 §5.5.1).
    closes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Within the head of a frame; before its first byte, between two frames.
    Head { bytes: [u8; HEAD_MAX], read: usize },
    /// Within its payload.
    Payload { left: u64 },
    /// Nobody knows: what came was no frame of a server.
    Lost,
}

/// Before the first byte of a frame.
const BETWEEN: Place = Place::Head {
    bytes: [0; HEAD_MAX],
    read: 0,
};

impl Frames {
    /// Begins between two frames.
    pub(super) fn new() -> Self {
        Self {
            place: BETWEEN,
            in_message: false,
            closes: false,
        }
    }

    /// Takes note of bytes that were passed on.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]);
        }
    }

    /// Counts how many of the bytes that come next belong to the frame that has begun.
    pub(super) fn rest_of_frame(&self, bytes: &[u8]) -> usize {
        let mut ahead = *self;
        let mut at = 0;
        while at < bytes.len() && !ahead.is_between() && !ahead.is_lost() {
            at += ahead.step(&bytes[at..]);
        }
        at
    }

    /// Tells whether no frame has begun.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.place, Place::Head { read: 0, .. })
    }

    /// Tells whether it is not known any more where a frame ends.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.place, Place::Lost)
    }

    /// Makes the bytes that end the stream here: none when the server has said so itself.
    ///
    /// `None` where nothing can be put. A control frame may stand between the fragments of a
    /// message (RFC 6455 §5.4), but not within a frame.
    pub(super) fn end_with(&self, close: Close) -> Option<Vec<u8>> {
        let frame = || {
            if self.closes {
                Vec::new()
            } else {
                close.frame()
            }
        };
        self.is_between().then(frame)
    }

    /// Takes some of the bytes, and none beyond the end of a frame; at least one, if there is one.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.place {
            Place::Lost => bytes.len(),
            Place::Payload { left } => {
                let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(*left);
                *left -= here;
                if *left == 0 {
                    self.place = BETWEEN;
                }
                // No more than there are bytes.
                usize::try_from(here).unwrap_or(bytes.len())
            }
            Place::Head { bytes: head, read } => {
                let Some(&byte) = bytes.first() else {
                    return 0;
                };
                head[*read] = byte;
                *read += 1;
                let (head, read) = (*head, *read);
                if read == head_length(head[1]) || read == 2 {
                    self.look(head, read);
                }
                1
            }
        }
    }

    /// Looks at a head of which at least the first two bytes are there.
    fn look(&mut self, head: [u8; HEAD_MAX], read: usize) {
        let (opcode, is_final) = (head[0] & 0x0f, head[0] & FINAL != 0);
        let reserved = head[0] & RESERVED;
        let is_sound = match opcode {
            CONTINUATION => self.in_message && reserved == 0,
            TEXT | BINARY => !self.in_message && reserved & !COMPRESSED == 0,
            // RFC 6455 §5.5: neither long nor in fragments.
            CLOSE | PING | PONG => is_final && reserved == 0 && head_length(head[1]) == 2,
            _ => false,
        };
        // RFC 6455 §5.1: a server masks nothing.
        if !is_sound || head[1] & MASKED != 0 {
            self.place = Place::Lost;
            return;
        }
        if read < head_length(head[1]) {
            return;
        }
        let Some(left) = payload_length(head) else {
            self.place = Place::Lost;
            return;
        };
        match opcode {
            CLOSE => self.closes = true,
            PING | PONG => {}
            _ => self.in_message = !is_final,
        }
        self.place = match left {
            0 => BETWEEN,
            left => Place::Payload { left },
        };
    }
}

/// Counts the bytes of an unmasked head, by its second.
fn head_length(second: u8) -> usize {
    match second & !MASKED {
        126 => 4,
        127 => HEAD_MAX,
        _ => 2,
    }
}

/// Reads the length of the payload; `None` when it is not in the fewest bytes, or has its top bit
/// set (RFC 6455 §5.2).
fn payload_length(head: [u8; HEAD_MAX]) -> Option<u64> {
    let [_, short, long @ ..] = head;
    let (length, least, most) = match short {
        126 => {
            let length = u16::from_be_bytes([long[0], long[1]]);
            (u64::from(length), SHORT_MAX + 1, u64::MAX)
        }
        127 => {
            let most = u64::MAX >> 1;
            (u64::from_be_bytes(long), u64::from(u16::MAX) + 1, most)
        }
        short => (u64::from(short), 0, SHORT_MAX),
    };
    (least..=most).contains(&length).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A frame as a server sends it.
    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            0..126 => bytes.push(payload as u8),
            126..65_536 => {
                bytes.push(126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        // Every byte of it would begin a sound frame, if it were taken for a beginning.
        bytes.resize(bytes.len() + payload, FINAL | TEXT);
        bytes
    }

    fn followed(bytes: &[u8]) -> Frames {
        let mut frames = Frames::new();
        frames.follow(bytes);
        frames
    }

    fn control() -> impl Strategy<Value = Vec<u8>> {
        let opcode = prop_oneof![Just(PING), Just(PONG)];
        (opcode, 0_usize..126).prop_map(|(opcode, payload)| frame(FINAL | opcode, payload))
    }

    /// The frames of a message: its fragments, with control frames between them.
    fn message() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let payload = prop_oneof![0_usize..200, 60_000_usize..70_000];
        let fragment = (payload, vec(control(), 0..2));
        let opcode = prop_oneof![Just(TEXT), Just(BINARY), Just(COMPRESSED | TEXT)];
        (opcode, vec(fragment, 1..4)).prop_map(|(opcode, fragments)| {
            let last = fragments.len() - 1;
            let mut frames = Vec::new();
            for (at, (payload, controls)) in fragments.into_iter().enumerate() {
                let opcode = if at == 0 { opcode } else { CONTINUATION };
                let is_final = if at == last { FINAL } else { 0 };
                frames.push(frame(is_final | opcode, payload));
                frames.extend(controls);
            }
            frames
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn the_end_of_each_frame_is_found_however_the_stream_is_cut(
            messages in vec(message(), 0..4),
            pieces in vec(prop_oneof![1_usize..20, 1_usize..100_000], 1..50),
        ) {
            let mut ends = vec![0];
            let mut stream = Vec::new();
            for frame in messages.concat() {
                stream.extend(frame);
                ends.push(stream.len());
            }
            let mut frames = Frames::new();
            let mut at = 0;
            let mut pieces = pieces.iter().cycle();
            loop {
                prop_assert_eq!(frames.is_between(), ends.contains(&at));
                let end = ends.iter().find(|end| **end >= at);
                prop_assert_eq!(Some(&(at + frames.rest_of_frame(&stream[at..]))), end);
                if at == stream.len() {
                    break;
                }
                let to = stream.len().min(at + pieces.next().unwrap_or(&1));
                frames.follow(&stream[at..to]);
                at = to;
            }
        }

        #[test]
        fn any_bytes_are_followed_and_what_is_lost_stays_lost(
            bytes in vec(any::<u8>(), 0..300),
            more in vec(any::<u8>(), 0..30),
        ) {
            let mut frames = followed(&bytes);
            let was_lost = frames.is_lost();
            prop_assert!(frames.rest_of_frame(&more) <= more.len());
            frames.follow(&more);
            prop_assert!(frames.is_lost() || !was_lost);
            prop_assert!(!frames.is_lost() || frames.end_with(Close::GoingAway).is_none());
        }
    }

    #[test]
    fn what_no_server_sends_is_not_followed() {
        let continued = [frame(TEXT, 3), frame(FINAL | TEXT, 3)].concat();
        let wrong: [&[u8]; 12] = [
            &[FINAL | 0x20 | TEXT, 0],
            &[FINAL | COMPRESSED | PING, 0],
            &[FINAL | TEXT, MASKED],
            &[FINAL | 0x3, 0],
            &[FINAL | 0xb, 0],
            &[FINAL | CONTINUATION, 0],
            &[PING, 0],
            &[FINAL | CLOSE, 126],
            &[FINAL | TEXT, 126, 0, 125],
            &[FINAL | TEXT, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[FINAL | TEXT, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            &continued,
        ];
        for bytes in wrong {
            let frames = followed(bytes);
            assert!(frames.is_lost(), "{bytes:?}");
            assert_eq!(frames.end_with(Close::ServiceRestart), None);
        }
    }

    #[test]
    fn the_longest_frame_is_followed() {
        let mut frames = followed(&[FINAL | BINARY, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
        frames.follow(&[0; 1000]);
        assert!(!frames.is_lost() && !frames.is_between());
        assert_eq!(frames.rest_of_frame(&[0; 1000]), 1000);
    }

    #[test]
    fn a_stream_is_ended_between_frames_and_once() {
        let said = followed(&frame(TEXT, 3)).end_with(Close::ServiceRestart);
        let expected = [
            &[0x88, 35, 0x03, 0xf4][..],
            b"the site is moving: connect again",
        ];
        assert_eq!(said, Some(expected.concat()));
        let within = followed(&frame(TEXT, 3)[..4]);
        assert_eq!(within.end_with(Close::ServiceRestart), None);
        let closed = followed(&frame(FINAL | CLOSE, 2));
        assert_eq!(closed.end_with(Close::ServiceRestart), Some(Vec::new()));
    }
}
