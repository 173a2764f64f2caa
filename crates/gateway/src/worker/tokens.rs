//! Tokens that come in frames: `refresh`, and `join` with a room's own token. A token whose key is
//! not known waits for it, and other frames of the connection go on meanwhile.

use std::future::Future;
use std::rc::Rc;

use futures_util::FutureExt;
use roomcast_access::identity::{AccessIdentity, RoomPass};
use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_protocol::{ErrorCode, JoinRoom, Position, RequestId, RoomName, ServerFrame};

use super::Worker;
use super::requests::{BusAnswer, Requester};
use crate::auth::{RefusedToken, TokenRefusal, wall_ms};
use crate::connection::Connection;
use crate::permit::{Denial, RoomAction, permit};
use crate::room::{AfterJoin, MemberReader, Room};

const TOKEN_BANNED: &str = "the token is banned";

/// A token that was checked, with what it was for.
pub(crate) enum CheckedToken {
    /// Of a `refresh`.
    Refresh(Result<AccessIdentity, TokenRefusal>),
    /// Of a `join`.
    Room { join: JoinRoom, pass: Result<RoomPass, TokenRefusal> },
}

impl Worker {
    /// A client presents a new token.
    pub(super) fn refresh(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        token: Box<str>,
    ) {
        let to = self.begin_request(connection, id);
        let rules = self.settings.borrow().auth.rules.clone();
        let checked = self.keys.clone().check_connection(token, rules);
        self.take_token_when_checked(to, checked.map(CheckedToken::Refresh));
    }

    /// A client asks to become a member by a room's own token.
    pub(super) fn join_by_token(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        (join, token): (JoinRoom, Box<str>),
    ) {
        let to = self.begin_request(connection, id);
        let rules = self.settings.borrow().auth.rules.clone();
        let place = (connection.user.clone(), join.room.clone());
        let checked = self.keys.clone().check_room(token, rules, place);
        self.take_token_when_checked(to, checked.map(|pass| CheckedToken::Room { join, pass }));
    }

    fn take_token_when_checked(
        &self,
        to: Requester,
        checked: impl Future<Output = CheckedToken> + 'static,
    ) {
        let mut checked = Box::pin(checked);
        // Nearly always the key is here, and the order of the client's frames is kept.
        if let Some(checked) = checked.as_mut().now_or_never() {
            return self.take_token(to, checked);
        }
        let answers = self.answers.clone();
        tokio::task::spawn_local(async move {
            // The worker may have ended meanwhile.
            let _ = answers.send(BusAnswer::Token { to, checked: checked.await });
        });
    }

    /// Does what a token was for, once it is checked.
    pub(super) fn take_token(&self, to: Requester, checked: CheckedToken) {
        let Some(connection) = self.end_request(to) else { return };
        if connection.is_open() {
            match checked {
                CheckedToken::Refresh(Ok(identity)) => {
                    self.take_identity(&connection, to.id, identity);
                }
                CheckedToken::Refresh(Err(refusal)) => {
                    self.refuse_token(&connection, to.id, None, &refusal);
                }
                CheckedToken::Room { join, pass: Ok(pass) } => {
                    self.take_pass(&connection, to.id, join, pass);
                }
                CheckedToken::Room { join, pass: Err(refusal) } => {
                    self.refuse_token(&connection, to.id, Some(&join.room), &refusal);
                }
            }
        }
        self.write_soon(&connection);
    }

    fn take_identity(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        identity: AccessIdentity,
    ) {
        if self.is_token_banned(identity.token_id()) {
            return self.refuse(connection, id, None, (ErrorCode::BadToken, TOKEN_BANNED));
        }
        let expires = identity.life().map_or(u64::MAX, |life| life.expires);
        if let Err(error) = connection.refresh(identity) {
            let reason = (ErrorCode::BadToken, &*error.to_string());
            return self.refuse(connection, id, None, reason);
        }
        self.watch_life(connection);
        connection.send(&ServerFrame::Refreshed { id, expires, time: wall_ms() });
        self.judge_rooms(connection);
    }

    pub(super) fn take_pass(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        join: JoinRoom,
        pass: RoomPass,
    ) {
        if self.is_token_banned(pass.token_id.as_ref()) {
            let reason = (ErrorCode::BadToken, TOKEN_BANNED);
            return self.refuse(connection, id, Some(&join.room), reason);
        }
        let standing = RoomStanding::Entering(pass.can);
        let action = RoomAction::of_join(&join);
        let decision = connection.judge(|identity| {
            let settings = self.settings.borrow();
            permit(&settings, (Caller::Connection(identity), standing), &join.room, action)
        });
        if let Err(Denial { code, message }) = decision {
            return self.refuse(connection, id, Some(&join.room), (code, &message));
        }
        let room = join.room.clone();
        let request = AfterJoin::Token { id, join, pass };
        let Some(AfterJoin::Token { id, join, pass }) = self.after_join(connection, &room, request)
        else {
            return;
        };
        let known = self.room(&join.room);
        let member = known.as_ref().and_then(|room| connection.membership_in(room.id));
        match (known, member) {
            (Some(room), Some((_, slot))) => {
                self.hold_pass(connection, room.id, pass);
                let Position { epoch, seq } = present_position(&room, slot);
                let room = join.room;
                connection.send(&ServerFrame::Joined {
                    id,
                    room,
                    epoch,
                    seq,
                    recovered: None,
                    counts: None,
                    marks: None,
                    state: false,
                });
            }
            _ => self.join(connection, id, join, Some(pass)),
        }
    }

    fn refuse_token(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        room: Option<&RoomName>,
        refusal: &TokenRefusal,
    ) {
        let (code, retry_after_ms) = match refusal.kind {
            // There is a token, but for the user nothing else is to be done: take a new one.
            RefusedToken::Bad | RefusedToken::Expired => (ErrorCode::BadToken, None),
            RefusedToken::Forbidden => (ErrorCode::Forbidden, None),
            RefusedToken::NotReady { retry_after_ms } => {
                (ErrorCode::NotReady, Some(retry_after_ms))
            }
        };
        self.metrics.traffic.errors[code].inc();
        let (room, message) = (room.cloned(), refusal.detail.as_str().into());
        connection.send(&ServerFrame::Error { id, room, code, message, retry_after_ms });
    }
}

/// The position of a member: the frames that follow continue from there.
fn present_position(room: &Room, slot: u32) -> Position {
    let state = room.state.borrow();
    match &state.members.at(slot).reader {
        MemberReader::Log(cursor) => state.log.position_of(*cursor),
        MemberReader::Page { page, frame } => page.position_before(*frame),
        MemberReader::Waiting(position) => *position,
    }
}
