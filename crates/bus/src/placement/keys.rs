//! Names in Redis: a room's keys and channel under its partition's hash tag, and the names of the
//! whole deployment. Each begins with the prefix, so that several deployments may share a server.

use std::sync::Arc;

use roomcast_protocol::{RoomName, UserName};

use super::partition::{Partition, PartitionTags};

/// The names of one deployment.
#[derive(Debug, Clone)]
pub struct Keyspace {
    prefix: Arc<str>,
    tags: Arc<PartitionTags>,
    /// The end of every channel's name: Pub/Sub does not separate databases.
    database: Arc<str>,
}

/// The names of a room in Redis, for operators and tests.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RoomNames {
    /// The room's partition, below 1,024.
    pub partition: u16,
    /// Its slot in a Redis Cluster.
    pub slot: u16,
    /// Its keys.
    pub keys: KeyNames,
    /// The channel on which it is pushed.
    pub channel: String,
}

/// The keys of a room.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyNames {
    /// The hash with the room's epoch, seq and other single values.
    pub meta: String,
    /// The stream of its recent messages.
    pub stream: String,
    /// The hashes of results of keyed publishes.
    pub results: [String; 2],
    /// The hash of its state: the newest value of each key.
    pub state: String,
    /// The sorted set of what users confirmed.
    pub receipts: String,
    /// The hash of its members on all nodes.
    pub presence: String,
}

/// The number of a room's partition: the same whatever its keys are called, and cheap.
pub fn partition_of(room: &RoomName) -> u16 {
    Partition::of(room).number()
}

/// The names of a room under a prefix (`bus.prefix`), in a database of a server.
pub fn room_names(prefix: &str, database: i64, room: &RoomName) -> RoomNames {
    let keys = Keyspace::new(prefix).in_database(database);
    let (partition, names) = (Partition::of(room), keys.room(room));
    RoomNames {
        partition: partition.number(),
        slot: keys.slot(partition),
        keys: KeyNames {
            meta: names.meta(),
            stream: names.stream(),
            results: names.results(),
            state: names.state(),
            receipts: names.receipts(),
            presence: names.presence(),
        },
        channel: keys.channel(room),
    }
}

/// The end of the name of a room's receipts; `scripts/meta.lua` makes this name from that of meta.
const RECEIPTS_SUFFIX: &str = "r";

/// A room's keys, in the order in which the scripts take them.
pub(crate) struct RoomKeys(String);

impl Keyspace {
    /// Names under `prefix`, in database 0.
    pub fn new(prefix: &str) -> Self {
        let prefix = escape(prefix);
        let tags = Arc::new(PartitionTags::new(&prefix));
        Self { prefix: prefix.into(), tags, database: "".into() }
    }

    /// The same names in a database of a server.
    pub(crate) fn in_database(&self, database: i64) -> Self {
        let suffix = if database == 0 { String::new() } else { format!(":{database}") };
        Self { database: suffix.into(), ..self.clone() }
    }

    /// A room's keys.
    pub(crate) fn room(&self, room: &RoomName) -> RoomKeys {
        RoomKeys(format!("{{{}}}:{}", self.tag(Partition::of(room)), escape(room.as_str())))
    }

    /// The text between the braces of a partition's keys: it decides their slot in a cluster.
    pub(crate) fn tag(&self, partition: Partition) -> String {
        format!("{}:{}", self.prefix, self.tags.number(partition))
    }

    /// The slot of a partition's keys and channels in a cluster.
    pub(crate) fn slot(&self, partition: Partition) -> u16 {
        self.tags.slot(partition)
    }

    /// The leases of all nodes.
    pub(crate) fn leases(&self) -> String {
        format!("{{{}}}:leases", self.tag(Partition::CONTROL))
    }

    /// The orders that hold on every node.
    pub(crate) fn orders(&self) -> String {
        format!("{{{}}}:orders", self.tag(Partition::CONTROL))
    }

    /// The record of a ticket.
    pub(crate) fn ticket(&self, ticket: &str) -> String {
        format!("{{{}}}:ticket:{}", self.tag(Partition::CONTROL), escape(ticket))
    }

