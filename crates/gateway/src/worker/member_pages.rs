//! Pages of members: a client's request for one, and the page or the error on its way back. Lists are
//! read at most once a second for a room (`Bus::presence_list`).

use std::rc::Rc;
use std::sync::Arc;

use roomcast_bus::{PresenceList, ReadError};
use roomcast_protocol::{ErrorCode, RequestId, RoomName, ServerFrame};

use super::Worker;
use super::requests::{BusAnswer, Requester};
use crate::auth::wall_ms;
use crate::connection::Connection;
use crate::member_list::{ListMark, ListPage};
use crate::page_token::PageReader;

impl Worker {
    /// A client asks for a page of the members of a room.
    pub(super) fn members(
        &self,
        connection: &Rc<Connection>,
        (id, room): (Option<RequestId>, RoomName),
        page: Option<Box<str>>,
    ) {
        let reader = PageReader::Connection(&self.page_secret, connection.id);
        let after = page.map(|page| {
            let mark = reader.read(&room, &page, wall_ms());
            mark.as_deref().and_then(ListMark::read)
        });
        if after == Some(None) {
            let why = "`page` was not given to this connection for that room, or too long ago";
            return self.refuse(connection, id, Some(&room), (ErrorCode::BadFrame, why));
        }
        let to = self.begin_request(connection, id);
        connection.reading.set(connection.reading.get() + 1);
        let since = self.missed_until(connection.id, &room);
        let (bus, answers) = (self.bus.clone(), self.answers.clone());
        tokio::task::spawn_local(async move {
            let list = bus.presence_list(&room, since).await;
            let after = after.flatten();
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::Members { to, room, after, list });
        });
    }

    /// Answers a request for members with `members` or `error`.
    pub(super) fn answer_members(
        &self,
        (to, room): (Requester, RoomName),
        after: Option<&ListMark>,
        list: Result<Arc<PresenceList>, ReadError>,
    ) {
        let Some(connection) = self.end_request(to) else { return };
        connection.reading.set(connection.reading.get() - 1);
        self.release(&connection);
        match list {
            Ok(list) => {
                let ListPage { members, next } = ListPage::of(&list, after);
                let reader = PageReader::Connection(&self.page_secret, connection.id);
                let more = next.map(|mark| reader.make(&room, &mark.to_bytes(), wall_ms()));
                let (id, counts) = (to.id, list.counts);
                connection.send(&ServerFrame::Members { id, room, members, counts, more });
            }
            Err(ReadError::Unavailable) => {
                let reason = (ErrorCode::BusUnavailable, "the bus does not answer; try again");
                self.refuse(&connection, to.id, Some(&room), reason);
            }
        }
        self.write_soon(&connection);
    }
}
