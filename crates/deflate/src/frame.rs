//! Headers of WebSocket frames (RFC 6455 section 5.2), as far as inflating needs them.

/// The longest header of a client's frame, in bytes.
pub(crate) const MAX_HEADER: usize = 14;
/// The header of a client's frame with 126 to 65,535 bytes of payload, in bytes.
pub(crate) const USUAL_HEADER: usize = 8;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// It goes on with a message.
    Continuation,
    /// It begins a message; opcodes that are reserved count here.
    Data,
    /// It stands between the frames of messages; opcodes that are reserved count here.
    Control,
}

/// A whole frame as it came from a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WholeFrame<'a> {
    first: u8,
    /// The masking key; a client's frame without one is refused later.
    pub(crate) key: Option<[u8; 4]>,
    /// The payload, masked.
    pub(crate) payload: &'a [u8],
    /// Bytes of header and payload.
    pub(crate) length: usize,
}

impl<'a> WholeFrame<'a> {
    /// Reads the frame at the begin of `bytes`; None if it is not whole.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[first, second], mut rest) = bytes.split_first_chunk()?;
        let payload = match second & !MASKED {
            126 => u64::from(u16::from_be_bytes(cut(&mut rest)?)),
            127 => u64::from_be_bytes(cut(&mut rest)?),
            short => u64::from(short),
        };
        let key = if second & MASKED == 0 { None } else { Some(cut(&mut rest)?) };
        let payload = rest.get(..usize::try_from(payload).ok()?)?;
        let header = bytes.len() - rest.len();
        Some(Self { first, key, payload, length: header + payload.len() })
    }

    pub(crate) fn kind(&self) -> FrameKind {
        match self.opcode() {
            0x0 => FrameKind::Continuation,
            0x1..=0x7 => FrameKind::Data,
            _ => FrameKind::Control,
        }
    }

    /// Whether RFC 6455 gives the opcode a meaning.
    pub(crate) fn is_text_or_binary(&self) -> bool {
        matches!(self.opcode(), 0x1 | 0x2)
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    pub(crate) fn is_final(&self) -> bool {
        self.first & FIN != 0
    }

    pub(crate) fn has_rsv1(&self) -> bool {
        self.first & RSV1 != 0
    }

    /// Whether it has a bit to which no extension gave a meaning.
    pub(crate) fn has_unknown_bits(&self) -> bool {
        self.first & RSV2_3 != 0
    }

    /// The first byte without RSV1.
    pub(crate) fn plain_first(&self) -> u8 {
        self.first & !RSV1
    }
}

fn cut<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

/// A header as a client writes it, with a masking key of zeros, which leaves the payload as it is.
#[derive(Debug)]
pub(crate) struct ZeroMaskHeader {
    bytes: [u8; MAX_HEADER],
    length: usize,
}

impl ZeroMaskHeader {
    /// The header of a frame with so many bytes of payload.
    pub(crate) fn new(first: u8, payload: usize) -> Self {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = first;
        let length = match payload {
            0..=125 => {
                bytes[1] = MASKED | payload as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = MASKED | 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = MASKED | 127;
                bytes[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, length: length + 4 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests;
