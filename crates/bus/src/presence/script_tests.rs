//! `presence.lua` on a real Redis beside its model: random changes of several incarnations, and
//! what late calls must not do.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redis::Value;
use roomcast_protocol::{ConnectionId, Data, UserName};
use roomcast_testkit::RedisServer;

use super::call::{CallExtent, CallItem, CallKind, CallOutcome, InfoUse, read_answer, words};
use crate::api::{
    Departure, PresenceMember, PresenceMode, PresenceNews, PresencePolicy, PresenceStatus,
};
use crate::feed::presence_order::PresenceOrder;
use crate::leases::Incarnation;
use crate::payload::{RoomPush, decode_push};
use crate::roster::{Roster, RosterItem};
use crate::scripts::{self, ScriptCall};

const POLICY: PresencePolicy =
    PresencePolicy { mode: PresenceMode::Events, grace: Duration::ZERO, events_max: 12 };
const CHANNEL: &str = "pushed";

/// A Redis with one room, and what it pushed.
struct Bench {
    server: RedisServer,
    connection: redis::aio::MultiplexedConnection,
    pushes: tokio::sync::mpsc::UnboundedReceiver<Bytes>,
    order: PresenceOrder,
    _subscriber: redis::aio::MultiplexedConnection,
}

impl Bench {
    async fn start() -> Self {
        let server = RedisServer::start();
        let url = server.url() + "?protocol=resp3";
        let client = redis::Client::open(url).unwrap();
        let (sender, pushes) = tokio::sync::mpsc::unbounded_channel();
        let taken = move |info: redis::PushInfo| {
            if let (redis::PushKind::Message, Some(Value::BulkString(bytes))) =
                (info.kind, info.data.into_iter().nth(1))
            {
                let _ = sender.send(Bytes::from(bytes));
            }
            Ok::<(), ()>(())
        };
        let config = redis::AsyncConnectionConfig::new().set_push_sender(taken);
        let mut subscriber =
            client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        subscriber.subscribe(CHANNEL).await.unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        scripts::load(&mut connection).await.unwrap();
        let order = PresenceOrder::default();
        Self { server, connection, pushes, order, _subscriber: subscriber }
    }

    async fn call(
        &mut self,
        kind: CallKind,
        policy: PresencePolicy,
        items: &[CallItem],
    ) -> CallOutcome {
        let mut command = ScriptCall::Presence.on_keys(&["room"]);
        command.arg(0).arg("version").arg("life:0").arg("000000000000000a");
        command.arg(words(kind, Some(policy), ("PUBLISH", CHANNEL.into()), items));
        read_answer(command.query_async(&mut self.connection).await.unwrap())
    }

    /// The news of the last call's push, if it pushed.
    async fn news(&mut self) -> Option<PresenceNews> {
        // A push of this connection's own follows every push of the call before it.
        redis::cmd("PUBLISH")
            .arg(CHANNEL)
            .arg("end")
            .exec_async(&mut self.connection)
            .await
            .unwrap();
        let mut news = None;
        loop {
            let push = self.pushes.recv().await.unwrap();
            if push == "end" {
                return news;
            }
            let RoomPush::Presence(push) = decode_push(&push) else { panic!("{push:?}") };
            assert!(news.is_none(), "one push for each call");
            news = self.order.pushed(push);
        }
    }

    fn fields(&self) -> HashMap<String, String> {
        self.server.ask(&["HGETALL", "room"]).unwrap()
    }
}

fn live(own: u64, number: u64) -> CallKind {
    CallKind::Live {
        own: Incarnation(own),
        number,
        seen: 0,
        extent: CallExtent::Changes,
        replaces: None,
    }
}

fn here(id: u64, user: &str) -> CallItem {
    CallItem::Here(member(id, user), InfoUse::Keep)
}

fn member(id: u64, user: &str) -> PresenceMember {
    let user = (!user.is_empty()).then(|| UserName::parse(user).unwrap());
    PresenceMember { connection: ConnectionId(id), user, info: None, status: Default::default() }
}

fn gone(id: u64, user: &str, how: Departure) -> CallItem {
    CallItem::Gone(ConnectionId(id), UserName::parse(user).ok(), how)
}

