//! What nodes say to each other in their room, as JSON: that they are there, questions, and answers.
//! A version ignores the words and members that it does not know.

use roomcast_protocol::{ConnectionId, NodeId, RoomName, UserName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One word.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PeerWord {
    /// The node is there.
    Here { node: String },
    /// The node ends.
    Gone { node: String },
    /// A question to every node.
    Question { id: String, node: String, about: QuestionText },
    /// A node's answer.
    Answer { id: String, node: String, answer: PeerAnswer },
}

/// What a question is about.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum QuestionText {
    /// The connections of a user.
    Connections { user: String },
    /// A connection is to join a room.
    Join { connection: String, room: String, options: Box<RawValue> },
    /// A connection is to leave a room.
    Leave { connection: String, room: String },
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PeerAnswer {
    /// The user's connections there.
    Connections(Vec<ConnectionText>),
    /// It was done.
    Done,
    /// It was refused: the code and the message of the frame.
    Refused(String, String),
    /// The connection is not there.
    Unknown,
}

/// A connection as an answer to a backend has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConnectionText {
    pub(crate) connection: String,
    #[serde(default)]
    pub(crate) node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// When it began, in Unix ms.
    pub(crate) since: u64,
    /// When its last frame came, in Unix ms.
    pub(crate) active: u64,
}

/// A question that this node has read.
#[derive(Debug)]
pub(crate) struct PeerQuestion {
    pub(crate) id: u64,
    pub(crate) about: PeerRequest,
}

/// What a question is about.
#[derive(Debug)]
pub(crate) enum PeerRequest {
    /// The connections of a user.
    Connections(UserName),
    /// A connection is to join a room.
    Join { connection: ConnectionId, room: RoomName, options: Box<RawValue> },
    /// A connection is to leave a room.
    Leave { connection: ConnectionId, room: RoomName },
}

impl PeerRequest {
    pub(super) fn written(&self) -> QuestionText {
        match self {
            Self::Connections(user) => QuestionText::Connections { user: user.to_string() },
            Self::Join { connection, room, options } => QuestionText::Join {
                connection: connection.to_string(),
                room: room.wire().to_owned(),
                options: options.clone(),
            },
            Self::Leave { connection, room } => QuestionText::Leave {
                connection: connection.to_string(),
                room: room.wire().to_owned(),
            },
        }
    }

    pub(super) fn read(text: QuestionText) -> Option<Self> {
        let room = |name: &str| RoomName::parse(name).ok().map(|room| room.of_user(None));
        Some(match text {
            QuestionText::Connections { user } => Self::Connections(UserName::parse(&user).ok()?),
            QuestionText::Join { connection, room: name, options } => Self::Join {
                connection: ConnectionId::parse(&connection)?,
                room: room(&name)?,
                options,
            },
            QuestionText::Leave { connection, room: name } => {
                Self::Leave { connection: ConnectionId::parse(&connection)?, room: room(&name)? }
            }
        })
    }
}

/// The name of a node that another one says.
pub(super) fn node_named(name: &str) -> Option<NodeId> {
    NodeId::parse(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        let options = RawValue::from_string(r#"{"info": {"a": 1}}"#.to_owned()).unwrap();
        let (connection, room) = (ConnectionId(7), RoomName::parse("@all").unwrap().of_user(None));
        for request in [
            PeerRequest::Connections(UserName::parse("ann").unwrap()),
            PeerRequest::Join { connection, room: room.clone(), options },
            PeerRequest::Leave { connection, room },
        ] {
            let (id, node) = ("7".to_owned(), "n1".to_owned());
            let word = PeerWord::Question { id, node, about: request.written() };
            let text = serde_json::to_string(&word).unwrap();
            let PeerWord::Question { about, .. } = serde_json::from_str(&text).unwrap() else {
                panic!("{text}")
            };
            let read = PeerRequest::read(about).unwrap();
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
        }
        let refused = PeerAnswer::Refused("too_many_rooms".into(), "text".into());
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(serde_json::from_str::<PeerAnswer>(&text).unwrap(), refused);
    }
}