    /// Where a user's connections are; a hash. In the leases' partition: one script reads both.
    pub(crate) fn online(&self, user: &UserName) -> String {
        let tag = self.tag(Partition::CONTROL);
        format!("{{{tag}}}:online:{}", escape(user.as_str()))
    }

    /// The incarnations that wrote presence in a partition; a set.
    pub(crate) fn presence_writers(&self, partition: Partition) -> String {
        format!("{{{}}}:presence", self.tag(partition))
    }

    /// The rooms of a partition in which an incarnation may have members; a sorted set.
    pub(crate) fn presence_index(&self, partition: Partition, incarnation: &str) -> String {
        format!("{{{}}}:presence:{incarnation}", self.tag(partition))
    }

    /// The key of the version of the list of servers.
    pub(crate) fn version(&self) -> String {
        format!("{}:version", self.prefix)
    }

    /// The key of the number of the layout of keys.
    pub(crate) fn layout(&self) -> String {
        format!("{}:layout", self.prefix)
    }

    /// The channel on which a room is pushed.
    pub fn channel(&self, room: &RoomName) -> String {
        format!("{}:c{}", self.room(room).0, self.database)
    }

    /// The channel on which one connection of one node receives its own probes. No room's channel
    /// begins like this.
    pub(crate) fn probe(&self, node: &str, lane: usize) -> String {
        format!("{}:probe:{node}:{lane}", self.prefix)
    }
}

impl RoomKeys {
    /// Epoch, seq and other single values; a hash.
    pub(crate) fn meta(&self) -> String {
        format!("{}:m", self.0)
    }

    /// The recent messages; a stream.
    pub(crate) fn stream(&self) -> String {
        format!("{}:s", self.0)
    }

    /// Who is in the room; a hash.
    pub(crate) fn presence(&self) -> String {
        format!("{}:p", self.0)
    }

    /// The two generations of results of keyed publishes; hashes.
    pub(crate) fn results(&self) -> [String; 2] {
        [format!("{}:k0", self.0), format!("{}:k1", self.0)]
    }

    /// What users confirmed; a sorted set that most rooms lack.
    pub(crate) fn receipts(&self) -> String {
        format!("{}:{RECEIPTS_SUFFIX}", self.0)
    }

    /// The newest value of each key of its state; a hash.
    pub(crate) fn state(&self) -> String {
        format!("{}:v", self.0)
    }
}

/// Braces in a name would change the hash tag; the escape character is escaped too, so that no two
/// names become one.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '%' => escaped.push_str("%25"),
            '{' => escaped.push_str("%7B"),
            '}' => escaped.push_str("%7D"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    #[test]
    fn hostile_names_keep_to_their_hash_tag_and_apart() {
        let keys = Keyspace::new("rc");
        let meta = |name: &str| keys.room(&room(name)).meta();
        let tag = |name: &str| keys.tag(Partition::of(&room(name)));
        assert_eq!(meta("chat:1"), format!("{{{}}}:chat:1:m", tag("chat:1")));
        assert_eq!(meta("}{a}"), format!("{{{}}}:%7D%7Ba%7D:m", tag("}{a}")));
        assert_eq!(meta("%7D"), format!("{{{}}}:%257D:m", tag("%7D")));
        assert_ne!(meta("}"), meta("%7D"));
        // No room's key is one of the deployment's.
        assert_ne!(meta("leases"), keys.leases());
    }

    #[test]
    fn the_script_and_the_node_name_receipts_alike() {
        let script = include_str!("../scripts/meta.lua");
        assert!(script.contains(&format!("local RECEIPTS_SUFFIX = '{RECEIPTS_SUFFIX}'")));
        let keys = Keyspace::new("rc");
        let keys = keys.room(&room("a"));
        let made = keys.meta().strip_suffix('m').map(|stem| format!("{stem}{RECEIPTS_SUFFIX}"));
        assert_eq!(made, Some(keys.receipts()));
    }

    #[test]
    fn databases_have_channels_of_their_own() {
        let keys = Keyspace::new("rc");
        let zero = keys.channel(&room("a"));
        assert!(zero.ends_with("}:a:c"), "{zero}");
        assert_eq!(keys.in_database(0).channel(&room("a")), zero);
        assert_eq!(keys.in_database(3).channel(&room("a")), format!("{zero}:3"));
    }
}
