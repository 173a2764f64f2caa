//! Who these clients are, and where each connects.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Result;
use roomcast_protocol::{RoomName, UserName};

use super::attendance::Attendance;
use super::guest::{Guest, Temper};
use super::ledger::StateLedger;
use super::reader::{Habit, StateReader};
use super::setter::StateSetter;
use super::{People, PeopleCounts, Person};
use crate::random::Random;
use crate::torture::way::Way;

/// Rooms with presence.
const HERE_ROOMS: usize = 2;
/// Guests of each that stay, wherever they are.
const STEADY: usize = 2;
/// Users of each that come and go; every second one has two devices.
const RESTLESS_USERS: usize = 4;

/// Rooms with state.
const STATE_ROOMS: usize = 2;
/// Clients that set the values of each.
const SETTERS: u32 = 2;
/// Readers of each that are at no node of their own.
const READERS: [Habit; 5] =
    [Habit::Steady, Habit::Bursts, Habit::Bursts, Habit::Returns, Habit::Returns];

/// The settings of their namespaces.
pub(in crate::torture) const SETTINGS: [&str; 5] = [
    "namespaces.here.presence=events",
    "namespaces.here.presence_grace=5s",
    "namespaces.state.state=true",
    "namespaces.state.history_size=200",
    "namespaces.state.publish_rate=0",
];

/// Makes the connection of a client: to one of these nodes, by its number, of this user.
type Open<'a> = &'a dyn Fn(Rc<[SocketAddr]>, usize, &str) -> Way;

impl People {
    /// The people of a run: clients of the nodes straight on, or through the proxies before them.
    pub(in crate::torture) fn new(
        ways: (&Rc<[SocketAddr]>, &Rc<[SocketAddr]>),
        open: Open<'_>,
        seed: u64,
    ) -> Result<Self> {
        let mut all = guests(ways, open)?;
        state(ways, open, &mut all)?;
        Ok(Self {
            all,
            nodes: ways.0.len(),
            truth: Attendance::default(),
            ledgers: (0..STATE_ROOMS).map(|_| StateLedger::default()).collect(),
            random: Random::new(!seed),
            is_quiet: false,
            counts: PeopleCounts::default(),
        })
    }
}

fn guests(
    (straight, fronts): (&Rc<[SocketAddr]>, &Rc<[SocketAddr]>),
    open: Open<'_>,
) -> Result<Vec<Person>> {
    let mut all = Vec::new();
    for room in 0..HERE_ROOMS {
        let name = RoomName::parse(&format!("here:{room}"))?;
        let mut add = |user: String, addrs: Rc<[SocketAddr]>, temper| -> Result<()> {
            let number = all.len();
            let way = open(addrs, number, &user);
            let user = UserName::parse(&user)?;
            let guest = Guest::new((way, number), (room, name.clone()), user, temper);
            all.push(Person::Guest(guest));
            Ok(())
        };
        for (node, addr) in straight.iter().enumerate() {
            add(format!("resident-{room}-{node}"), Rc::new([*addr]), Temper::Resident)?;
        }
        for number in 0..STEADY {
            let addrs = if number == 0 { straight } else { fronts };
            add(format!("steady-{room}-{number}"), addrs.clone(), Temper::Steady)?;
        }
        for number in 0..RESTLESS_USERS {
            for device in 0..=number % 2 {
                let addrs = if device == 0 { straight } else { fronts };
                add(format!("guest-{room}-{number}"), addrs.clone(), Temper::Restless)?;
            }
        }
    }
    Ok(all)
}

fn state(
    (straight, fronts): (&Rc<[SocketAddr]>, &Rc<[SocketAddr]>),
    open: Open<'_>,
    all: &mut Vec<Person>,
) -> Result<()> {
    for room in 0..STATE_ROOMS {
        let name = RoomName::parse(&format!("state:{room}"))?;
        for number in 0..SETTERS {
            let addrs = if number == 0 { straight } else { fronts };
            let way = open(addrs.clone(), number as usize, &format!("setter-{room}-{number}"));
            let setter = StateSetter::new((way, number), (room, name.clone()));
            all.push(Person::Setter(setter));
        }
        let residents = straight.iter().enumerate();
        let residents = residents.map(|(node, addr)| (Habit::Resident(node), Rc::from([*addr])));
        let others = READERS.iter().enumerate().map(|(number, &habit)| {
            let addrs = if number % 2 == 0 { straight } else { fronts };
            (habit, addrs.clone())
        });
        for (number, (habit, addrs)) in residents.chain(others).enumerate() {
            let way = open(addrs, number, &format!("reader-{room}-{number}"));
            let reader = StateReader::new((way, number), (room, name.clone()), habit);
            all.push(Person::Reader(reader));
        }
    }
    Ok(())
}
