//! The stamp at the head of each message's data: which stream it belongs to, its number there, and
//! when it was to go. Every peer carries it unchanged, so one reader finds it in all their frames.

/// Opens and closes a stamp; it stands in no frame before the data.
const EDGE: u8 = b'@';

/// One message of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The stream, of all rooms.
    pub(crate) stream: usize,
    /// From 1 on.
    pub(crate) number: u32,
    /// The intended moment, in ns of the run's clock.
    pub(crate) intended: u64,
}

impl Stamp {
    /// As it is written.
    pub(crate) fn text(&self) -> String {
        format!("@{}.{}.{}@", self.stream, self.number, self.intended)
    }

    /// The first stamp in some bytes.
    pub(crate) fn find(bytes: &[u8]) -> Option<Self> {
        let from = bytes.iter().position(|&byte| byte == EDGE)?;
        let (stream, rest) = digits(&bytes[from + 1..], b'.')?;
        let (number, rest) = digits(rest, b'.')?;
        let (intended, _) = digits(rest, EDGE)?;
        Some(Self { stream: stream as usize, number: u32::try_from(number).ok()?, intended })
    }
}

/// A number, and what follows the byte that ends it.
pub(crate) fn digits(bytes: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let len = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let digit = |sum: u64, byte: &u8| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'));
    let number = bytes[..len].iter().try_fold(0, digit)?;
    (len > 0 && bytes[len] == end).then(|| (number, &bytes[len + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_in_any_frame() {
        let stamp = Stamp { stream: 12, number: 345, intended: 1_234_567_890_123 };
        for frame in ["{\"data\":\"S\"}", "id: 1:0\n\n\"Sxxx\"", "42[\"message\",\"r\",\"Sx@\"]"] {
            let frame = frame.replace('S', &stamp.text());
            assert_eq!(Stamp::find(frame.as_bytes()), Some(stamp), "{frame}");
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for text in ["", "none", "@1.2@", "@1.2.3", "@.2.3@", "@1.99999999999.3@", "@a.2.3@"] {
            assert_eq!(Stamp::find(text.as_bytes()), None, "{text}");
        }
        assert_eq!(digits(b"99999999999999999999999.", b'.'), None);
    }
}
