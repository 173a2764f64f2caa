//! The limit of a user's connections holds for all nodes together; at the limit a client takes its own
//! place, wherever that is; and what a node counts ends with it.

use crate::support::auth::{GUARDED, SECRET, token};
use crate::support::{
    Cluster, Process, RawClient, Response, TestNode, cluster_node, eventually, get, is_ready,
};
use roomcast_protocol::CloseCode;
use roomcast_testkit::{Proxy, RedisServer};
use std::net::SocketAddr;

/// The settings of nodes where a user may have so many connections.
fn limit(most: &str) -> [&str; 3] {
    [GUARDED[0], GUARDED[1], most]
}

/// The path of a handshake of a user's client.
fn path(user: &str, client: &str) -> String {
    let name = if client.is_empty() { String::new() } else { format!("&client={client}") };
    format!("/ws?token={}{name}", token(user, ""))
}

/// What a handshake would get.
async fn look(address: SocketAddr, path: &str) -> u16 {
    get(address, path).await.status
}

async fn connect(node: &TestNode, path: &str) -> RawClient {
    RawClient::try_upgrade(node.address(), path)
        .await
        .unwrap_or_else(|response| panic!("{response:?}"))
}

/// The refusal of a handshake, with an upgrade.
async fn refused(node: &TestNode, path: &str) -> Response {
    RawClient::try_upgrade(node.address(), path).await.err().expect("a refusal")
}

