//! The options of a join that a backend asks for, as its body has them.

use std::borrow::Cow;

use roomcast_protocol::{Data, Epoch, JoinRoom, Position, RoomName, Seq, Since};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The options of a join that a backend asks for.
#[derive(Deserialize)]
struct JoinOptions<'a> {
    #[serde(default)]
    presence: bool,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    since: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SinceText<'a> {
    #[serde(borrow, default)]
    epoch: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<Seq>,
    #[serde(default)]
    time: Option<u64>,
}

/// What is wrong with such options.
#[derive(Debug)]
pub(crate) enum JoinOptionsFlaw {
    /// They are no JSON of this shape.
    Json(serde_json::Error),
    /// A member has a bad value.
    Value(String),
}

/// The join of a room with the options of a body, or what is wrong with them.
pub(crate) fn join_by_backend(
    room: RoomName,
    options: &RawValue,
) -> Result<JoinRoom, JoinOptionsFlaw> {
    let options: JoinOptions<'_> =
        serde_json::from_str(options.get()).map_err(JoinOptionsFlaw::Json)?;
    let info = options.info.map(|info| Data::json(info.get().as_bytes().to_vec())).transpose();
    let info = info.map_err(|error| JoinOptionsFlaw::Value(format!("info: {error}")))?;
    let since = options.since.map(since_of).transpose()?;
    Ok(JoinRoom { presence: options.presence, info, since, ..JoinRoom::new(room) })
}

fn since_of(text: &RawValue) -> Result<Since, JoinOptionsFlaw> {
    let flaw = |text: &str| JoinOptionsFlaw::Value(text.to_owned());
    // The library takes a list for an object.
    if !text.get().starts_with('{') {
        return Err(flaw("since: an object with epoch and seq, or with time"));
    }
    let since: SinceText<'_> = serde_json::from_str(text.get()).map_err(JoinOptionsFlaw::Json)?;
    match (since.epoch, since.seq, since.time) {
        (Some(epoch), Some(seq), None) => {
            let epoch = Epoch::parse(&epoch)
                .ok_or_else(|| flaw("since.epoch: 16 lower-case hex digits"))?;
            Ok(Since::Position(Position { epoch, seq }))
        }
        (None, None, Some(time)) => Ok(Since::Time(time)),
        _ => Err(flaw("since: give epoch and seq, or time")),
    }
}
