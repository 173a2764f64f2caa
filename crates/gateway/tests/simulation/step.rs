//! The steps of a schedule, and how a seed draws them. Every number is taken modulo what there is,
//! so that any part of a schedule is a schedule too.

use rand::Rng;
use rand::rngs::SmallRng;

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody who is no client publishes through a node: node, room, how many.
    Publish(u8, u8, u8),
    /// A client publishes: client, room, with a key (1) and without echo (2).
    Ask(u8, u8, u8),
    /// A node's next group is executed: node, room.
    Execute(u8, u8),
    /// Its answer arrives.
    Answer(u8, u8),
    /// Its answer is lost: the same group is sent again.
    LoseAnswer(u8, u8),
    /// Its authors are told that the outcome is unknown.
    GiveUp(u8, u8),
    /// A group given up arrives at its server after all.
    Late,
    /// A replica without the last few writes takes over; the old server lives on.
    FailOver(u8),
    /// The old servers stop.
    StopOld,
    /// An empty server takes over.
    Wipe,
    /// A room's oldest entries go: room, count.
    Trim(u8, u8),
    /// A node's link is lost, or had again.
    Unlink(u8),
    Link(u8),
    /// A node's subscribe connection is lost, or had again.
    Deafen(u8),
    Listen(u8),
    /// Subscriptions take effect.
    Subscribe(u8),
    /// So many pushes arrive: node, count.
    Receive(u8, u8),
    /// A queued push is lost (0) or comes twice (1): node, which, how.
    Garble(u8, u8, u8),
    /// The inbox overflows: node, room, how many fit.
    Overflow(u8, u8, u8),
    /// The servers answer a node's oldest questions.
    Reply(u8),
    /// An answer to the feed arrives (0) or not (1): node, which, how.
    Read(u8, u8, u8),
    /// A comparison of tails arrives (0) or not (1).
    Compare(u8, u8),
    /// A second of a node's feed passes: a probe, a sweep.
    Tick(u8),
    /// The hub takes what the feed told.
    Feed(u8),
    /// The hub takes so many commands: node, count.
    Command(u8, u8),
    /// The hub looks at its queues; at long past deadlines too (1).
    Upkeep(u8, u8),
    /// The hub drops what is so old: node, room, age.
    Expire(u8, u8, u8),
    /// The hub closes rooms that nobody is in: node.
    Close(u8),
    /// A page arrives (0) or not (1): node, which, how.
    Page(u8, u8, u8),
    /// A read of state arrives (0) or not (1): node, which, how.
    State(u8, u8, u8),
    /// A node removes the values that have an end.
    End(u8),
    /// A standing arrives (0) or not (1): node, which, how.
    Standing(u8, u8, u8),
    /// A worker takes so many events: node, worker, count.
    TakeIn(u8, u8, u8),
    /// A worker writes one turn: node, worker.
    Turn(u8, u8),
    /// A worker refuses joins that waited too long: node, worker.
    Refuse(u8, u8),
    /// A node takes a client's connection: client, worker.
    Accept(u8, u8),
    /// A node handles so many of a client's frames.
    Serve(u8, u8),
    /// So many bytes come to a client.
    Drain(u8, u16),
    /// A client looks at so many frames.
    Hear(u8, u8),
    /// A client's connection ends; the node knows at once (0) or later (1).
    Cut(u8, u8),
    /// A node notices the connections whose clients are gone.
    Reap,
    /// A client joins: client, room, from which position, how much history.
    Join(u8, u8, u8, u8),
    /// A client leaves: client, room.
    Leave(u8, u8),
    /// So many times 100 ms pass for the clients.
    Pass(u8),
    /// A client's node asks it to move, after so many times 100 ms.
    Hint(u8, u8),
    /// A node crashes and comes back.
    Crash(u8),
    /// The world comes to rest, as it does in the end.
    Rest,
    /// Everything that can moves a little, so many times.
    Flow(u8),
}

type Draw = fn(&mut SmallRng) -> Step;

fn byte(dice: &mut SmallRng) -> u8 {
    dice.random()
}

/// Any number of nodes, clients, rooms or workers that there is divides these.
fn node(dice: &mut SmallRng) -> u8 {
    dice.random_range(0..6)
}

fn client(dice: &mut SmallRng) -> u8 {
    dice.random_range(0..12)
}

fn room(dice: &mut SmallRng) -> u8 {
    dice.random_range(0..2)
}

