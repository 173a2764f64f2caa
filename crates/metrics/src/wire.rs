//! Labels that are words of the wire: what the protocol closes, a metric takes as it is.

use roomcast_protocol::{Encoding, ErrorCode, FrameType};

use crate::Label;

impl Label for Encoding {
    const NAME: &'static str = "encoding";
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

impl Label for ErrorCode {
    const NAME: &'static str = "code";
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

/// How many frame types there are.
const FRAME_TYPES: usize = FrameType::ALL.len();

/// The types, and at the end what is none of them.
const KNOWN_AND_UNKNOWN: [Option<FrameType>; FRAME_TYPES + 1] = {
    let mut values = [None; FRAME_TYPES + 1];
    let mut index = 0;
    while index < FRAME_TYPES {
        values[index] = Some(FrameType::ALL[index]);
        index += 1;
    }
    values
};

/// The type of a client's frame; `None` is one that could not be read or has no known type.
impl Label for Option<FrameType> {
    const NAME: &'static str = "type";
    const ALL: &'static [Self] = &KNOWN_AND_UNKNOWN;

    fn index(self) -> usize {
        self.map_or(FRAME_TYPES, |frame| frame as usize)
    }

    fn as_str(self) -> &'static str {
        self.map_or("bad", FrameType::as_str)
    }
}
