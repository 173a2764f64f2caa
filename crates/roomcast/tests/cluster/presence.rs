//! P7 with whole nodes: of two thousand users over a hundred rooms, those of a killed node leave each
//! of their rooms once, on every node that is left; those that came back in time do not leave; while
//! Redis stands still nobody leaves; and every list is the truth again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Process, TestClient, eventually, plain, room};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roomcast_protocol::{ClientFrame, Encoding, JoinRoom, ServerFrame};
use roomcast_testkit::RedisServer;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

const NODES: usize = 3;
const ROOMS: usize = 100;
const USERS: usize = 2_000;
/// Connections that are made at a time.
const AT_ONCE: usize = 50;
/// Steps of the churn.
const STEPS: usize = 600;
/// A dead node's users leave within this (P7).
const DEAD_WITHIN: Duration = Duration::from_secs(10);

fn name(number: usize) -> String {
    format!("room-{number:03}")
}

/// What one user's connection is asked.
enum Wish {
    Join(usize),
    Leave(usize),
    /// A Close, then the end.
    Close,
}

/// A user with one connection, which is read as long as it lives.
struct Person {
    wishes: mpsc::UnboundedSender<Wish>,
    node: usize,
    rooms: BTreeSet<usize>,
}

impl Person {
    async fn connect(
        address: SocketAddr,
        node: usize,
        user: usize,
        rooms: BTreeSet<usize>,
    ) -> Self {
        let encoding = Encoding::ALL[user % 2];
        let query = format!("user=user-{user:04}");
        let mut client = TestClient::connect(address, encoding, &query).await;
        let joins = rooms.iter().map(|&room| plain(&name(room))).collect();
        client.send(&ClientFrame::Join { id: Some(1), rooms: joins }).await;
        for _ in &rooms {
            client.answer(1).await;
        }
        let (wishes, asked) = mpsc::unbounded_channel();
        tokio::spawn(live(client, asked));
        Self { wishes, node, rooms }
    }

    fn ask(&self, wish: Wish) {
        // A connection of a killed node has ended.
        let _ = self.wishes.send(wish);
    }
}

async fn live(client: TestClient, mut asked: mpsc::UnboundedReceiver<Wish>) {
    let encoding = client.encoding;
    let (mut sender, mut receiver) = client.socket.split();
    loop {
        let frame = tokio::select! {
            wish = asked.recv() => match wish {
                Some(Wish::Join(number)) => {
                    ClientFrame::Join { id: None, rooms: vec![plain(&name(number))] }
                }
                Some(Wish::Leave(number)) => {
                    ClientFrame::Leave { id: None, room: room(&name(number)) }
                }
                Some(Wish::Close) => {
                    let _ = sender.close().await;
                    return;
                }
                None => return,
            },
            came = receiver.next() => match came {
                Some(Ok(_)) => continue,
                _ => return,
            },
        };
        let mut bytes = Vec::new();
        frame.encode(encoding, &mut bytes);
        let message = match encoding {
            Encoding::Json => Message::text(String::from_utf8(bytes).unwrap()),
            Encoding::MsgPack => Message::binary(bytes),
        };
        if sender.send(message).await.is_err() {
            return;
        }
    }
}

/// What one listener heard: (when, joined or left, room, user).
type Heard = Arc<Mutex<Vec<(Instant, bool, String, String)>>>;

