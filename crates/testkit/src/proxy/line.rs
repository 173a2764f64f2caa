//! The bytes of one direction on their way: how many may be taken, how they are cut into pieces,
//! and when each is to be written. Without sockets, and with the time given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::fault::ProxyFault;

/// The most that is on its way: bounds the memory of a connection with latency.
const MAX_ON_THE_WAY: usize = 8 << 20;
/// How much is taken at once to be written byte by byte: each byte becomes an allocation.
const SLICED_AT_ONCE: usize = 4096;
/// A throttled stream moves so many times a second.
const THROTTLE_STEPS: u32 = 20;

#[derive(Debug)]
pub(super) struct ProxyLine {
    fault: ProxyFault,
    /// When each is due, in order. An empty piece is the end of the stream.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    /// How much of the first is written.
    written: usize,
    /// How long they are together.
    bytes: usize,
    /// When the last piece was, or is, due: none is due before one that was taken earlier.
    last_due: Instant,
    /// The sender has ended the stream.
    has_ended: bool,
    has_lost: bool,
    random: SmallRng,
}

impl ProxyLine {
    /// The seed decides on the jitter.
    pub(super) fn new(now: Instant, seed: u64) -> Self {
        Self {
            fault: ProxyFault::Pass,
            pieces: VecDeque::new(),
            written: 0,
            bytes: 0,
            last_due: now,
            has_ended: false,
            has_lost: false,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Puts it under this fault from now on.
    pub(super) fn set(&mut self, fault: ProxyFault, now: Instant) {
        if fault == self.fault {
            return;
        }
        self.fault = fault;
        self.last_due = now;
        self.pieces.iter_mut().for_each(|(due, _)| *due = now);
        if fault == ProxyFault::BlackHole && !self.pieces.is_empty() {
            self.has_lost = true;
            (self.bytes, self.written) = (0, 0);
            self.pieces.clear();
        }
    }

    /// Whether bytes were lost in a stream that would now go on without them.
    pub(super) fn is_broken(&self) -> bool {
        self.has_lost && !self.swallows()
    }

    /// Whether what is taken reaches nobody.
    pub(super) fn swallows(&self) -> bool {
        self.fault == ProxyFault::BlackHole
    }

    /// How many bytes may be taken now.
    pub(super) fn room(&self) -> usize {
        let if_empty = |count| if self.pieces.is_empty() { count } else { 0 };
        match self.fault {
            _ if self.has_ended => 0,
            ProxyFault::Pass | ProxyFault::Latency { .. } => {
                MAX_ON_THE_WAY.saturating_sub(self.bytes)
            }
            ProxyFault::Throttle { bytes_per_second } => {
                if_empty(throttled_at_once(bytes_per_second))
            }
            ProxyFault::Slices => if_empty(SLICED_AT_ONCE),
            ProxyFault::BlackHole => usize::MAX,
            ProxyFault::Hold => 0,
        }
    }

    /// Takes what was read, at most `room`; nothing, if that was the end of the stream.
    pub(super) fn push(&mut self, read: &[u8], now: Instant) {
        self.has_ended |= read.is_empty();
        if self.swallows() {
            self.has_lost = true;
            return;
        }
        let after_the_last = now.max(self.last_due);
        self.last_due = match self.fault {
            ProxyFault::Latency { least, jitter } => {
                let arrival = now + least + jitter.mul_f64(self.random.random());
                arrival.max(self.last_due)
            }
            ProxyFault::Throttle { bytes_per_second } => {
                let seconds = read.len() as f64 / f64::from(bytes_per_second.max(1));
                after_the_last + Duration::from_secs_f64(seconds)
            }
            _ => after_the_last,
        };
        self.bytes += read.len();
        let at_once = if self.fault == ProxyFault::Slices { 1 } else { read.len().max(1) };
        self.pieces.extend(read.chunks(at_once).map(|piece| (self.last_due, piece.to_vec())));
        if read.is_empty() {
            self.pieces.push_back((self.last_due, Vec::new()));
        }
    }

    /// When the next piece is to be written, if nothing changes.
    pub(super) fn due(&self) -> Option<Instant> {
        let first = self.pieces.front().map(|(due, _)| *due);
        first.filter(|_| self.fault != ProxyFault::Hold)
    }

    /// What of the next piece is left to write, if it is due.
    pub(super) fn next(&self, now: Instant) -> Option<&[u8]> {
        self.due().filter(|due| *due <= now)?;
        let (_, piece) = self.pieces.front()?;
        Some(&piece[self.written..])
    }

    /// Says that so much of the next piece was written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        let is_whole = |(_, piece): &(Instant, Vec<u8>)| self.written == piece.len();
        if self.pieces.front().is_some_and(is_whole) {
            self.bytes -= self.written;
            self.written = 0;
            self.pieces.pop_front();
        }
    }
}

fn throttled_at_once(bytes_per_second: u32) -> usize {
    (bytes_per_second / THROTTLE_STEPS).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pop(line: &mut ProxyLine, now: Instant) -> Option<Vec<u8>> {
        let piece = line.next(now)?.to_vec();
        line.advance(piece.len());
        Some(piece)
    }

    /// All that is due by then, each with its time.
    fn written(line: &mut ProxyLine, until: Instant) -> Vec<(Instant, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(due) = line.due().filter(|due| *due <= until) {
            all.push((due, pop(line, due).unwrap_or_default()));
        }
        all
    }

    #[test]
    fn jitter_keeps_the_order_and_its_bounds() {
        let start = Instant::now();
        let mut line = ProxyLine::new(start, 1);
        line.set(ProxyFault::Latency { least: 10 * MS, jitter: 50 * MS }, start);
        (0..100_u8).for_each(|n| line.push(&[n], start + u32::from(n) * MS));
        line.push(&[], start + 100 * MS);
        assert_eq!(line.room(), 0, "the stream has ended");
        let pieces = written(&mut line, start + 160 * MS);
        let bytes: Vec<_> = pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
        assert_eq!(bytes, (0..100).collect::<Vec<_>>());
        assert!(pieces.is_sorted_by_key(|(due, _)| *due));
        for (n, (due, _)) in (0..).zip(&pieces) {
            assert!(*due >= start + (n + 10) * MS);
        }
        assert!(pieces[100].1.is_empty() && line.due().is_none(), "the end comes last");
    }

    #[test]
    fn a_throttled_stream_moves_evenly() {
        let start = Instant::now();
        let mut line = ProxyLine::new(start, 1);
        line.set(ProxyFault::Throttle { bytes_per_second: 1000 }, start);
        assert_eq!(line.room(), 50);
        line.push(&[7; 50], start);
        assert_eq!((line.room(), line.due()), (0, Some(start + 50 * MS)));
        assert_eq!(pop(&mut line, start + 49 * MS), None);
        // Read a little late: the schedule does not slip by more.
        assert_eq!(pop(&mut line, start + 53 * MS).map(|piece| piece.len()), Some(50));
        line.push(&[7; 50], start + 53 * MS);
        assert_eq!(line.due(), Some(start + 103 * MS));
    }

    #[test]
    fn a_black_hole_breaks_only_the_streams_that_lost_something() {
        let start = Instant::now();
        for (before, during) in [(1, 0), (0, 1), (0, 0)] {
            let mut line = ProxyLine::new(start, 1);
            line.set(ProxyFault::Latency { least: MS, jitter: Duration::ZERO }, start);
            (0..before).for_each(|_| line.push(b"x", start));
            line.set(ProxyFault::BlackHole, start);
            (0..during).for_each(|_| line.push(b"x", start));
            assert!(!line.is_broken() && line.due().is_none());
            line.set(ProxyFault::Pass, start);
            assert_eq!(line.is_broken(), before + during > 0);
        }
    }

    #[test]
    fn a_change_of_fault_lets_go_what_was_delayed() {
        let start = Instant::now();
        let mut line = ProxyLine::new(start, 1);
        line.set(ProxyFault::Latency { least: 1000 * MS, jitter: Duration::ZERO }, start);
        line.push(b"one", start);
        line.set(ProxyFault::Hold, start + MS);
        assert_eq!((line.room(), line.due()), (0, None));
        line.set(ProxyFault::Slices, start + 2 * MS);
        line.advance(1);
        assert_eq!(pop(&mut line, start + 2 * MS), Some(b"ne".to_vec()));
        line.push(b"two", start + 2 * MS);
        assert_eq!(pop(&mut line, start + 2 * MS), Some(b"t".to_vec()));
    }
}
