//! A run: what one reader gets next from a log, as slices of the encoded batches, and what
//! it means when only part of it was written. Pure.

use std::io::IoSlice;

use roomcast_protocol::ConnectionId;

use crate::form::Form;
use crate::room_log::{Batch, Cursor, Encoded, RoomLog, Special};

/// Most bytes written to one connection in one turn: large enough for a full burst, small enough
/// that a fast reader of a flood does not hold the pass (rule: 256 KiB a turn).
pub(crate) const MAX_TURN_BYTES: usize = 256 * 1024;

/// Most slices of one run; well below IOV_MAX (1024), and more gain nothing.
const MAX_PIECES: usize = 128;

/// A part of a run that is written from one place.
#[derive(Debug)]
enum Piece<'a> {
    /// Frames `from..to` of a batch.
    Frames { encoded: &'a Encoded, number: u64, from: u32, to: u32 },
    /// The reader's own version of one frame; empty if it asked for no echo. `behind` is the
    /// cursor behind it.
    Own { behind: Cursor, bytes: Vec<u8> },
}

/// The cursor behind frame `frame - 1` of a batch with `len` frames.
fn behind(number: u64, frame: u32, len: u32) -> Cursor {
    if frame == len {
        Cursor { batch: number + 1, frame: 0 }
    } else {
        Cursor { batch: number, frame }
    }
}

impl<'a> Piece<'a> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames { .. } => self.frame_bytes(),
            Self::Own { bytes, .. } => bytes,
        }
    }

    /// The bytes of a shared piece, which outlive the run.
    fn frame_bytes(&self) -> &'a [u8] {
        match self {
            Self::Frames { encoded, from, to, .. } => {
                &encoded.bytes[encoded.start(*from)..encoded.end(*to - 1)]
            }
            Self::Own { .. } => &[],
        }
    }

    /// The cursor behind this piece.
    fn end(&self) -> Cursor {
        match self {
            Self::Frames { number, to, encoded, .. } => behind(*number, *to, encoded.len()),
            Self::Own { behind, .. } => *behind,
        }
    }

    /// Frames that the reader receives from it.
    fn frames(&self) -> u64 {
        match self {
            Self::Frames { from, to, .. } => u64::from(to - from),
            Self::Own { bytes, .. } => u64::from(!bytes.is_empty()),
        }
    }

    /// Splits at `written`, which lies inside: the cursor behind the frame it cuts, the rest of
    /// that frame, and the frames finished before it.
    fn cut(&self, written: usize) -> Settled {
        match self {
            Self::Frames { encoded, number, from, .. } => {
                let at = encoded.start(*from) + written;
                let frame = encoded.frame_at(at);
                let (next, rest) = if encoded.start(frame) == at {
                    (frame, Vec::new())
                } else {
                    (frame + 1, encoded.bytes[at..encoded.end(frame)].to_vec())
                };
                let cursor = behind(*number, next, encoded.len());
                Settled { cursor, rest, frames: u64::from(next - from) }
            }
            Self::Own { bytes, .. } => {
                Settled { cursor: self.end(), rest: bytes[written..].to_vec(), frames: 1 }
            }
        }
    }
}

/// What a write of a run came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The reader's position: after the last frame that was begun.
    pub(crate) cursor: Cursor,
    /// What is left of that frame; empty if it was finished.
    pub(crate) rest: Vec<u8>,
    /// Frames begun or finished.
    pub(crate) frames: u64,
}

/// What one reader gets next.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    start: Cursor,
    pieces: Vec<Piece<'a>>,
    bytes: usize,
    frames: u64,
}

impl<'a> Run<'a> {
    /// Nothing.
    pub(crate) fn empty() -> Self {
        let start = Cursor { batch: 0, frame: 0 };
        Self { start, pieces: Vec::new(), bytes: 0, frames: 0 }
    }

