//! Headers, read and written.

use super::*;

#[test]
fn a_header_that_was_written_is_read() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let mut bytes = ZeroMaskHeader::new(0x81, length).as_bytes().to_vec();
        assert!(bytes.len() <= MAX_HEADER);
        assert!(length == 0 || WholeFrame::read(&bytes).is_none(), "{length}");
        bytes.extend(vec![7; length + 3]);
        let frame = WholeFrame::read(&bytes).unwrap();
        assert_eq!(frame.payload.len(), length);
        assert_eq!(frame.length, bytes.len() - 3);
        assert_eq!(frame.key, Some([0; 4]));
        assert!(frame.is_final() && !frame.has_rsv1() && !frame.has_unknown_bits());
        assert_eq!((frame.opcode(), frame.plain_first()), (1, 0x81));
    }
    assert_eq!(ZeroMaskHeader::new(0x81, 126).as_bytes().len(), USUAL_HEADER);
}

#[test]
fn a_length_that_never_comes_is_not_believed() {
    let mut bytes = vec![0x82, 0xff];
    bytes.extend([0xff; 8]);
    assert!(WholeFrame::read(&bytes).is_none());
    bytes.extend([0; 4]);
    assert!(WholeFrame::read(&bytes).is_none());
}
