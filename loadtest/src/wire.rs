//! WebSocket framing by hand (RFC 6455 section 5.2): headers read and written, client frames
//! masked, the upgrade request. Pure; both the load side and the floor use it.

/// Text data.
pub(crate) const TEXT: u8 = 1;
/// Binary data.
pub(crate) const BINARY: u8 = 2;
/// Close.
pub(crate) const CLOSE: u8 = 8;
/// Ping.
pub(crate) const PING: u8 = 9;
/// Pong.
pub(crate) const PONG: u8 = 10;

/// Every link sends the same key: the tests need no caches kept at bay, and the answer to it can
/// be compared as one string.
pub(crate) const KEY: &str = "cm9vbWNhc3QtbG9hZHRlcw==";

/// The mask of every client frame. A server must unmask whatever the mask is, so one that never
/// changes costs it the same as a random one and lets publish frames be encoded once.
const MASK: [u8; 4] = [0x5b, 0xc3, 0x2e, 0x91];

/// The head of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether this is the last frame of its message.
    pub(crate) fin: bool,
    /// What the frame is.
    pub(crate) opcode: u8,
    /// The mask, on frames from clients.
    pub(crate) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// Bytes of the head itself.
    pub(crate) size: usize,
}

impl Header {
    /// Reads a head; `None` if `input` does not hold all of it.
    pub(crate) fn parse(input: &[u8]) -> Option<Self> {
        let (&first, &second) = (input.first()?, input.get(1)?);
        let (payload, at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)), 4),
            127 => {
                let long = u64::from_be_bytes(input.get(2..10)?.try_into().ok()?);
                (usize::try_from(long).unwrap_or(usize::MAX), 10)
            }
            short => (usize::from(short), 2),
        };
        let (mask, size) = if second & 0x80 == 0 {
            (None, at)
        } else {
            (Some(input.get(at..at + 4)?.try_into().ok()?), at + 4)
        };
        Some(Self { fin: first & 0x80 != 0, opcode: first & 0x0f, mask, payload, size })
    }

    /// Bytes of the whole frame.
    pub(crate) fn total(&self) -> usize {
        self.size.saturating_add(self.payload)
    }
}

/// Appends one whole frame as a client sends it.
pub(crate) fn push_client_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    push_head(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Appends one whole frame as a server sends it.
pub(crate) fn push_server_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    push_head(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

fn push_head(opcode: u8, len: usize, masked: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..=125), _) => out.push(masked | short),
        (_, Ok(middle)) => {
            out.push(masked | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Takes the mask off a client's payload.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The payload size that gives a server frame of `total` bytes on the wire; 0 if there is none.
pub(crate) fn payload_of_server_frame(total: usize) -> usize {
    match total {
        0..=127 => total.saturating_sub(2).min(125),
        128..=65_539 => total - 4,
        _ => total - 10,
    }
}

/// The request that opens a WebSocket.
pub(crate) fn upgrade_request(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let offer =
        subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
    )
    .into_bytes()
}

/// Where an HTTP head ends: the index after its empty line.
pub(crate) fn head_end(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The value of a header field, by its name in any case.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_every_length_form_are_read_back() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![7; len];
            let mut bytes = Vec::new();
            push_server_frame(TEXT, &payload, &mut bytes);
            let header = Header::parse(&bytes).unwrap();
            assert_eq!((header.opcode, header.payload, header.fin), (TEXT, len, true));
            assert_eq!((header.mask, header.total()), (None, bytes.len()));
            assert_eq!(payload_of_server_frame(bytes.len()), len);
        }
    }

    #[test]
    fn a_client_frame_unmasks_to_its_payload() {
        let mut bytes = Vec::new();
        push_client_frame(BINARY, b"seven by three", &mut bytes);
        let header = Header::parse(&bytes).unwrap();
        assert_ne!(&bytes[header.size..], b"seven by three");
        unmask(&mut bytes[header.size..], header.mask.unwrap());
        assert_eq!(&bytes[header.size..], b"seven by three");
    }

    #[test]
    fn a_cut_head_is_no_head() {
        let mut bytes = Vec::new();
        push_client_frame(TEXT, &[0; 300], &mut bytes);
        for cut in 0..8 {
            assert_eq!(Header::parse(&bytes[..cut]), None, "{cut}");
        }
        assert!(Header::parse(&bytes[..8]).is_some());
    }

    #[test]
    fn fields_are_found_in_any_case() {
        let head = "HTTP/1.1 101 x\r\nsec-websocket-ACCEPT:  abc \r\n\r\n";
        assert_eq!(field(head, "Sec-WebSocket-Accept"), Some("abc"));
        assert_eq!(field(head, "Upgrade"), None);
        assert_eq!(head_end(head.as_bytes()), Some(head.len()));
    }
}