/// A member of all rooms of one node that follows who comes and goes.
async fn listen(address: SocketAddr, number: usize) -> Heard {
    let query = format!("user=listener-{number}");
    let mut client = TestClient::connect(address, Encoding::MsgPack, &query).await;
    let join = |number| JoinRoom { presence: true, ..plain(&name(number)) };
    client.send(&ClientFrame::Join { id: Some(1), rooms: (0..ROOMS).map(join).collect() }).await;
    for _ in 0..ROOMS {
        client.answer(1).await;
    }
    let heard = Heard::default();
    let log = heard.clone();
    tokio::spawn(async move {
        while let Some(Ok(message)) = client.socket.next().await {
            let Message::Binary(bytes) = message else { continue };
            let (joined, event) = match ServerFrame::decode(Encoding::MsgPack, &bytes).unwrap() {
                ServerFrame::UserJoined(event) => (true, event),
                ServerFrame::UserLeft(event) => (false, event),
                _ => continue,
            };
            let entry = (Instant::now(), joined, event.room.to_string(), event.user.to_string());
            log.lock().unwrap().push(entry);
        }
    });
    heard
}

fn leaves_since(heard: &Heard, since: Instant) -> Vec<(Instant, String, String)> {
    let heard = heard.lock().unwrap();
    let left = heard.iter().filter(|(at, joined, ..)| !joined && *at >= since);
    left.map(|(at, _, room, user)| (*at, room.clone(), user.clone())).collect()
}

/// Waits until the list of every room on every node is the truth: connections by user.
async fn lists_are_true(addresses: &[SocketAddr], people: &[Person], listeners: &[usize]) {
    let mut truth: Vec<BTreeMap<String, usize>> = vec![BTreeMap::new(); ROOMS];
    for (user, person) in people.iter().enumerate() {
        for &room in &person.rooms {
            *truth[room].entry(format!("user-{user:04}")).or_default() += 1;
        }
    }
    for room in &mut truth {
        for listener in listeners {
            *room.entry(format!("listener-{listener}")).or_default() += 1;
        }
    }
    join_all(addresses.iter().map(async |&address| {
        let mut reader = TestClient::connect(address, Encoding::Json, "").await;
        let mut wrong: Vec<usize> = (0..ROOMS).collect();
        eventually("the lists are the truth", async || {
            sleep(Duration::from_millis(300)).await;
            let mut still = Vec::new();
            for &number in &wrong {
                if list_of(&mut reader, number).await != truth[number] {
                    still.push(number);
                }
            }
            wrong = still;
            wrong.is_empty()
        })
        .await;
    }))
    .await;
}

async fn list_of(reader: &mut TestClient, number: usize) -> BTreeMap<String, usize> {
    let (mut list, mut page) = (BTreeMap::new(), None);
    loop {
        let id = reader.next_id();
        let frame = ClientFrame::Members { id: Some(id), room: room(&name(number)), page };
        let ServerFrame::Members { members, counts, more, .. } = reader.ask(&frame).await else {
            return BTreeMap::new();
        };
        for member in members {
            // One whose grace runs is there without a connection: the list is not at rest.
            let count = usize::from(member.connection.is_some());
            *list.entry(member.user.unwrap().to_string()).or_default() += count;
        }
        page = more;
        if page.is_none() {
            let is_whole = list.values().sum::<usize>() as u64 == counts.count
                && list.len() as u64 == counts.users;
            return if is_whole { list } else { BTreeMap::new() };
        }
    }
}

async fn connect_all(
    addresses: &[SocketAddr],
    wanted: Vec<(usize, usize, BTreeSet<usize>)>,
) -> Vec<Person> {
    let mut people = Vec::with_capacity(wanted.len());
    for some in wanted.chunks(AT_ONCE) {
        let made = some.iter().map(|(user, node, rooms)| {
            Person::connect(addresses[*node], *node, *user, rooms.clone())
        });
        people.extend(join_all(made).await);
    }
    people
}