/// A random item, and the same for the model. A connection always has the same user and node.
fn item(dice: &mut SmallRng) -> (u64, CallItem, RosterItem) {
    let id = dice.random_range(0..24_u64);
    let user = ["ann", "bob", "cem", "dee", "", "eve"][id as usize % 6];
    let own = 1 + id % 3;
    let mut member = member(id, user);
    if dice.random_bool(0.4) {
        let text = format!("{{\"n\":{}}}", dice.random_range(0..3));
        member.info = Some(Data::Json(text.into()));
    }
    if dice.random_bool(0.3) {
        member.status = PresenceStatus::Away;
    }
    let (call, model) = match dice.random_range(0..5) {
        0 | 1 => (CallItem::Here(member.clone(), InfoUse::Show), RosterItem::Show(member)),
        2 => (CallItem::Here(member.clone(), InfoUse::Keep), RosterItem::Keep(member)),
        3 => {
            let how = Departure::Left;
            (
                gone(id, user, how),
                RosterItem::Gone(ConnectionId(id), UserName::parse(user).ok(), how),
            )
        }
        _ => {
            let how = Departure::Ended;
            (
                gone(id, user, how),
                RosterItem::Gone(ConnectionId(id), UserName::parse(user).ok(), how),
            )
        }
    };
    (own, call, model)
}

/// Times differ between Redis and the model.
fn timeless(news: Option<PresenceNews>) -> Option<PresenceNews> {
    use crate::api::PresenceChange::{Joined, Left};
    let mut news = news?;
    if let PresenceNews::Steps(steps) = &mut news {
        for step in steps {
            if let Some(Joined { time, .. } | Left { time, .. }) = &mut step.change {
                *time = 0;
            }
        }
    }
    Some(news)
}

#[tokio::test]
async fn the_script_does_what_the_model_does() {
    for seed in 0..8 {
        let mut bench = Bench::start().await;
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut model = Roster::new(10);
        // Without a grace no clock has a part in the outcome; with one it never ends here.
        let grace = Duration::from_secs(if seed % 2 == 0 { 0 } else { 3600 });
        let policy = PresencePolicy { grace, ..POLICY };
        for number in 1..250 {
            let size = dice.random_range(1..6);
            let (own, first, first_model) = item(&mut dice);
            let (mut calls, mut models) = (vec![first], vec![first_model]);
            while calls.len() < size {
                let (other, call, model) = item(&mut dice);
                if other == own {
                    calls.push(call);
                    models.push(model);
                }
            }
            let outcome = bench.call(live(own, number), policy, &calls).await;
            let expected = model.change(models, policy, 0);
            let CallOutcome::Done(answer) = outcome else { panic!("{outcome:?}") };
            assert_eq!(answer.tally, expected.tally, "seed {seed}, call {number}: {calls:?}");
            assert_eq!(answer.counts, model.counts(), "seed {seed}, call {number}: {calls:?}");
            assert_eq!(timeless(bench.news().await), timeless(expected.news), "seed {seed}");
            let mut graces: Vec<_> = answer.graces.into_iter().map(|it| it.user).collect();
            graces.sort_unstable();
            let users: Vec<_> = expected.graces.into_iter().map(|(user, _)| user).collect();
            assert_eq!(graces, users, "seed {seed}");
        }
        let fields = bench.fields();
        let seats = fields.keys().filter(|field| field.starts_with("c:")).count() as u64;
        let users = fields.keys().filter(|field| field.starts_with("u:")).count() as u64;
        assert_eq!((seats, users), (model.counts().count, model.counts().users));
        let listed = fields["i"]
            .split_terminator(';')
            .map(|node| node.split(' ').nth(2).unwrap().parse::<u64>().unwrap());
        assert_eq!(listed.sum::<u64>(), seats, "the members of each incarnation");
    }
}

