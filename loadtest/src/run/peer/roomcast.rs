//! Roomcast's own frames, in JSON. What is read thousands of times a second, `message`, is read
//! without decoding all of it; everything else goes through the codec.

use std::time::Duration;

use anyhow::{Result, bail};
use roomcast_protocol::{
    ClientFrame, Encoding, ErrorCode, JoinRoom, Position, Publish, PublishKey, ServerFrame, Since,
};

use super::{Heard, Outgoing};
use crate::dialect::{self, room_name};
use crate::run::stamp::digits;
use crate::wire;

/// How a message begins in the node's JSON.
const MESSAGE: &[u8] = br#"{"type":"message","room":""#;
/// What stands between a room's name, which has no quotes, and the seq.
const SEQ: &[u8] = br#","seq":"#;
/// Before a refused request is repeated, if the node does not say.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn join(room: usize, since: Option<Position>) -> Result<Vec<u8>> {
    let room = room_name(room)?;
    let rooms = vec![JoinRoom { since: since.map(Since::Position), ..JoinRoom::new(room) }];
    Ok(frame(&ClientFrame::Join { id: Some(1), rooms }))
}

pub(super) fn publish(message: &Outgoing<'_>) -> Result<Vec<u8>> {
    Ok(frame(&ClientFrame::Publish(Publish {
        id: Some(message.id),
        key: Some(PublishKey::parse(&message.id.to_string())?),
        ..Publish::new(
            room_name(message.room)?,
            dialect::WireEncoding::Json.payload(message.text, message.bytes),
        )
    })))
}

fn frame(frame: &ClientFrame) -> Vec<u8> {
    let (mut payload, mut bytes) = (Vec::new(), Vec::new());
    frame.encode(Encoding::Json, &mut payload);
    wire::push_client_frame(wire::TEXT, &payload, &mut bytes);
    bytes
}

pub(super) fn read(payload: &[u8]) -> Result<Heard<'_>> {
    if let Some(seq) = seq_of_message(payload) {
        return Ok(Heard::Message { seq: Some(seq), id: b"", data: payload });
    }
    Ok(match ServerFrame::decode(Encoding::Json, payload)? {
        ServerFrame::Connected { node, .. } => Heard::Greeted { by: Some(node.to_string()) },
        ServerFrame::Joined { epoch, seq, recovered, .. } => {
            Heard::Joined { at: Some(Position { epoch, seq }), recovered }
        }
        ServerFrame::Message { message, .. } => {
            Heard::Message { seq: Some(message.seq), id: b"", data: payload }
        }
        ServerFrame::Gap { from, to, .. } => Heard::Gap { from, to },
        ServerFrame::Reset { epoch, seq, lost, .. } => {
            Heard::Reset { at: Position { epoch, seq }, lost }
        }
        ServerFrame::Ack { id, .. } => Heard::Acked(id),
        ServerFrame::Reconnect { after_ms, .. } => Heard::Move(Duration::from_millis(after_ms)),
        ServerFrame::Error { id, code, retry_after_ms, message, .. } => match code {
            ErrorCode::Overloaded
            | ErrorCode::BusUnavailable
            | ErrorCode::PublishUnknown
            | ErrorCode::RateLimited
            | ErrorCode::Internal => {
                let pause = retry_after_ms.map_or(PAUSE, Duration::from_millis);
                Heard::Refused { id, pause }
            }
            _ => bail!("the node answered {}: {message}", code.as_str()),
        },
        _ => Heard::Nothing,
    })
}

/// The seq of a message in the form in which nodes write it.
fn seq_of_message(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(MESSAGE)?;
    let quote = rest.iter().position(|&byte| byte == b'"')?;
    digits(rest[quote + 1..].strip_prefix(SEQ)?, b',').map(|(seq, _)| seq)
}
