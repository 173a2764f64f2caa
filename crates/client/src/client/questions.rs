//! What an application asks of rooms. Questions are asked again after a lost connection and a
//! passing refusal, until `request_timeout`.

use std::time::Instant;

use roomcast_protocol::{
    Data, ErrorCode, HistoryQuery, Member, Position, PresenceCounts, PresenceStatus, RoomName,
    StateEntry,
};

use super::{Client, Command};
use crate::answer::ClientAnswer;
use crate::session::{ClientRequest, Showing};
use crate::{
    ConfirmedMarks, Confirms, HistoryPage, MemberPage, RequestFailure, RoomFacts, RoomStatePart,
};

/// How often a list of several pages is begun, because the token of a page was good no more: it is
/// bound to a connection, and a client that loses so many has other troubles.
const LIST_TRIES: u32 = 3;

impl Client {
    /// Reads a page of history. The frame's own `id` is chosen by the client.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, RequestFailure> {
        match self.question(ClientRequest::History(query)).await? {
            ClientAnswer::History(page) => Ok(page),
            other => misfit(&other),
        }
    }

    /// Reads a page of a room's members; `page` is the `more` of the one before.
    pub async fn members(
        &self,
        room: RoomName,
        page: Option<Box<str>>,
    ) -> Result<MemberPage, RequestFailure> {
        match self.question(ClientRequest::Members { room, page }).await? {
            ClientAnswer::Members(page) => Ok(page),
            other => misfit(&other),
        }
    }

    /// Reads all pages of a room's members; the counts are those of the first page, after whose
    /// `rev` changes are to be applied.
    pub async fn all_members(
        &self,
        room: RoomName,
    ) -> Result<(Vec<Member>, PresenceCounts), RequestFailure> {
        let mut tries = 1;
        loop {
            let first = self.members(room.clone(), None).await?;
            let (mut members, counts, mut more) = (first.members, first.counts, first.more);
            let ended = loop {
                let Some(page) = more.take() else { return Ok((members, counts)) };
                match self.members(room.clone(), Some(page)).await {
                    Ok(page) => {
                        members.extend(page.members);
                        more = page.more;
                    }
                    Err(failure) => break failure,
                }
            };
            begin_again(&mut tries, ended)?;
        }
    }

    /// Reads a part of a room's state without joining it; `page` is the `page` of the one before.
    pub async fn state(
        &self,
        room: RoomName,
        page: Option<Box<str>>,
    ) -> Result<RoomStatePart, RequestFailure> {
        match self.question(ClientRequest::State { room, page }).await? {
            ClientAnswer::State(part) => Ok(part),
            other => misfit(&other),
        }
    }

    /// Reads a room's whole state without joining it, at one position.
    pub async fn all_state(
        &self,
        room: RoomName,
    ) -> Result<(Vec<StateEntry>, Position), RequestFailure> {
        let mut tries = 1;
        loop {
            let first = self.state(room.clone(), None).await?;
            let (mut entries, position, mut next) = (first.entries, first.position, first.page);
            let ended = loop {
                let Some(page) = next.take() else { return Ok((entries, position)) };
                match self.state(room.clone(), Some(page)).await {
                    Ok(part) => {
                        entries.extend(part.entries);
                        next = part.page;
                    }
                    Err(failure) => break failure,
                }
            };
            begin_again(&mut tries, ended)?;
        }
    }

    /// Where a room is, without joining it.
    pub async fn room(&self, room: RoomName) -> Result<RoomFacts, RequestFailure> {
        // One question has one answer, unless it is refused.
        let facts = self.rooms(vec![room]).await?;
        facts.into_iter().next().ok_or(RequestFailure::TimedOut)
    }

    /// Where several rooms are, at most `MAX_ROOM_QUERIES`, in one reading. Rooms that are refused
    /// are left out; if all are, the last refusal is the answer.
    pub async fn rooms(&self, rooms: Vec<RoomName>) -> Result<Vec<RoomFacts>, RequestFailure> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        match self.question(ClientRequest::Rooms(rooms)).await? {
            ClientAnswer::Rooms(facts) => Ok(facts),
            other => misfit(&other),
        }
    }

    /// Confirms everything up to this position in a room that the client is a member of; what the
    /// user has confirmed now.
    pub async fn received(
        &self,
        room: RoomName,
        position: Position,
        confirms: Confirms,
    ) -> Result<ConfirmedMarks, RequestFailure> {
        match self.question(ClientRequest::Confirm { room, position, confirms }).await? {
            ClientAnswer::Confirmed(confirmation) => Ok(confirmation),
            other => misfit(&other),
        }
    }

    /// Changes what other members of a room see of this one, for this membership and those after
    /// it; what is `None` stays.
    pub async fn show(
        &self,
        room: RoomName,
        info: Option<Data>,
        status: Option<PresenceStatus>,
    ) -> Result<(), RequestFailure> {
        match self.question(ClientRequest::Show(room, Showing { info, status })).await? {
            ClientAnswer::Shown => Ok(()),
            other => misfit(&other),
        }
    }

    async fn question(&self, request: ClientRequest) -> Result<ClientAnswer, RequestFailure> {
        let closed = |_| RequestFailure::Closed;
        let (reply, answer) = self.reply().await.map_err(closed)?;
        let deadline = Instant::now() + self.request_timeout;
        self.ask(Command::Ask { request, deadline, reply }).await.map_err(closed)?;
        answer.await.unwrap_or(Err(RequestFailure::Closed))
    }
}

/// Whether a list may be begun again after this failure: its page was good no more.
fn begin_again(tries: &mut u32, failure: RequestFailure) -> Result<(), RequestFailure> {
    let is_old = matches!(failure, RequestFailure::Refused { code: ErrorCode::BadFrame, .. });
    if !is_old || *tries == LIST_TRIES {
        return Err(failure);
    }
    *tries += 1;
    Ok(())
}

fn misfit(answer: &ClientAnswer) -> ! {
    unreachable!("the session answers each question by its own kind, not by {answer:?}")
}
