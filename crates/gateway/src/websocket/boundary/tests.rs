//! Frames are measured alike however the stream is cut, and a header is enough to refuse one.

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Control;

use super::*;

const MAX: usize = 100_000;

fn frame(opcode: OpCode, is_final: bool, length: usize) -> Vec<u8> {
    let mask = Some([1, 2, 3, 4]);
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    let mut bytes = Vec::new();
    header.format(length as u64, &mut bytes).unwrap();
    bytes.resize(bytes.len() + length, b'x');
    bytes
}

#[track_caller]
fn check_whole(boundary: &mut Boundary, frame: &[u8], is_fragmented: bool) {
    assert_eq!(boundary.take(frame, MAX), Ahead::Whole(frame.len()));
    assert_eq!(boundary.is_fragmented(), is_fragmented);
}

#[test]
fn a_message_is_open_until_its_last_fragment() {
    let mut boundary = Boundary::new(FrameExtension::None);
    check_whole(&mut boundary, &frame(OpCode::Data(Data::Text), true, 300), false);
    assert_eq!(boundary.collected(1000), 0);
    check_whole(&mut boundary, &frame(OpCode::Data(Data::Text), false, 3), true);
    assert_eq!(boundary.collected(1000), 2 * (1000 + 3 + 3));
    check_whole(&mut boundary, &frame(OpCode::Control(Control::Ping), true, 0), true);
    check_whole(&mut boundary, &frame(OpCode::Data(Data::Continue), false, 50), true);
    check_whole(&mut boundary, &frame(OpCode::Data(Data::Continue), false, 2), true);
    assert_eq!(boundary.collected(1000), 2 * (1000 + 50 + 55));
    check_whole(&mut boundary, &frame(OpCode::Data(Data::Continue), true, 3), false);
}

#[test]
fn what_passes_the_bound_is_refused_by_its_header() {
    let mut boundary = Boundary::new(FrameExtension::None);
    let text = OpCode::Data(Data::Text);
    check_whole(&mut boundary, &frame(text, true, MAX), false);
    let larger = frame(text, true, MAX + 1);
    assert_eq!(boundary.take(&larger[..14], MAX), Ahead::Refused(CloseCode::TooBig));
    // The fragments of a message count together; a ping among them does not.
    check_whole(&mut boundary, &frame(text, false, MAX - 10), true);
    check_whole(&mut boundary, &frame(OpCode::Control(Control::Ping), true, 125), true);
    let last = frame(OpCode::Data(Data::Continue), true, 11);
    assert_eq!(boundary.take(&last[..6], MAX), Ahead::Refused(CloseCode::TooBig));
    check_whole(&mut boundary, &frame(OpCode::Data(Data::Continue), true, 10), false);
}

proptest! {
    /// A frame's begin, however long, asks for no more than the frame has, and for more than there is.
    #[test]
    fn cuts_do_not_matter(
        length in prop_oneof![0..130usize, 65_530..65_540usize], cut in 0..70_000usize,
    ) {
        let whole = frame(OpCode::Data(Data::Binary), true, length);
        let cut = cut % whole.len();
        let mut boundary = Boundary::new(FrameExtension::None);
        match boundary.take(&whole[..cut], MAX) {
            Ahead::Part(needs) => prop_assert!(cut < needs && needs <= whole.len(), "{} at {}", needs, cut),
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert_eq!(boundary.take(&whole, MAX), Ahead::Whole(whole.len()));
    }
}
