//! Reads of a room's whole presence in steps outside of scripts, so that Redis serves others
//! between two of them.

use bytes::Bytes;
use hashbrown::HashMap;
use redis::{RedisResult, Value};
use roomcast_protocol::{ConnectionId, Data, RoomName, UserName};

use crate::api::PresenceStatus;
use crate::leases::Incarnation;
use crate::payload::presence_push::{decode_info, status_of};
use crate::placement::keys::Keyspace;
use crate::primary::link::LinkUp;
use crate::server_map::ServerMap;

/// Fields in one step.
const FIELDS_PER_STEP: usize = 500;

/// A connection, as the hash has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScannedSeat {
    pub(super) incarnation: Incarnation,
    pub(super) status: PresenceStatus,
    pub(super) user: Option<UserName>,
    /// Of a connection without a user.
    pub(super) info: Option<Data>,
}

/// A user, as the hash has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScannedUser {
    pub(super) connections: u64,
    /// When its grace ends, in ms of Redis's clock; 0 if none runs.
    pub(super) leaving: u64,
    pub(super) status: PresenceStatus,
    pub(super) info: Option<Data>,
}

/// What a scan found. What changes meanwhile may be in it or not.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) seats: HashMap<ConnectionId, ScannedSeat>,
    pub(super) users: HashMap<UserName, ScannedUser>,
}

impl Scan {
    /// The seats of one incarnation, and the users whose grace runs.
    pub(super) fn of(
        self,
        own: Incarnation,
    ) -> (Vec<(ConnectionId, Option<UserName>)>, Vec<UserName>) {
        let is_own = |(_, seat): &(_, ScannedSeat)| seat.incarnation == own;
        let seats = self.seats.into_iter().filter(is_own).map(|(id, seat)| (id, seat.user));
        let is_leaving = |(_, user): &(_, ScannedUser)| user.connections == 0;
        let leaving = self.users.into_iter().filter(is_leaving).map(|(user, _)| user);
        (seats.collect(), leaving.collect())
    }

    fn take(&mut self, field: &[u8], value: Vec<u8>) -> Option<()> {
        let value = Bytes::from(value);
        match field.split_at_checked(2)? {
            (b"c:", ids) => {
                let ids = std::str::from_utf8(ids).ok()?;
                let (incarnation, connection) = ids.split_at_checked(16)?;
                let incarnation = Incarnation::parse(incarnation)?;
                let connection = ConnectionId::parse(connection)?;
                let status = status_of(*value.first()?);
                let rest = value.slice(2..);
                let (user, info) = match value.get(1)? {
                    b'u' => (UserName::parse(std::str::from_utf8(&rest).ok()?).ok(), None),
                    _ => (None, decode_info(&rest)),
                };
                self.seats.insert(connection, ScannedSeat { incarnation, status, user, info });
            }
            (b"u:", user) => {
                let user = UserName::parse(std::str::from_utf8(user).ok()?).ok()?;
                let mut words = value.splitn(5, |&byte| byte == b' ');
                let mut number = || std::str::from_utf8(words.next()?).ok()?.parse::<u64>().ok();
                let (connections, _away, leaving) = (number()?, number()?, number()?);
                let status = status_of(*words.next()?.first()?);
                let info = decode_info(&value.slice_ref(words.next()?));
                self.users.insert(user, ScannedUser { connections, leaving, status, info });
            }
            _ => {}
        }
        Some(())
    }
}

/// Reads a room's presence.
pub(super) async fn scan(
    (shards, keys): (&ServerMap, &Keyspace),
    up: &LinkUp,
    room: &RoomName,
) -> RedisResult<Scan> {
    let key = keys.room(room).presence();
    let (mut scan, mut cursor) = (Scan::default(), "0".to_owned());
    loop {
        let mut step = redis::cmd("HSCAN");
        step.arg(&key).arg(&cursor).arg("COUNT").arg(FIELDS_PER_STEP);
        let answer: Value = shards.ask(up, room, &[step]).await?;
        let (next, fields): (String, Vec<Vec<u8>>) = redis::from_redis_value(answer)?;
        let mut fields = fields.into_iter();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            // What no node of this version wrote is left out.
            let _ = scan.take(&field, value);
        }
        if next == "0" {
            return Ok(scan);
        }
        cursor = next;
    }
}
