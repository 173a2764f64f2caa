//! A push of presence (kind `p`): one change of a room's list, with its steps or only its numbers.
//! And how Redis keeps what a user shows.

use bytes::Bytes;
use roomcast_protocol::{ConnectionId, Data, Epoch, UserName};

use super::BadPayload;
use crate::api::{PresenceChange, PresenceCounts, PresenceStatus, PresenceStep};

/// First byte of an info that is JSON.
const JSON: u8 = b'j';
/// First byte of an info that is MessagePack.
const MSGPACK: u8 = b'm';
/// Longest head of such a push.
const MAX_HEAD_BYTES: usize = 256;

/// Where a room's presence is: an identity and the number of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceMark {
    /// The list's identity (`rev_epoch`).
    pub epoch: u64,
    /// Changes so far.
    pub change: u64,
}

/// The state of a room's presence after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceTail {
    /// Where it is.
    pub mark: PresenceMark,
    /// Where its epoch parted from an older one.
    pub parting: Option<PresenceMark>,
    /// The numbers.
    pub counts: PresenceCounts,
}

/// What a push of presence carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresencePush {
    /// The state after it.
    pub tail: PresenceTail,
    /// What it tells.
    pub body: PresenceBody,
}

/// What a push of presence tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceBody {
    /// All steps of the change.
    Steps(Vec<PresenceStep>),
    /// Only its numbers.
    Quiet,
    /// Only its numbers; from now on there are steps again.
    Back,
}

/// How Redis keeps what a user shows.
pub(crate) fn encode_info(info: Option<&Data>) -> Vec<u8> {
    let (kind, bytes) = match info {
        None => return Vec::new(),
        Some(Data::Json(bytes)) => (JSON, bytes),
        Some(Data::MsgPack(bytes)) => (MSGPACK, bytes),
    };
    let mut kept = Vec::with_capacity(1 + bytes.len());
    kept.push(kind);
    kept.extend_from_slice(bytes);
    kept
}

/// Reads what [`encode_info`] wrote; what no node wrote is nothing.
pub(crate) fn decode_info(kept: &Bytes) -> Option<Data> {
    match *kept.first()? {
        JSON => Some(Data::Json(kept.slice(1..))),
        MSGPACK => Some(Data::MsgPack(kept.slice(1..))),
        _ => None,
    }
}

/// Reads `epoch:change`, or `-` for none.
pub(crate) fn read_parting(text: &str) -> Option<PresenceMark> {
    let (epoch, change) = text.split_once(':')?;
    Some(PresenceMark { epoch: Epoch::parse(epoch)?.0, change: change.parse().ok()? })
}

/// Reads what follows the kind and its blank.
pub(super) fn decode(push: &Bytes) -> Result<PresencePush, BadPayload> {
    let (head, body) = split_line(push)?;
    let mut words = head.split(' ');
    let mut word = || words.next().ok_or(BadPayload);
    let epoch = Epoch::parse(word()?).ok_or(BadPayload)?.0;
    let parting = read_parting(word()?);
    let change = number(word()?)?;
    let (rev, count, users) = (number(word()?)?, number(word()?)?, number(word()?)?);
    let time = number(word()?)?;
    let tail = PresenceTail {
        mark: PresenceMark { epoch, change },
        parting,
        counts: PresenceCounts { rev_epoch: Epoch(epoch), rev, count, users },
    };
    let body = match word()? {
        "s" => PresenceBody::Steps(steps(body, epoch, time)?),
        "q" => PresenceBody::Quiet,
        "b" => PresenceBody::Back,
        _ => return Err(BadPayload),
    };
    Ok(PresencePush { tail, body })
}

fn steps(mut rest: Bytes, epoch: u64, time: u64) -> Result<Vec<PresenceStep>, BadPayload> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (head, body) = split_line(&rest)?;
        let mut words = head.split(' ');
        let mut word = || words.next().ok_or(BadPayload);
        let kind = word()?;
        let (rev, count, users) = (number(word()?)?, number(word()?)?, number(word()?)?);
        let (name_bytes, info_bytes) = (number(word()?)? as usize, number(word()?)? as usize);
        let end = name_bytes.checked_add(info_bytes).filter(|end| *end <= body.len());
        let end = end.ok_or(BadPayload)?;
        let name = std::str::from_utf8(&body[..name_bytes]).map_err(|_| BadPayload)?;
        let info = decode_info(&body.slice(name_bytes..end));
        let change = change(kind, name, info, time)?;
        steps.push(PresenceStep {
            change,
            counts: PresenceCounts { rev_epoch: Epoch(epoch), rev, count, users },
        });
        rest = body.slice(end..);
    }
    Ok(steps)
}

fn change(
    kind: &str,
    name: &str,
    info: Option<Data>,
    time: u64,
) -> Result<Option<PresenceChange>, BadPayload> {
    let user = || UserName::parse(name).map_err(|_| BadPayload);
    let shown = |user, connection, info, status| PresenceChange::Shown {
        user,
        connection,
        info,
        status: status_of(status),
    };
    Ok(Some(match kind {
        "N" => return Ok(None),
        "J" => PresenceChange::Joined { user: user()?, info, time },
        "L" => PresenceChange::Left { user: user()?, info, time },
        "Sa" | "Sw" => shown(Some(user()?), None, info, kind.as_bytes()[1]),
        "Ca" | "Cw" => {
            let connection = ConnectionId::parse(name).ok_or(BadPayload)?;
            shown(None, Some(connection), info, kind.as_bytes()[1])
        }
        _ => return Err(BadPayload),
    }))
}

/// The status that a letter means.
pub(crate) fn status_of(letter: u8) -> PresenceStatus {
    if letter == b'w' { PresenceStatus::Away } else { PresenceStatus::Active }
}

fn split_line(bytes: &Bytes) -> Result<(&str, Bytes), BadPayload> {
    let line = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
    let end = line.iter().position(|&byte| byte == b'\n').ok_or(BadPayload)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| BadPayload)?;
    Ok((head, bytes.slice(end + 1..)))
}

fn number(word: &str) -> Result<u64, BadPayload> {
    word.parse().map_err(|_| BadPayload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PresencePush, BadPayload> {
        decode(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_push_is_read_or_refused() {
        let head = "0000000000000007 0000000000000005:3 4 9 2 1 1700 ";
        let push = read(&format!("{head}s\nJ 8 1 1 3 3\nannj{{}}N 9 2 1 0 0\n")).unwrap();
        let mark = |epoch, change| PresenceMark { epoch, change };
        assert_eq!((push.tail.mark, push.tail.parting), (mark(7, 4), Some(mark(5, 3))));
        let counts = |rev, count| PresenceCounts { rev_epoch: Epoch(7), rev, count, users: 1 };
        assert_eq!(push.tail.counts, counts(9, 2));
        let user = UserName::parse("ann").unwrap();
        let info = Some(Data::Json(Bytes::from_static(b"{}")));
        let joined = PresenceChange::Joined { user, info, time: 1700 };
        let first = PresenceStep { change: Some(joined), counts: counts(8, 1) };
        let second = PresenceStep { change: None, counts: counts(9, 2) };
        assert_eq!(push.body, PresenceBody::Steps(vec![first, second]));
        assert_eq!(read(&format!("{head}q\n")).unwrap().body, PresenceBody::Quiet);
        for bad in ["s\nX 8 1 1 0 0\n", "s\nJ 8 1 1 9 9\nann", "s\nJ 8 1 1 0 0\n", "z\n", "s"] {
            assert_eq!(read(&format!("{head}{bad}")), Err(BadPayload), "{bad}");
        }
    }
}
