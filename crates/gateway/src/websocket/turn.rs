//! A connection's turn: how much of it is handled before the other connections of its worker are.
//! Pure.

use crate::connection::TURN_BYTES;

/// Frames handled of a connection in one turn.
pub(super) const TURN_FRAMES: usize = 256;

/// What is left of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadTurn {
    bytes: u32,
    frames: u32,
}

impl ReadTurn {
    /// A turn that begins.
    pub(super) fn new() -> Self {
        Self { bytes: TURN_BYTES as u32, frames: TURN_FRAMES as u32 }
    }

    /// Bytes that may still be read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Frames that may still be handled.
    pub(super) fn frames(&self) -> usize {
        self.frames as usize
    }

    /// So many bytes were read.
    pub(super) fn take_bytes(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// So many frames are handled.
    pub(super) fn take_frames(&mut self, count: usize) {
        self.frames = self.frames.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// A frame is handled that inflated to so many bytes: it counts as as many frames as a turn has
    /// for these, as a few bytes on the wire may be many to read.
    pub(super) fn take_inflated(&mut self, bytes: usize) {
        self.take_frames(bytes / (TURN_BYTES / TURN_FRAMES));
    }

    /// Whether the other connections come first now.
    pub(super) fn is_spent(&self) -> bool {
        self.bytes == 0 || self.frames == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_what_a_frame_inflates_to() {
        let mut turn = ReadTurn::new();
        turn.take_inflated(100);
        assert_eq!(turn.frames(), TURN_FRAMES);
        turn.take_inflated(TURN_BYTES / 2);
        assert_eq!(turn.frames(), TURN_FRAMES / 2);
        turn.take_inflated(1 << 20);
        assert!(turn.is_spent());
    }
}
