//! A whole node in this process, on a free port.

use std::net::SocketAddr;

use roomcast_gateway::config::Config;
use roomcast_gateway::{InjectedFault, Node};
use roomcast_protocol::Encoding;

use super::{Scrape, TestClient, eventually, get, soon};

/// Two workers, so that rooms span threads, and no limit on publishing.
const BASE: [&str; 3] =
    ["http.listen=127.0.0.1:0", "node.workers=2", "namespaces.default.publish_rate=0"];

/// A node that runs.
pub struct TestNode {
    pub node: Node,
}

impl TestNode {
    /// Starts a node with these settings besides the usual ones.
    pub async fn start(settings: &[&str]) -> Self {
        Self::opened(soon("the node's start", Node::start(Self::config(settings))).await.unwrap())
            .await
    }

    /// The same, with a fault in it.
    pub async fn start_with(settings: &[&str], fault: InjectedFault) -> Self {
        let started = Node::start_with(Self::config(settings), Some(fault));
        Self::opened(soon("the node's start", started).await.unwrap()).await
    }

    /// A node whose Redis is there.
    async fn opened(mut node: Node) -> Self {
        soon("its Redis", node.opened()).await.unwrap();
        Self { node }
    }

    /// The configuration of a test node.
    pub fn config(settings: &[&str]) -> Config {
        Config::from_settings(&[&BASE, settings].concat()).unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.node.address()
    }

    /// A client with JSON and without a name.
    pub async fn json(&self) -> TestClient {
        TestClient::connect(self.address(), Encoding::Json, "").await
    }

    /// A client with MessagePack and without a name.
    pub async fn msgpack(&self) -> TestClient {
        TestClient::connect(self.address(), Encoding::MsgPack, "").await
    }

    /// A client that goes by a name.
    pub async fn user(&self, encoding: Encoding, name: &str) -> TestClient {
        TestClient::connect(self.address(), encoding, &format!("user={name}")).await
    }

    /// The node's metrics as they are now.
    pub async fn scrape(&self) -> Scrape {
        let address = self.node.metrics_address().unwrap_or(self.address());
        let response = get(address, "/metrics").await;
        assert_eq!(response.status, 200);
        Scrape::parse(&response.body)
    }

    /// Waits until a family's values, summed over labels, are as wanted.
    pub async fn until(&self, family: &str, holds: impl Fn(f64) -> bool) {
        let what = format!("{family} as wanted");
        eventually(&what, async || holds(self.scrape().await.sum(family))).await;
    }

    /// Ends the node, and proves that it ends.
    pub async fn stop(self) {
        soon("the node's end", self.node.stop()).await;
    }
}