#[tokio::test]
async fn late_calls_and_dead_incarnations_change_nothing() {
    let mut bench = Bench::start().await;
    let enter = [here(1, "ann")];
    assert!(matches!(bench.call(live(1, 5), POLICY, &enter).await, CallOutcome::Done(_)));
    let leave = [gone(1, "ann", Departure::Left)];
    assert!(matches!(bench.call(live(1, 6), POLICY, &leave).await, CallOutcome::Done(_)));
    let before = bench.fields();
    for number in [4, 5, 6] {
        assert_eq!(bench.call(live(1, number), POLICY, &enter).await, CallOutcome::Lost);
    }
    assert_eq!(bench.fields(), before, "the room that is empty still knows the number");
    let dead = CallKind::Dead { dead: Incarnation(2), last_advance: 0 };
    assert!(matches!(bench.call(dead, POLICY, &[]).await, CallOutcome::Done(_)));
    assert_eq!(bench.call(live(2, 9), POLICY, &enter).await, CallOutcome::Dead);
    let left: i64 = bench.server.ask(&["PTTL", "room"]).unwrap();
    assert!((600_001..=3_600_000).contains(&left), "the mark stays for an hour: {left}");
}

#[tokio::test]
async fn another_incarnation_takes_members_over_in_silence() {
    let mut bench = Bench::start().await;
    let items: Vec<_> = (0..8).map(|id| here(id, ["ann", "bob", ""][id as usize % 3])).collect();
    let CallOutcome::Done(before) = bench.call(live(1, 1), POLICY, &items).await else { panic!() };
    assert!(bench.news().await.is_some());
    let replaces = Some(Incarnation(1));
    let as_new = |number| CallKind::Live {
        own: Incarnation(2),
        number,
        seen: 0,
        extent: CallExtent::Changes,
        replaces,
    };
    let CallOutcome::Done(after) = bench.call(as_new(2), POLICY, &items[..4]).await else {
        panic!()
    };
    assert_eq!((after.counts, bench.news().await), (before.counts, None));
    // The other half is reaped meanwhile, or not.
    let CallOutcome::Done(after) = bench.call(as_new(3), POLICY, &items[4..]).await else {
        panic!()
    };
    assert_eq!((after.counts, bench.news().await), (before.counts, None));
    let dead = CallKind::Dead { dead: Incarnation(1), last_advance: 0 };
    let gone: Vec<_> = (0..8).map(|id| gone(id, "ann", Departure::Ended)).collect();
    let CallOutcome::Done(after) = bench.call(dead, POLICY, &gone).await else { panic!() };
    assert_eq!((after.counts, bench.news().await), (before.counts, None));
}

#[tokio::test]
async fn a_grace_counts_from_the_last_advance_and_ends_once() {
    let mut bench = Bench::start().await;
    let policy = PresencePolicy { grace: Duration::from_secs(3600), ..POLICY };
    let items = [here(1, "ann"), here(2, "bob")];
    assert!(matches!(bench.call(live(1, 1), policy, &items).await, CallOutcome::Done(_)));
    let now = bench.server.ask::<Vec<u64>>(&["TIME"]).unwrap()[0] * 1000;
    let ended = |id, user| [gone(id, user, Departure::Ended)];
    let dead = |last_advance| CallKind::Dead { dead: Incarnation(1), last_advance };
    // Ann's grace still runs, bob's is over already.
    let CallOutcome::Done(first) = bench.call(dead(now), policy, &ended(1, "ann")).await else {
        panic!()
    };
    assert_eq!((first.counts.users, first.graces.len()), (2, 1));
    let old = dead(now - 3_700_000);
    let CallOutcome::Done(second) = bench.call(old, policy, &ended(2, "bob")).await else {
        panic!()
    };
    assert_eq!((second.counts.users, second.graces.len(), second.tally.left), (1, 0, 1));
    let due = [CallItem::Due(UserName::parse("ann").unwrap())];
    let CallOutcome::Done(third) = bench.call(CallKind::Due, policy, &due).await else { panic!() };
    assert_eq!((third.counts.users, third.graces.len()), (1, 1), "not yet");
    bench.server.command(&["HSET", "room", "u:ann", "0 0 1 a "]);
    let CallOutcome::Done(fourth) = bench.call(CallKind::Due, policy, &due).await else { panic!() };
    assert_eq!((fourth.counts.users, fourth.tally.left), (0, 1));
    let CallOutcome::Done(fifth) = bench.call(CallKind::Due, policy, &due).await else { panic!() };
    assert_eq!((fifth.counts.users, fifth.tally.left), (0, 0), "once");
}
