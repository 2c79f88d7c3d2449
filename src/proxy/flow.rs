//! One direction of a tunnel: what was read from one end, and how far it has got to the other.
//!
//! A flow keeps what it holds when nobody polls it, so that it can be stopped anywhere and be
//! carried on to the end of a frame.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::stream::Stream;
use super::websocket::{Close, Frames};

/// How much may be read ahead of what was written, in bytes.
const HELD_MAX: usize = 8 * 1024;
/// How long the second direction may stay silent once the first has ended: time enough for what
/// is still on its way, too little for a peer that has forgotten the tunnel.
const HALF_CLOSED_FOR: Duration = Duration::from_secs(5);

/// One direction of a tunnel.
pub(super) struct Flow {
    buffer: Box<[u8]>,
    /// What of the buffer is yet to be written.
    held: Range<usize>,
    stage: Stage,
    /// Where the frames of a WebSocket end, if it is one that is followed.
    frames: Option<Frames>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Carrying,
    /// Something was written that may not have left.
    Unflushed,
    /// Its source has ended.
    Ending,
    Ended,
}

impl Flow {
    pub(super) fn new(frames: Option<Frames>) -> Self {
        Self {
            buffer: vec![0; HELD_MAX].into(),
            held: 0..0,
            stage: Stage::Carrying,
            frames,
        }
    }

    /// Carries until the source has ended, and the other end was told.
    pub(super) fn poll_carry(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&mut Stream, &mut Stream),
        traffic: &Traffic,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.stage {
                Stage::Ended => return Poll::Ready(Ok(())),
                Stage::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.stage = Stage::Ended;
                }
                Stage::Carrying | Stage::Unflushed if !self.held.is_empty() => {
                    let most = self.held.len();
                    ready!(self.poll_write(cx, to, most))?;
                    traffic.note();
                }
                Stage::Carrying | Stage::Unflushed => match self.poll_read(cx, from)? {
                    Poll::Ready(()) => {
                        traffic.note();
                        if self.held.is_empty() {
                            traffic.half_closed.set(true);
                            self.stage = Stage::Ending;
                        }
                    }
                    Poll::Pending if self.stage == Stage::Unflushed => {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        self.stage = Stage::Carrying;
                        return Poll::Pending;
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Carries the frame that is on its way to its end, and no further; then makes what is to be
    /// written behind it, `None` where nothing may be.
    ///
    /// # Cancel safety
    /// Safe, as far as it got; nothing may be written then.
    pub(super) async fn finish(
        &mut self,
        (from, to): (&mut Stream, &mut Stream),
        close: Close,
    ) -> Option<Vec<u8>> {
        let finished = poll_fn(|cx| self.poll_finish(cx, from, to)).await;
        finished.ok()?;
        self.frames?.end_with(close)
    }

    fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<io::Result<()>> {
        loop {
            let is_open = [Stage::Carrying, Stage::Unflushed].contains(&self.stage);
            let Some(frames) = self.frames.filter(|frames| is_open && !frames.is_lost()) else {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            if frames.is_between() {
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() {
                ready!(self.poll_read(cx, from))?;
                if self.held.is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            let most = frames.rest_of_frame(&self.buffer[self.held.clone()]);
            ready!(self.poll_write(cx, to, most))?;
        }
    }

    /// Reads something to hold; nothing when the source has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>, from: &mut Stream) -> Poll<io::Result<()>> {
        let mut free = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(from).poll_read(cx, &mut free))?;
        self.held = 0..free.filled().len();
        Poll::Ready(Ok(()))
    }

    /// Writes something of what is held.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
        most: usize,
    ) -> Poll<io::Result<()>> {
        let start = self.held.start;
        let bytes = &self.buffer[start..self.held.end.min(start + most)];
        let written = ready!(Pin::new(to).poll_write(cx, bytes))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if let Some(frames) = &mut self.frames {
            frames.follow(&bytes[..written]);
        }
        self.held.start += written;
        self.stage = Stage::Unflushed;
        Poll::Ready(Ok(()))
    }
}

/// What goes through a tunnel, for the watch over it.
pub(super) struct Traffic {
    last: Cell<Instant>,
    half_closed: Cell<bool>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            last: Cell::new(Instant::now()),
            half_closed: Cell::new(false),
        }
    }

    /// Returns when nothing has moved for too long.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let limit = if self.half_closed.get() {
                limit.min(HALF_CLOSED_FOR)
            } else {
                limit
            };
            let (now, due) = (Instant::now(), self.last.get() + limit);
            if due <= now {
                return;
            }
            // It may become half closed meanwhile, and is seen to be so this much later at most.
            sleep_until(due.min(now + HALF_CLOSED_FOR)).await;
        }
    }

    fn note(&self) {
        self.last.set(Instant::now());
    }
}