#[tokio::test]
async fn presence_is_the_truth() {
    let redis = RedisServer::start();
    let nodes: Vec<Process> = (0..NODES)
        .map(|_| {
            Process::serve(&[
                "--redis-url",
                &redis.url(),
                "--set=namespaces.default.presence=events",
                "--set=limits.exempt_networks=127.0.0.0/8",
            ])
        })
        .collect();
    let mut addresses = Vec::new();
    for node in &nodes {
        node.ready(200).await;
        addresses.push(node.address().await);
    }
    let mut random = StdRng::seed_from_u64(7);
    let listeners = join_all((0..NODES).map(|node| listen(addresses[node], node))).await;

    let wanted = (0..USERS).map(|user| {
        let rooms = [user % ROOMS, (user * 7 + 3) % ROOMS].into_iter().collect();
        (user, user % NODES, rooms)
    });
    let mut people = connect_all(&addresses, wanted.collect()).await;
    lists_are_true(&addresses, &people, &[0, 1, 2]).await;

    for _ in 0..STEPS {
        let user = random.random_range(0..USERS);
        match random.random_range(0..3) {
            0 => {
                let number = random.random_range(0..ROOMS);
                let person = &mut people[user];
                if person.rooms.remove(&number) {
                    person.ask(Wish::Leave(number));
                } else {
                    person.rooms.insert(number);
                    person.ask(Wish::Join(number));
                }
            }
            1 => {
                let person = &mut people[user];
                if let Some(number) = person.rooms.pop_first() {
                    person.ask(Wish::Leave(number));
                }
            }
            _ => {
                people[user].ask(Wish::Close);
                let node = random.random_range(0..NODES);
                let rooms = people[user].rooms.clone();
                if !rooms.is_empty() {
                    people[user] = Person::connect(addresses[node], node, user, rooms).await;
                }
            }
        }
    }
    lists_are_true(&addresses, &people, &[0, 1, 2]).await;

    // A node dies; some of its users are back at once, at another.
    let killed = Instant::now();
    nodes[0].signal("-KILL");
    let lost: Vec<usize> = (0..USERS).filter(|&user| people[user].node == 0).collect();
    let (back, gone): (Vec<usize>, Vec<usize>) = lost.iter().partition(|&&user| user % 10 == 0);
    let wanted = back.iter().map(|&user| (user, 1 + user / 10 % 2, people[user].rooms.clone()));
    let returned = connect_all(&addresses, wanted.collect()).await;
    let were_back = killed.elapsed();
    assert!(were_back < Duration::from_secs(3), "too late to be in time: {were_back:?}");
    for (&user, person) in back.iter().zip(returned) {
        people[user] = person;
    }
    let mut expected = BTreeSet::new();
    for &user in &gone {
        for number in std::mem::take(&mut people[user].rooms) {
            expected.insert((name(number), format!("user-{user:04}")));
        }
    }
    for number in 0..ROOMS {
        expected.insert((name(number), "listener-0".to_owned()));
    }
    for heard in &listeners[1..] {
        eventually("all have left", async || {
            sleep(Duration::from_millis(100)).await;
            leaves_since(heard, killed).len() >= expected.len()
        })
        .await;
    }
    lists_are_true(&addresses[1..], &people, &[1, 2]).await;
    for heard in &listeners[1..] {
        let leaves = leaves_since(heard, killed);
        let last = leaves.iter().map(|(at, ..)| *at).max().unwrap();
        println!(">> the last had left after {:?}", last - killed);
        assert!(last - killed < DEAD_WITHIN, "{:?}", last - killed);
        let once: Vec<_> =
            leaves.iter().map(|(_, room, user)| (room.clone(), user.clone())).collect();
        assert_eq!(once.iter().cloned().collect::<BTreeSet<_>>(), expected);
        assert_eq!(once.len(), expected.len(), "each once");
    }

    // Redis stands still for half a minute.
    let stopped = Instant::now();
    redis.pause();
    sleep(Duration::from_secs(30)).await;
    redis.resume();
    for node in &nodes[1..] {
        node.ready(200).await;
    }
    sleep(DEAD_WITHIN).await;
    lists_are_true(&addresses[1..], &people, &[1, 2]).await;
    for heard in &listeners[1..] {
        assert_eq!(leaves_since(heard, stopped), [], "nobody left");
    }
}
