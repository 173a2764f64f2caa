//! A Redis Cluster of one's own: primaries with all slots shared out evenly, and their replicas.

mod nodes;
mod slot_move;

use crate::redis_server::{Launch, Login, RedisServer};
use crate::wait::until;
use nodes::ClusterNode;

pub use slot_move::SlotMove;

const SLOTS: usize = 16_384;

/// A replica replaces a silent primary some two seconds later, however old its data is. A primary
/// whose last slot was moved away stays one: its index keeps its meaning.
const ARGUMENTS: &[&str] = &[
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "1500",
    "--cluster-require-full-coverage",
    "no",
    "--cluster-replica-validity-factor",
    "0",
    "--cluster-allow-replica-migration",
    "no",
];

/// A running cluster; dropping it kills all of its nodes.
///
/// Nodes are known by index: first the primaries in the order of their slots, then the replicas of
/// the first primary, those of the second, and so on. A failover changes roles, not indexes.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<RedisServer>,
    /// The ids that the nodes gave themselves.
    ids: Vec<String>,
    login: Option<Login>,
}

impl RedisCluster {
    /// Starts this many primaries, with this many replicas each, and waits until all agree.
    pub fn start(primaries: usize, replicas_each: usize) -> Self {
        Self::with(primaries, replicas_each, None)
    }

    /// The same with a login that every node asks for.
    pub fn with(primaries: usize, replicas_each: usize, login: Option<Login>) -> Self {
        let launch = Launch::default().arguments(ARGUMENTS).login(login.clone());
        let count = primaries * (1 + replicas_each);
        let servers: Vec<_> = (0..count).map(|_| RedisServer::launch(&launch)).collect();
        let id = |server: &RedisServer| server.ask(&["CLUSTER", "MYID"]).expect("a node's id");
        let ids = servers.iter().map(id).collect();
        let cluster = Self { servers, ids, login };
        cluster.share_out(primaries);
        cluster.meet();
        for replica in primaries..count {
            let primary = &cluster.ids[(replica - primaries) / replicas_each];
            cluster.servers[replica].command(&["CLUSTER", "REPLICATE", primary]);
        }
        cluster.settle();
        cluster
    }

    /// `redis+cluster://[login@]HOST:PORT,…`, every node in the order of the indexes.
    pub fn url(&self) -> String {
        let login = self.login.as_ref().map(Login::in_url).unwrap_or_default();
        let address = |server: &RedisServer| format!("127.0.0.1:{}", server.port());
        let addresses: Vec<_> = self.servers.iter().map(address).collect();
        format!("redis+cluster://{login}{}", addresses.join(","))
    }

