//! What a client offers in `Sec-WebSocket-Extensions` and what is answered (RFC 7692 section 7.1).

const EXTENSION: &str = "permessage-deflate";
/// The largest window (2^15 bytes), and the only one that the node compresses with.
const WINDOW_BITS: u8 = 15;
/// The smallest window that RFC 7692 knows (2^8 bytes).
const MIN_WINDOW_BITS: u8 = 8;

/// The answer to an offer that was accepted. Neither side keeps its window between messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeflateAnswer {
    /// No window was asked for.
    Plain,
    /// The client asked for a window of the node; the answer names the largest.
    WithWindow,
}

impl DeflateAnswer {
    /// Chooses from the values of all `Sec-WebSocket-Extensions` headers, in the client's order: the
    /// first offer that can be met. None: answer the handshake without the header.
    ///
    /// An offer is declined if a parameter is unknown, repeated or bad, or asks the node for a
    /// smaller window.
    pub fn negotiate<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        headers.into_iter().flat_map(|header| HeaderParts::new(header, b',')).find_map(accept)
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Plain => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            }
            Self::WithWindow => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=15"
            }
        }
    }
}

/// The answer to one offer, if it can be met.
fn accept(offer: &str) -> Option<DeflateAnswer> {
    let mut parts = HeaderParts::new(offer, b';');
    if parts.next()?.trim_matches(BLANKS) != EXTENSION {
        return None;
    }
    let mut seen = [false; DeflateParameter::COUNT];
    let mut answer = DeflateAnswer::Plain;
    for part in parts {
        let parameter = DeflateParameter::parse(part)?;
        if std::mem::replace(&mut seen[parameter as usize], true) {
            return None;
        }
        if parameter == DeflateParameter::ServerWindow {
            answer = DeflateAnswer::WithWindow;
        }
    }
    Some(answer)
}

/// A parameter whose value can be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeflateParameter {
    ServerTakeover,
    ClientTakeover,
    ServerWindow,
    ClientWindow,
}

impl DeflateParameter {
    const COUNT: usize = 4;

    /// None if it is unknown, or its value is bad or cannot be met.
    fn parse(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(token(value.trim_matches(BLANKS))?)),
            None => (text, None),
        };
        match (name.trim_matches(BLANKS), value) {
            ("server_no_context_takeover", None) => Some(Self::ServerTakeover),
            ("client_no_context_takeover", None) => Some(Self::ClientTakeover),
            ("server_max_window_bits", Some(bits)) => {
                (window_bits(&bits)? == WINDOW_BITS).then_some(Self::ServerWindow)
            }
            ("client_max_window_bits", None) => Some(Self::ClientWindow),
            // Any window of the client can be inflated; the answer need not name it.
            ("client_max_window_bits", Some(bits)) => {
                window_bits(&bits).map(|_| Self::ClientWindow)
            }
            _ => None,
        }
    }
}

/// 8 to 15, in decimal without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let bits = text.parse().ok().filter(|_| is_decimal)?;
    (MIN_WINDOW_BITS..=WINDOW_BITS).contains(&bits).then_some(bits)
}

/// A value: a token, or a quoted string whose content is one (RFC 6455 section 9.1).
fn token(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut token = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '\\' => token.push(rest.next()?),
            '"' => return rest.as_str().is_empty().then_some(token),
            other => token.push(other),
        }
    }
}

/// What may surround the parts of a header (RFC 9110 section 5.6.3).
const BLANKS: [char; 2] = [' ', '\t'];

/// The parts of a header between separators that are not in quotes.
struct HeaderParts<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

impl<'a> HeaderParts<'a> {
    fn new(text: &'a str, separator: u8) -> Self {
        Self { rest: Some(text), separator }
    }
}

impl<'a> Iterator for HeaderParts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.take()?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ if byte == self.separator && !is_quoted => {
                    self.rest = Some(&text[at + 1..]);
                    return Some(&text[..at]);
                }
                _ => {}
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests;
