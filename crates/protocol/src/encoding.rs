//! The two encodings of a connection and how a WebSocket handshake agrees on one.

/// How frames are written on a connection; fixed at its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Text frames, one JSON object each.
    Json,
    /// Binary frames, one MessagePack map each.
    MsgPack,
}

impl Encoding {
    /// Every encoding, for tables, metrics and tests.
    pub const ALL: [Self; 2] = [Self::Json, Self::MsgPack];

    /// The WebSocket subprotocol that selects it.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "roomcast.v1.json",
            Self::MsgPack => "roomcast.v1.msgpack",
        }
    }

    /// One word for logs and metric labels; offered as a subprotocol it means the present version.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MsgPack => "msgpack",
        }
    }
}

/// Subprotocols were offered and none is known: answer the handshake with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none of the offered subprotocols is known; offer roomcast.v1.json or roomcast.v1.msgpack")]
pub struct UnknownSubprotocol;

/// What a handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subprotocol {
    /// How frames are written.
    pub encoding: Encoding,
    /// The name to answer in `Sec-WebSocket-Protocol`; `None` if nothing was offered, and then
    /// the header must be left out (RFC 6455 section 4.2.2).
    pub chosen: Option<&'static str>,
}

impl Subprotocol {
    /// Chooses from the values of all `Sec-WebSocket-Protocol` headers, each a list separated by
    /// commas: the first known name in the client's order; JSON when nothing is offered.
    pub fn negotiate<'a>(
        headers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, UnknownSubprotocol> {
        let mut offered = false;
        for name in headers.into_iter().flat_map(|list| list.split(',')).map(str::trim) {
            if name.is_empty() {
                continue;
            }
            offered = true;
            for encoding in Encoding::ALL {
                let names = [encoding.subprotocol(), encoding.as_str()];
                // The answer has to be one of the offered names, letter by letter.
                if let Some(chosen) = names.into_iter().find(|known| *known == name) {
                    return Ok(Self { encoding, chosen: Some(chosen) });
                }
            }
        }
        if offered {
            return Err(UnknownSubprotocol);
        }
        Ok(Self { encoding: Encoding::Json, chosen: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        headers: &[&str],
        expected: Result<(Encoding, Option<&'static str>), UnknownSubprotocol>,
    ) {
        let got = Subprotocol::negotiate(headers.iter().copied());
        assert_eq!(got.map(|s| (s.encoding, s.chosen)), expected, "{headers:?}");
    }

    #[test]
    fn chooses_the_first_known_name() {
        const JSON: &str = "roomcast.v1.json";
        const MSGPACK: &str = "roomcast.v1.msgpack";
        check(&[], Ok((Encoding::Json, None)));
        check(&["", " , "], Ok((Encoding::Json, None)));
        check(&[JSON], Ok((Encoding::Json, Some(JSON))));
        check(&[MSGPACK], Ok((Encoding::MsgPack, Some(MSGPACK))));
        check(&["roomcast.v1.msgpack, roomcast.v1.json"], Ok((Encoding::MsgPack, Some(MSGPACK))));
        check(&["graphql-ws", "roomcast.v1.json"], Ok((Encoding::Json, Some(JSON))));
        check(&["roomcast.token.a.b.c, json"], Ok((Encoding::Json, Some("json"))));
        check(&["msgpack, json"], Ok((Encoding::MsgPack, Some("msgpack"))));
        check(&["roomcast.token.a.b.c"], Err(UnknownSubprotocol));
        check(&["graphql-ws"], Err(UnknownSubprotocol));
        check(&["ROOMCAST.V1.JSON"], Err(UnknownSubprotocol));
        check(&["roomcast.v2.json"], Err(UnknownSubprotocol));
    }
}
