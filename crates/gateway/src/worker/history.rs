//! Reading history: a client's request for a page, and the page or the error on its way back.

use std::rc::Rc;

use roomcast_bus::{History, HistoryRange, HistoryRequest, ReadError};
use roomcast_protocol::{ErrorCode, HistoryQuery, RoomName, ServerFrame};

use super::Worker;
use super::requests::{BusAnswer, Requester};
use crate::connection::Connection;

/// Bytes of data in one `history` answer; the client asks for the rest by another request.
const ANSWER_DATA_BYTES: usize = 64 * 1024;

impl Worker {
    /// A client reads history.
    pub(super) fn history(&self, connection: &Rc<Connection>, query: HistoryQuery) {
        let HistoryQuery { id, room, after, before, limit } = query;
        let to = self.begin_request(connection, id);
        connection.reading.set(connection.reading.get() + 1);
        let range = match (after, before) {
            (Some(after), _) => HistoryRange::After(after),
            (None, Some(before)) => HistoryRange::Before(before),
            (None, None) => HistoryRange::Latest,
        };
        let retention = self.settings.borrow().namespace_of(&room).retention;
        let request = HistoryRequest { range, limit, max_bytes: ANSWER_DATA_BYTES, retention };
        let (bus, answers) = (self.bus.clone(), self.answers.clone());
        tokio::task::spawn_local(async move {
            let outcome = bus.history(&room, request).await;
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::History { to, room, outcome });
        });
    }

    /// Answers a request for history with `history` or `error`.
    pub(super) fn answer_history(
        &self,
        to: Requester,
        room: RoomName,
        outcome: Result<History, ReadError>,
    ) {
        let Some(connection) = self.end_request(to) else { return };
        connection.reading.set(connection.reading.get() - 1);
        self.release(&connection);
        match outcome {
            Ok(History { lineage, messages, more, .. }) => {
                let (id, epoch) = (to.id, lineage.epoch);
                connection.send(&ServerFrame::History { id, room, epoch, messages, more });
            }
            Err(ReadError::Unavailable) => {
                let reason = (ErrorCode::BusUnavailable, "the bus does not answer; try again");
                self.refuse(&connection, to.id, Some(&room), reason);
            }
        }
        self.write_soon(&connection);
    }
}
