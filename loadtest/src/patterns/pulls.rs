//! A reader's pulls: one at a time, and another one if it was poked meanwhile. Pure.

/// The way of one reader to the application.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// An answer is awaited.
    is_open: bool,
    /// What was poked since the question was sent.
    is_poked: bool,
    /// What has come of the answer.
    answer: Vec<u8>,
}

impl Pulls {
    /// Something changed; whether to ask now.
    pub(super) fn poke(&mut self) -> bool {
        let asks = !self.is_open;
        (self.is_open, self.is_poked) = (true, self.is_open);
        asks
    }

    /// Bytes of the answer; the version that it has once it is whole.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Option<usize> {
        self.answer.extend_from_slice(bytes);
        let text = std::str::from_utf8(&self.answer).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length: usize = head.rsplit_once("content-length: ")?.1.parse().ok()?;
        if body.len() < length {
            return None;
        }
        let version = version_of(body);
        self.answer.clear();
        self.is_open = false;
        version
    }

    /// Whether to ask again, after an answer.
    pub(super) fn again(&mut self) -> bool {
        std::mem::take(&mut self.is_poked) && self.poke()
    }
}

/// The version of a state.
pub(super) fn version_of(state: &str) -> Option<usize> {
    let rest = state.strip_prefix("{\"version\":")?;
    rest.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_at_a_time_and_none_forgotten() {
        let mut pulls = Pulls::default();
        assert!(pulls.poke());
        assert!(!pulls.poke() && !pulls.poke());
        assert_eq!(
            pulls.hear(b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"version\":7"),
            None
        );
        assert_eq!(pulls.hear(b",\"values\":{}}"), Some(7));
        assert!(pulls.again(), "poked meanwhile");
        assert_eq!(
            pulls.hear(b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"version\":9,1"),
            Some(9)
        );
        assert!(!pulls.again());
        assert!(pulls.poke());
    }
}
