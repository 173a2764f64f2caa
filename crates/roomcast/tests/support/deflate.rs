//! permessage-deflate (RFC 7692) as a client of another make does it: with zlib's interface.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The header of a client that takes compression.
pub const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// What a sync flush ends with, and a message leaves out.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The payload of a compressed message.
pub fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 64);
    let mut deflate = Compress::new(Compression::new(6), false);
    deflate.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    assert_eq!(deflate.total_in(), payload.len() as u64);
    if payload.is_empty() {
        return vec![0];
    }
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// What the payload of a compressed message inflates to, by itself.
pub fn inflate(payload: &[u8]) -> Vec<u8> {
    let whole = [payload, &TAIL].concat();
    let (mut out, mut inflater) = (Vec::new(), Decompress::new(false));
    loop {
        out.reserve(64 << 10);
        let at = inflater.total_in() as usize;
        inflater.decompress_vec(&whole[at..], &mut out, FlushDecompress::Sync).unwrap();
        // While there is room left, all that the input makes has been made.
        if out.len() < out.capacity() {
            break;
        }
    }
    assert_eq!(inflater.total_in(), whole.len() as u64, "it ends early");
    out
}
