//! Finds frame boundaries in a stream of bytes that arrives in arbitrary pieces. A skimming
//! reader looks at heads only and skips payloads that arrive later; a whole reader keeps them.

use anyhow::{Result, bail};

use crate::wire::{self, Header};

/// No peer of these tests sends larger frames; more means that the stream is not what it seems.
const MAX_FRAME: usize = 4 << 20;

/// How closely a link's frames are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Data frames are counted, by their heads.
    Skim,
    /// Data frames are handed on with their payload.
    Whole,
}

/// One complete frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its head.
    pub(crate) header: Header,
    /// Its payload, masked as it came; empty if it was skipped.
    pub(crate) payload: &'a [u8],
}

/// What one stream still owes.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// An unfinished frame, or the beginning of a head.
    kept: Vec<u8>,
    /// The head of a frame whose payload is being skipped, and how much of it is to come.
    skipping: Option<(Header, usize)>,
}

impl Reader {
    /// Reads the next piece and tells of each frame that it completes.
    ///
    /// Fails if the stream holds a frame above 4 MiB, which no peer here sends.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        depth: Depth,
        mut on: impl FnMut(Frame<'_>),
    ) -> Result<()> {
        if let Some((header, left)) = self.skipping.take() {
            if left > input.len() {
                self.skipping = Some((header, left - input.len()));
                return Ok(());
            }
            input = &input[left..];
            on(Frame { header, payload: &[] });
        }
        if self.kept.is_empty() {
            let used = self.read(input, depth, &mut on)?;
            self.kept.extend_from_slice(&input[used..]);
            return Ok(());
        }
        self.kept.extend_from_slice(input);
        let mut kept = std::mem::take(&mut self.kept);
        let used = self.read(&kept, depth, &mut on)?;
        kept.drain(..used);
        self.kept = kept;
        Ok(())
    }

    /// Tells of each frame in `input`; returns how much of it needs no keeping.
    fn read(
        &mut self,
        input: &[u8],
        depth: Depth,
        on: &mut impl FnMut(Frame<'_>),
    ) -> Result<usize> {
        let mut at = 0;
        while let Some(header) = Header::parse(&input[at..]) {
            let total = header.total();
            if total > MAX_FRAME {
                bail!("a frame of {total} bytes: not the stream that was expected");
            }
            let Some(payload) = input.get(at + header.size..at + total) else {
                if depth == Depth::Skim && header.opcode < wire::CLOSE {
                    self.skipping = Some((header, at + total - input.len()));
                    return Ok(input.len());
                }
                break;
            };
            on(Frame { header, payload });
            at += total;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{PING, TEXT, push_server_frame};

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        push_server_frame(TEXT, b"one", &mut bytes);
        push_server_frame(PING, b"two", &mut bytes);
        push_server_frame(TEXT, &[3; 300], &mut bytes);
        push_server_frame(TEXT, b"", &mut bytes);
        push_server_frame(TEXT, &[4; 70_000], &mut bytes);
        bytes
    }

    fn read_in_pieces(size: usize, depth: Depth) -> Vec<(u8, usize, usize)> {
        let mut reader = Reader::default();
        let mut seen = Vec::new();
        for piece in stream().chunks(size) {
            reader
                .feed(piece, depth, |frame| {
                    seen.push((frame.header.opcode, frame.header.payload, frame.payload.len()));
                })
                .unwrap();
        }
        assert!(reader.kept.is_empty() && reader.skipping.is_none());
        seen
    }

    #[test]
    fn every_cut_of_the_stream_gives_the_same_frames() {
        let whole = vec![
            (TEXT, 3, 3),
            (PING, 3, 3),
            (TEXT, 300, 300),
            (TEXT, 0, 0),
            (TEXT, 70_000, 70_000),
        ];
        for size in [1, 2, 3, 5, 7, 64, 301, 4096, 100_000] {
            assert_eq!(read_in_pieces(size, Depth::Whole), whole, "pieces of {size}");
            let skimmed = read_in_pieces(size, Depth::Skim);
            let heads = |seen: &[(u8, usize, usize)]| {
                seen.iter().map(|frame| (frame.0, frame.1)).collect::<Vec<_>>()
            };
            assert_eq!(heads(&skimmed), heads(&whole), "pieces of {size}");
            assert_eq!(skimmed[1].2, 3, "control payloads are kept");
        }
    }

    #[test]
    fn a_frame_counts_only_when_its_last_byte_is_there() {
        let mut bytes = Vec::new();
        push_server_frame(TEXT, &[1; 200], &mut bytes);
        for depth in [Depth::Skim, Depth::Whole] {
            let (mut reader, mut count) = (Reader::default(), 0);
            let last = bytes.len() - 1;
            reader.feed(&bytes[..last], depth, |_| count += 1).unwrap();
            assert_eq!(count, 0);
            reader.feed(&bytes[last..], depth, |_| count += 1).unwrap();
            assert_eq!(count, 1);
        }
    }

    #[test]
    fn an_absurd_length_is_an_error() {
        let head = [0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(Reader::default().feed(&head, Depth::Skim, |_| ()).is_err());
    }
}