    /// Everything between `cursor` and the end of the log, up to `max` bytes (but at least one
    /// frame). `author` names a reader that published here: its own frames may differ.
    pub(crate) fn of_log(
        log: &'a RoomLog,
        cursor: Cursor,
        form: Form,
        author: Option<ConnectionId>,
        max: usize,
    ) -> Self {
        let mut run = Self { start: cursor, pieces: Vec::new(), bytes: 0, frames: 0 };
        let mut at = cursor;
        while run.bytes < max
            && let Some(batch) = log.batch(at.batch)
        {
            if !run.add(batch, at, form, author, max) {
                break;
            }
            at = Cursor { batch: at.batch + 1, frame: 0 };
        }
        run
    }

    /// What follows frame `frame` of a page, which is not in the log.
    pub(crate) fn of_page(
        page: &'a Batch,
        frame: u32,
        form: Form,
        author: Option<ConnectionId>,
        max: usize,
    ) -> Self {
        let start = Cursor { batch: 0, frame };
        let mut run = Self { start, pieces: Vec::new(), bytes: 0, frames: 0 };
        if page.is_snapshot() {
            // It may be far larger than a turn.
            let encoded = page.encoded(form);
            let end = encoded.start(frame).saturating_add(max);
            let to = encoded.frame_at(end).max(frame + 1).min(encoded.len());
            run.push(Some(Piece::Frames { encoded, number: 0, from: frame, to }), max);
            return run;
        }
        run.add(page, start, form, author, max);
        run
    }

    /// Adds what follows `at` in a batch, as far as a run of `max` bytes has space; false if that
    /// is not all of it.
    fn add(
        &mut self,
        batch: &'a Batch,
        at: Cursor,
        form: Form,
        author: Option<ConnectionId>,
        max: usize,
    ) -> bool {
        let shared = |from, to| {
            let encoded = batch.encoded(form);
            (from < to).then_some(Piece::Frames { encoded, number: at.batch, from, to })
        };
        let mut from = at.frame;
        for frame in at.frame..author.map_or(0, |_| batch.len()) {
            let Some(special) = author.and_then(|id| batch.special(frame, id)) else { continue };
            let bytes = match special {
                Special::Skipped => Vec::new(),
                Special::Keyed => batch.keyed_frame(frame, form),
            };
            let own = Piece::Own { behind: behind(at.batch, frame + 1, batch.len()), bytes };
            if !self.push(shared(from, frame), max) || !self.push(Some(own), max) {
                return false;
            }
            from = frame + 1;
        }
        self.push(shared(from, batch.len()), max)
    }

    /// Adds a piece if it has space. A batch is at most 64 KiB or one message, so a turn's bound is
    /// kept by whole pieces: only the first may exceed it.
    fn push(&mut self, piece: Option<Piece<'a>>, max: usize) -> bool {
        let Some(piece) = piece else { return true };
        let bytes = self.bytes + piece.bytes().len();
        if self.pieces.len() >= MAX_PIECES || (self.bytes > 0 && bytes > max) {
            return false;
        }
        self.bytes = bytes;
        self.frames += piece.frames();
        self.pieces.push(piece);
        true
    }

    /// Bytes to write; 0 if only the reader's own frames without echo lie ahead, or nothing.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The slices to write, in order, none of them empty.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces.iter().map(Piece::bytes).filter(|b| !b.is_empty()).map(IoSlice::new).collect()
    }

    /// The same for a reader that is no author: slices that outlive the run.
    pub(crate) fn shared_slices(&self) -> Vec<IoSlice<'a>> {
        self.pieces.iter().map(|piece| IoSlice::new(piece.frame_bytes())).collect()
    }

    /// The reader's position when all of it is written.
    pub(crate) fn end(&self) -> Cursor {
        self.pieces.last().map_or(self.start, Piece::end)
    }

    /// Frames in it.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Maps a count of bytes written over the very slices that were built.
    pub(crate) fn settle(&self, written: usize) -> Settled {
        let (mut left, mut frames, mut cursor) = (written, 0, self.start);
        for piece in &self.pieces {
            let len = piece.bytes().len();
            if left < len {
                if left == 0 {
                    break;
                }
                let cut = piece.cut(left);
                return Settled { frames: frames + cut.frames, ..cut };
            }
            left -= len;
            frames += piece.frames();
            cursor = piece.end();
        }
        Settled { cursor, rest: Vec::new(), frames }
    }
}

#[cfg(test)]
mod tests;
