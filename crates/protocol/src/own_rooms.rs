//! The rooms of a request as nodes know them: a client says `@me` and `@all`.

use crate::{ClientFrame, RoomName, UserName};

impl ClientFrame {
    /// The same request in the rooms that this user means.
    #[must_use]
    pub fn of_user(mut self, user: Option<&UserName>) -> Self {
        let rename = |room: &mut RoomName| *room = room.clone().of_user(user);
        match &mut self {
            Self::Join { rooms, .. } => rooms.iter_mut().for_each(|join| rename(&mut join.room)),
            Self::Room { rooms, .. } => rooms.iter_mut().for_each(rename),
            Self::Publish(publish) => rename(&mut publish.room),
            Self::History(query) => rename(&mut query.room),
            Self::Leave { room, .. }
            | Self::Signal { room, .. }
            | Self::Typing { room, .. }
            | Self::Members { room, .. }
            | Self::Presence { room, .. }
            | Self::State { room, .. }
            | Self::Received { room, .. } => rename(room),
            Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::Refresh { .. }
            | Self::Ping { .. } => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;

    #[test]
    fn every_request_is_in_the_rooms_that_its_user_means() {
        let ann = UserName::parse("ann").unwrap();
        for frame in [
            r#"{"type":"join","room":"@me"}"#,
            r#"{"type":"join","rooms":[{"room":"@me"},{"room":"@all"}]}"#,
            r#"{"type":"leave","room":"@me"}"#,
            r#"{"type":"publish","room":"@me","data":1}"#,
            r#"{"type":"signal","room":"@me","event":"e"}"#,
            r#"{"type":"typing","room":"@me"}"#,
            r#"{"type":"history","room":"@me"}"#,
            r#"{"type":"members","room":"@me"}"#,
            r#"{"type":"presence","room":"@me","status":"away"}"#,
            r#"{"type":"state","room":"@me"}"#,
            r#"{"type":"room","room":"@me"}"#,
            r#"{"type":"received","room":"@me","epoch":"00000000000000ff","seq":1}"#,
        ] {
            let read = ClientFrame::decode(Encoding::Json, frame.as_bytes()).unwrap();
            let read = format!("{:?}", read.of_user(Some(&ann)));
            assert!(read.contains("\"$user:ann\"") && !read.contains('@'), "{read}");
        }
    }
}
