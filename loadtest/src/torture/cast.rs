//! Who takes part in a run: how many of which kind of client, in which rooms, by which way.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use roomcast_protocol::{RoomName, UserName};

use super::TortureArgs;
use super::author::Author;
use super::backend::Backend;
use super::checker::{Checker, MemberId};
use super::client::{Line, Seat};
use super::member::TortureMember;
use super::past::Past;
use super::people::People;
use super::publisher::Publisher;
use super::way::Way;
use crate::dialect::{WireEncoding, room_name};
use crate::door::Door;

/// One client of so many goes through the proxies.
const BEHIND_PROXY: usize = 3;
/// One client of so many begins anew after a loss.
const FORGETS: usize = 8;
/// One membership of a room of so many is a Rust client's, and one publisher.
const RUST: usize = 4;

/// Users for whom a backend publishes, and devices of each.
pub(super) const USERS: usize = 3;
const DEVICES: usize = 3;

/// Who takes part, and where each connects.
pub(super) struct Cast<'a> {
    pub(super) args: &'a TortureArgs,
    pub(super) door: Arc<Door>,
    pub(super) straight: Rc<[SocketAddr]>,
    pub(super) fronts: Rc<[SocketAddr]>,
}

/// Thin members, the memberships of each room, and the seats of Rust clients.
type Members = (Vec<TortureMember>, Vec<Vec<MemberId>>, Vec<Seat>);

impl Cast<'_> {
    /// The members of all rooms. Every second client is in two rooms.
    pub(super) fn members(&self, checker: &mut Checker) -> Result<Members> {
        let (mut members, mut clients) = (Vec::new(), Vec::new());
        let mut rooms = vec![Vec::new(); self.args.rooms];
        for place in 0..self.args.members {
            let is_rust = place % RUST == RUST - 1;
            let span = if place % 2 == 1 { 2 } else { 1 };
            for first in (0..self.args.rooms).step_by(span) {
                let number = members.len() + clients.len();
                let mut seats = Vec::new();
                for room in first..(first + span).min(self.args.rooms) {
                    let kind = if is_rust { "Rust client" } else { "member" };
                    let id = checker.enrol(room, format!("{kind} {number}"));
                    rooms[room].push(id);
                    seats.push((id, room, room_name(room)?));
                }
                if is_rust {
                    let line = self.line(number, &format!("m{number}"));
                    clients.push(Seat { line, rooms: seats });
                } else {
                    let way = self.way(number, &format!("m{number}"));
                    let seats = seats.into_iter().map(|(id, _, name)| (id, name)).collect();
                    members.push(TortureMember::new(way, seats, number % FORGETS == FORGETS - 1));
                }
            }
        }
        for user in 0..USERS {
            for device in 0..DEVICES {
                let number = user + device;
                let id =
                    checker.enrol(self.args.rooms + user, format!("device {device} of u{user}"));
                let way = self.way(number, &format!("u{user}"));
                members.push(TortureMember::new(way, vec![(id, RoomName::parse("@me")?)], false));
            }
        }
        Ok((members, rooms, clients))
    }

    /// The backend that publishes for users, with its API key.
    pub(super) fn backend(&self, key: String) -> Backend {
        let users = (0..USERS).map(|user| (format!("u{user}"), self.args.rooms + user)).collect();
        let (addrs, door) = (self.straight.to_vec(), Arc::clone(&self.door));
        Backend { addrs, door, key, users }
    }

    /// The thin publishers of all rooms, and those that use the Rust client.
    pub(super) fn publishers(&self) -> Result<(Vec<Publisher>, Vec<Author>)> {
        let all = self.args.rooms * self.args.publishers;
        let (mut thin, mut authors) = (Vec::new(), Vec::new());
        for number in 0..all {
            let (room, place) = (number % self.args.rooms, number / self.args.rooms);
            let (name, payload) = (room_name(room)?, self.args.payload);
            let (user, turn) = (format!("p{number}"), place + number);
            let number = number as u32;
            if place % RUST == RUST - 1 {
                let pace = Duration::from_secs_f64(all as f64 / self.args.rate);
                let (line, user) = (self.line(turn, &user), UserName::parse(&user)?);
                authors.push(Author { line, user, name, room, number, payload, pace });
            } else {
                thin.push(Publisher::new(self.way(turn, &user), (room, name), number, payload));
            }
        }
        Ok((thin, authors))
    }

    /// The clients of rooms with presence and with state.
    pub(super) fn people(&self, seed: u64) -> Result<People> {
        let way = |addrs: Rc<[SocketAddr]>, number: usize, user: &str| {
            Way::new((addrs, Arc::clone(&self.door)), encoding(number), user.to_owned())
        };
        People::new((&self.straight, &self.fronts), &way, seed)
    }

    /// A reader of each room's history, and of each user's.
    pub(super) fn readers(&self) -> Result<Vec<Past>> {
        let reader = |room: usize| {
            let to = (self.straight.clone(), Arc::clone(&self.door));
            let (user, name) = match room.checked_sub(self.args.rooms) {
                Some(user) => (format!("u{user}"), RoomName::parse("@me")?),
                None => (format!("h{room}"), room_name(room)?),
            };
            Ok(Past::new(Way::new(to, encoding(room), user), name))
        };
        (0..self.args.rooms + USERS).map(reader).collect()
    }

    fn addrs(&self, number: usize) -> &Rc<[SocketAddr]> {
        if number.is_multiple_of(BEHIND_PROXY) { &self.fronts } else { &self.straight }
    }

    fn way(&self, number: usize, user: &str) -> Way {
        let to = (self.addrs(number).clone(), Arc::clone(&self.door));
        Way::new(to, encoding(number), user.to_owned())
    }

    fn line(&self, number: usize, user: &str) -> Line {
        let addrs = self.addrs(number);
        let turned = (0..addrs.len()).map(|at| addrs[(at + number) % addrs.len()]);
        let (door, user) = (Arc::clone(&self.door), user.to_owned());
        Line { addrs: turned.collect(), door, user, encoding: encoding(number).wire() }
    }
}

fn encoding(number: usize) -> WireEncoding {
    if number.is_multiple_of(2) { WireEncoding::Json } else { WireEncoding::Msgpack }
}
