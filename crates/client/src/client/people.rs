//! What an application tells the members of a room for the moment, and the users it watches.

use roomcast_protocol::{ClientFrame, Data, EventName, RoomName, UserName};

use super::{Client, Command};
use crate::ClientClosed;

impl Client {
    /// Sends an ephemeral event to the other members of a room. It is dropped while there is no
    /// connection, or no membership yet; a refusal comes as `Event::Error`.
    pub async fn signal(
        &self,
        room: RoomName,
        event: EventName,
        data: Option<Data>,
    ) -> Result<(), ClientClosed> {
        let frame = ClientFrame::Signal { id: None, room: room.clone(), event, data };
        self.ask(Command::Ephemeral { room, frame }).await
    }

    /// The user is writing; the node ends it after 3 s without another word. Dropped like a signal.
    pub async fn typing(&self, room: RoomName) -> Result<(), ClientClosed> {
        let frame = ClientFrame::Typing { id: None, room: room.clone(), active: true };
        self.ask(Command::Ephemeral { room, frame }).await
    }

    /// The user has stopped writing.
    pub async fn typing_ended(&self, room: RoomName) -> Result<(), ClientClosed> {
        let frame = ClientFrame::Typing { id: None, room: room.clone(), active: false };
        self.ask(Command::Ephemeral { room, frame }).await
    }

    /// Wants to know whether these users are online, over every reconnect: `Event::Watching` tells
    /// how they are now, `Event::User` when that changes. Those that the node does not take
    /// (`Event::Error`) are not watched.
    pub async fn watch(&self, users: Vec<UserName>) -> Result<(), ClientClosed> {
        self.ask(Command::Watch { users }).await
    }

    /// Wants to know of these users no more.
    pub async fn unwatch(&self, users: Vec<UserName>) -> Result<(), ClientClosed> {
        self.ask(Command::Unwatch { users }).await
    }
}