    /// The nodes.
    pub fn servers(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    /// The slot of a key or of a channel's name.
    pub fn slot_of(&self, key: &str) -> u16 {
        self.any().ask(&["CLUSTER", "KEYSLOT", key]).expect("a slot")
    }

    /// The index of the node that owns a slot, asked of a node that is up.
    pub fn owner_of(&self, slot: u16) -> usize {
        let owner = self.owner_seen_by(self.any(), slot).expect("a slot with an owner");
        self.ids.iter().position(|id| *id == owner).expect("one of the nodes")
    }

    /// Makes a replica, whose primary is up, the primary in its place, and waits until all know.
    pub fn failover(&self, replica: usize) {
        self.servers[replica].command(&["CLUSTER", "FAILOVER"]);
        until("a failover", || self.servers[replica].info("replication").contains("role:master"));
        self.settle();
    }

    /// Kills a node, and returns at once: its replica takes its place some two seconds later.
    pub fn kill(&mut self, index: usize) {
        self.servers[index].kill();
    }

    /// Starts a killed node again, with what it knew of the cluster and none of its data, and
    /// returns as soon as it answers; `settle` waits until it has its place again.
    pub fn restart(&mut self, index: usize) {
        self.servers[index].restart();
    }

    /// Waits until all nodes that are up find the cluster in order, agree on all roles and owners,
    /// and have the data of their primary if that is up.
    pub fn settle(&self) {
        until("nodes that agree", || self.is_settled().unwrap_or(false));
    }

    /// `None` where a node knows too little to say.
    fn is_settled(&self) -> Option<bool> {
        let up: Vec<_> = self.servers.iter().filter(|server| server.is_up()).collect();
        let views: Vec<_> = up.iter().map(|server| self.view(server)).collect::<Option<_>>()?;
        let is_ok = |server: &&RedisServer| {
            let info: String = server.ask(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok")
        };
        let first = views.first()?;
        let agree = first.len() == self.servers.len() && views.iter().all(|view| view == first);
        let follows = |server: &&RedisServer| {
            let info = server.info("replication");
            let lost =
                || up.iter().all(|up| !info.contains(&format!("master_port:{}\r", up.port())));
            info.contains("role:master") || info.contains("master_link_status:up") || lost()
        };
        Some(agree && up.iter().all(is_ok) && up.iter().all(follows))
    }

    fn view(&self, server: &RedisServer) -> Option<Vec<ClusterNode>> {
        let answer: String = server.ask(&["CLUSTER", "NODES"]).ok()?;
        nodes::parse(&answer)
    }

    /// The id of the slot's owner.
    fn owner_seen_by(&self, server: &RedisServer, slot: u16) -> Option<String> {
        let view = self.view(server)?;
        view.into_iter().find(|node| node.owns(slot)).map(|node| node.id)
    }

    fn any(&self) -> &RedisServer {
        self.servers.iter().find(|server| server.is_up()).expect("a node is up")
    }

    /// Gives every primary its range of slots, and an epoch of its own, over which they would
    /// have to come to terms otherwise.
    fn share_out(&self, primaries: usize) {
        for (index, server) in self.servers.iter().enumerate() {
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            if index < primaries {
                let first = (SLOTS * index / primaries).to_string();
                let last = (SLOTS * (index + 1) / primaries - 1).to_string();
                server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            }
        }
    }

    /// Introduces all nodes to each other.
    fn meet(&self) {
        let [first, others @ ..] = &self.servers[..] else { panic!("a cluster has nodes") };
        for other in others {
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
        }
        until("nodes that know each other", || {
            let knows_all =
                |server| self.view(server).is_some_and(|view| view.len() == self.ids.len());
            self.servers.iter().all(knows_all)
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use redis::RedisResult;

    use super::*;

    #[test]
    fn a_moved_slot_is_the_others_and_so_are_its_keys() {
        for login in [None, Some(Login::user("node", "secret"))] {
            let mut cluster = RedisCluster::with(3, 0, login);
            let slot = cluster.slot_of("{tag}");
            let (from, to) = (cluster.owner_of(slot), (cluster.owner_of(slot) + 1) % 3);
            for number in 0..250 {
                cluster.servers()[from].command(&["SET", &format!("{{tag}}{number}"), "value"]);
            }
            let on_its_way = cluster.begin_move(slot, to);
            assert_eq!(cluster.owner_of(slot), from);
            cluster.move_keys(&on_its_way);
            let answer: RedisResult<String> = cluster.servers()[from].ask(&["GET", "{tag}7"]);
            assert_eq!(answer.unwrap_err().code(), Some("ASK"));
            cluster.finish_move(on_its_way);
            assert_eq!(cluster.owner_of(slot), to);
            let value: String = cluster.servers()[to].ask(&["GET", "{tag}249"]).unwrap();
            assert_eq!(value, "value");
            cluster.move_slot(slot, from);
            assert_eq!(cluster.owner_of(slot), from);
        }
    }

    #[test]
    fn replicas_take_over_when_told_and_when_their_primary_dies() {
        let mut cluster = RedisCluster::start(3, 1);
        let slot = cluster.slot_of("key");
        let primary = cluster.owner_of(slot);
        let replica = 3 + primary;
        cluster.servers()[primary].command(&["SET", "key", "value"]);
        cluster.failover(replica);
        assert_eq!(cluster.owner_of(slot), replica);
        let value: String = cluster.servers()[replica].ask(&["GET", "key"]).unwrap();
        assert_eq!(value, "value");

        cluster.kill(replica);
        until("another owner", || cluster.owner_of(slot) == primary);
        cluster.restart(replica);
        cluster.settle();
        assert!(cluster.servers()[replica].info("replication").contains("role:slave"));
    }
}