/// A user's connections as all nodes together say in Redis.
fn counted(redis: &RedisServer, user: &str) -> u64 {
    let keys: Vec<String> = redis.ask(&["KEYS", &format!("*}}:online:{user}")]).unwrap();
    let entries = keys.iter().flat_map(|key| {
        let entries: Vec<(String, String)> = redis.ask(&["HGETALL", key]).unwrap();
        entries
    });
    entries.map(|(_, entry)| entry.split(' ').nth(3).unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_user_has_so_many_connections_on_all_nodes_together() {
    let cluster = Cluster::start(2, &limit("limits.user_connections=2")).await;
    cluster.all_ready().await;
    let ann = path("ann", "");
    let first = connect(&cluster.nodes[0], &ann).await;
    let second = connect(&cluster.nodes[1], &ann).await;
    for node in &cluster.nodes {
        assert_eq!(look(node.address(), &ann).await, 429);
        let answer = refused(node, &ann).await;
        assert_eq!(answer.status, 429, "{}", answer.body);
        assert!(answer.body.contains("too_many_connections"), "{}", answer.body);
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        let scrape = node.scrape().await;
        assert_eq!(scrape.with("roomcast_limits_total", "limit=\"user_connections\""), 2.0);
        assert_eq!(look(node.address(), &path("bob", "")).await, 426, "another user");
    }
    eventually("a refused one leaves nothing", async || counted(&cluster.redis, "ann") == 2).await;
    drop(second);
    let free = async |at: usize| look(cluster.nodes[at].address(), &ann).await == 426;
    eventually("its place is free", async || free(0).await).await;
    let third = connect(&cluster.nodes[0], &ann).await;
    assert_eq!(look(cluster.nodes[1].address(), &ann).await, 429);
    drop((first, third));
    eventually("none is counted", async || counted(&cluster.redis, "ann") == 0).await;
    cluster.stop().await;
}

#[tokio::test]
async fn counts_do_not_drift() {
    let cluster = Cluster::start(2, &limit("limits.user_connections=9")).await;
    cluster.all_ready().await;
    let tab = path("ann", "tab");
    let mut open = Vec::new();
    for turn in 0..300 {
        // An end may not be counted yet: then the client takes its own place, or is to wait.
        let address = cluster.nodes[turn % 2].address();
        open.extend(RawClient::try_upgrade(address, &tab).await);
        if open.len() > 4 {
            open.drain(..4);
        }
    }
    let mut held = 0;
    for client in &mut open {
        held += u64::from(client.is_open().await);
    }
    eventually("the open ones are counted", async || counted(&cluster.redis, "ann") == held).await;
    drop(open);
    eventually("none is counted", async || counted(&cluster.redis, "ann") == 0).await;
    let (ann, mut all) = (path("ann", ""), Vec::new());
    for turn in 0..9 {
        all.push(connect(&cluster.nodes[turn % 2], &ann).await);
    }
    assert_eq!(look(cluster.nodes[0].address(), &ann).await, 429);
    cluster.stop().await;
}

#[tokio::test]
async fn at_the_limit_a_client_takes_its_own_place_wherever_it_is() {
    let cluster = Cluster::start(2, &limit("limits.user_connections=2")).await;
    cluster.all_ready().await;
    let tab = path("ann", "tab");
    let mut other = connect(&cluster.nodes[1], &path("ann", "phone")).await;
    let mut newest = connect(&cluster.nodes[1], &tab).await;
    for turn in [0, 0, 1, 1, 0] {
        let node = &cluster.nodes[turn];
        assert_eq!(refused(node, &path("ann", "tv")).await.status, 429, "no such client is there");
        let mut next = None;
        // Those of another node are replaced once a second.
        eventually("a place", async || match RawClient::try_upgrade(node.address(), &tab).await {
            Ok(client) => next.replace(client).is_none(),
            Err(response) => {
                assert_eq!((response.status, response.header("retry-after")), (429, Some("1")));
                false
            }
        })
        .await;
        assert_eq!(newest.closed().await, Some(CloseCode::Replaced.code()), "on node {turn}");
        newest = next.unwrap();
        eventually("two are counted", async || counted(&cluster.redis, "ann") == 2).await;
    }
    assert!(other.is_open().await && newest.is_open().await);
    eventually("five were replaced", async || {
        let mut closed = 0.0;
        for node in &cluster.nodes {
            let scrape = node.scrape().await;
            closed += scrape.with("roomcast_connections_closed_total", "reason=\"replaced\"");
        }
        closed == 5.0
    })
    .await;
    // Below the limit two connections of one client live side by side.
    drop(other);
    eventually("a place is free", async || counted(&cluster.redis, "ann") == 1).await;
    let mut twin = connect(&cluster.nodes[0], &tab).await;
    assert!(newest.is_open().await && twin.is_open().await);
    cluster.stop().await;
}

#[tokio::test]
async fn without_redis_each_node_counts_its_own() {
    let settings = limit("limits.user_connections=1");
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let there = cluster_node(&redis.url(), 0, &settings).await;
    let away = cluster_node(&proxy.redis_url(), 1, &settings).await;
    for node in [&there, &away] {
        eventually("ready", async || is_ready(node).await).await;
    }
    let (ann, tab) = (path("ann", ""), path("ann", "tab"));
    let first = connect(&there, &ann).await;
    assert_eq!(refused(&away, &tab).await.status, 429);
    proxy.refuse();
    proxy.cut();
    let mut second = connect(&away, &tab).await;
    assert_eq!(refused(&away, &ann).await.status, 429, "the node's own count");
    let third = connect(&away, &tab).await;
    assert_eq!(second.closed().await, Some(CloseCode::Replaced.code()));
    proxy.pass();
    eventually("the bus has both", async || counted(&redis, "ann") == 2).await;
    drop((first, third));
    eventually("none is counted", async || counted(&redis, "ann") == 0).await;
    for node in [there, away] {
        node.stop().await;
    }
}

#[tokio::test]
async fn what_a_killed_node_counted_ends_with_it() {
    let redis = RedisServer::start();
    let url = format!("--redis-url={}", redis.url());
    let secret = format!("--set=auth.hs_secret={SECRET}");
    let rest = ["--set=auth.query_token=true", "--set=limits.user_connections=1"];
    let arguments = [&url, secret.as_str(), rest[0], rest[1]];
    let [victim, survivor] = [(); 2].map(|()| Process::serve(&arguments));
    let (victim_at, survivor_at) = (victim.address().await, survivor.address().await);
    for node in [&victim, &survivor] {
        node.ready(200).await;
    }
    let ann = path("ann", "");
    let _held =
        RawClient::try_upgrade(victim_at, &ann).await.unwrap_or_else(|answer| panic!("{answer:?}"));
    assert_eq!(look(survivor_at, &ann).await, 429);
    victim.signal("-KILL");
    eventually("it counts no longer", async || look(survivor_at, &ann).await == 426).await;
    let client = RawClient::try_upgrade(survivor_at, &ann).await;
    assert!(client.is_ok());
    assert_eq!(counted(&redis, "ann"), 1, "its entry was removed");
}
