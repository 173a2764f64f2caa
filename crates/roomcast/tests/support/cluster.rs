//! Several nodes in this process that share one Redis of their own.

use roomcast_protocol::Encoding;
use roomcast_testkit::RedisServer;

use super::{TestClient, TestNode, eventually, get};

/// Nothing that these tests publish is ever out of reach, unless a test says so.
const DEEP: [&str; 2] =
    ["namespaces.default.history_size=20000", "namespaces.default.repair_window=20000"];

/// A Redis and its nodes.
pub struct Cluster {
    pub redis: RedisServer,
    pub nodes: Vec<TestNode>,
}

impl Cluster {
    /// Starts so many nodes with these settings besides the usual ones.
    pub async fn start(count: usize, settings: &[&str]) -> Self {
        let redis = RedisServer::start();
        let mut nodes = Vec::new();
        for number in 0..count {
            nodes.push(cluster_node(&redis.url(), number, settings).await);
        }
        Self { redis, nodes }
    }

    /// A client of one of the nodes.
    pub async fn client(&self, node: usize, encoding: Encoding) -> TestClient {
        TestClient::connect(self.nodes[node].address(), encoding, "").await
    }

    /// Waits until every node calls itself ready.
    pub async fn all_ready(&self) {
        for node in &self.nodes {
            eventually("ready", async || is_ready(node).await).await;
        }
    }

    /// Waits until no node calls itself ready.
    pub async fn none_ready(&self) {
        for node in &self.nodes {
            eventually("not ready", async || !is_ready(node).await).await;
        }
    }

    /// A family's values, summed over labels and nodes.
    pub async fn sum(&self, family: &str) -> f64 {
        let mut sum = 0.0;
        for node in &self.nodes {
            sum += node.scrape().await.sum(family);
        }
        sum
    }

    /// Ends the nodes, and proves that none of them panicked on the way.
    pub async fn stop(self) {
        assert_eq!(self.sum("roomcast_panics_total").await, 0.0);
        for node in self.nodes {
            node.stop().await;
        }
    }
}

/// The node `n<number>` on a Redis; nodes with an even number have one worker, the others two.
pub async fn cluster_node(redis_url: &str, number: usize, settings: &[&str]) -> TestNode {
    let bus = format!("bus.redis_url={redis_url}");
    let id = format!("node.id=n{number}");
    let workers = format!("node.workers={}", 1 + number % 2);
    TestNode::start(&[&[bus.as_str(), &id, &workers], &DEEP[..], settings].concat()).await
}

/// Whether a node calls itself ready.
pub async fn is_ready(node: &TestNode) -> bool {
    match get(node.address(), "/health/ready").await.status {
        200 => true,
        503 => false,
        other => panic!("/health/ready answers {other}"),
    }
}