fn worker(dice: &mut SmallRng) -> u8 {
    dice.random_range(0..2)
}

/// 0 mostly, else 1.
fn seldom(dice: &mut SmallRng) -> u8 {
    u8::from(dice.random_range(0..8) == 0)
}

fn few(dice: &mut SmallRng) -> u8 {
    dice.random_range(1..5)
}

/// How often each step is drawn, and with what.
const KINDS: [(u32, Draw); 48] = [
    (40, |d| Step::Publish(node(d), room(d), few(d))),
    (20, |d| Step::Ask(client(d), room(d), d.random_range(0..4))),
    (50, |d| Step::Execute(node(d), room(d))),
    (40, |d| Step::Answer(node(d), room(d))),
    (3, |d| Step::LoseAnswer(node(d), room(d))),
    (2, |d| Step::GiveUp(node(d), room(d))),
    (2, |_| Step::Late),
    (4, |d| Step::FailOver(d.random_range(0..6))),
    (4, |_| Step::StopOld),
    (1, |_| Step::Wipe),
    (5, |d| Step::Trim(room(d), d.random_range(1..8))),
    (3, |d| Step::Unlink(node(d))),
    (12, |d| Step::Link(node(d))),
    (3, |d| Step::Deafen(node(d))),
    (12, |d| Step::Listen(node(d))),
    (16, |d| Step::Subscribe(node(d))),
    (50, |d| Step::Receive(node(d), few(d))),
    (4, |d| Step::Garble(node(d), d.random_range(0..6), d.random_range(0..2))),
    (4, |d| Step::Overflow(node(d), room(d), d.random_range(0..3))),
    (50, |d| Step::Reply(node(d))),
    (40, |d| Step::Read(node(d), d.random_range(0..3), seldom(d))),
    (12, |d| Step::Compare(node(d), seldom(d))),
    (6, |d| Step::Tick(node(d))),
    (40, |d| Step::Feed(node(d))),
    (30, |d| Step::Command(node(d), few(d))),
    (12, |d| Step::Upkeep(node(d), seldom(d))),
    (3, |d| Step::Expire(node(d), room(d), d.random_range(0..40))),
    (2, |d| Step::Close(node(d))),
    (20, |d| Step::Page(node(d), d.random_range(0..3), seldom(d))),
    (20, |d| Step::State(node(d), d.random_range(0..3), seldom(d))),
    (6, |d| Step::End(node(d))),
    (10, |d| Step::Standing(node(d), d.random_range(0..3), seldom(d))),
    (40, |d| Step::TakeIn(node(d), worker(d), few(d))),
    (40, |d| Step::Turn(node(d), worker(d))),
    (1, |d| Step::Refuse(node(d), worker(d))),
    (24, |d| Step::Accept(client(d), worker(d))),
    (30, |d| Step::Serve(client(d), few(d))),
    (50, |d| Step::Drain(client(d), d.random_range(1..1500))),
    (40, |d| Step::Hear(client(d), few(d))),
    (8, |d| Step::Cut(client(d), d.random_range(0..2))),
    (4, |_| Step::Reap),
    (16, |d| Step::Join(client(d), room(d), byte(d), byte(d))),
    (4, |d| Step::Leave(client(d), room(d))),
    (12, |d| Step::Pass(d.random_range(1..40))),
    (2, |d| Step::Hint(client(d), d.random_range(0..30))),
    (1, |d| Step::Crash(node(d))),
    (6, |_| Step::Rest),
    (60, |d| Step::Flow(d.random_range(1..6))),
];

/// A schedule of so many steps. Each schedule has a taste of its own: some kinds of steps are
/// missing in it, others come often, so that rare things come together.
pub(super) fn schedule(dice: &mut SmallRng, count: usize) -> Vec<Step> {
    let mut taste = KINDS;
    for (weight, _) in &mut taste {
        *weight *= [0, 1, 2, 2, 2, 2, 6][dice.random_range(0..7)];
    }
    let total: u32 = taste.iter().map(|(weight, _)| weight).sum();
    let mut draw = || {
        let mut at = dice.random_range(0..total);
        for (weight, draw) in taste {
            if at < weight {
                return draw(dice);
            }
            at -= weight;
        }
        unreachable!("the weights add up")
    };
    let joins =
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(client, room)| Step::Join(client, room, 2, 1));
    let prelude = joins.into_iter().chain([Step::Flow(6)]);
    prelude.chain(std::iter::from_fn(|| Some(draw()))).take(count).collect()
}
