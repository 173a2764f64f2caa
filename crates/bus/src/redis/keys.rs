//! Names in Redis: a room's keys under one hash tag, its channel, and the probes' channels. Every
//! one begins with the prefix, so that several deployments may share a server.

use roomcast_protocol::RoomName;

/// The names of one deployment.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: Box<str>,
}

/// A room's keys, in the order in which the scripts take them.
pub(crate) struct RoomKeys(String);

impl Keys {
    /// Names under `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: escape(prefix).into() }
    }

    /// A room's keys.
    pub(crate) fn room(&self, room: &RoomName) -> RoomKeys {
        RoomKeys(format!("{{{}}}", self.tag(room)))
    }

    /// What stands between the braces of a room's keys: it decides over their slot in a cluster.
    pub(crate) fn tag(&self, room: &RoomName) -> String {
        format!("{}:{}", self.prefix, escape(room.as_str()))
    }

    /// Where a server keeps the version of the list of servers that it belongs to.
    pub(crate) fn version(&self) -> String {
        format!("{}:version", self.prefix)
    }

    /// The channel on which a room is pushed.
    pub fn channel(&self, room: &RoomName) -> String {
        format!("{{{}}}:c", self.tag(room))
    }

    /// The channel on which one connection of one node hears its own probes. No room's channel
    /// begins like this.
    pub(crate) fn probe(&self, node: &str, lane: usize) -> String {
        format!("{}:probe:{node}:{lane}", self.prefix)
    }
}

impl RoomKeys {
    /// Epoch, seq and what else is one per room; a hash.
    pub(crate) fn meta(&self) -> String {
        format!("{}:m", self.0)
    }

    /// The recent messages; a stream.
    pub(crate) fn stream(&self) -> String {
        format!("{}:s", self.0)
    }

    /// The two generations of results of keyed publishes; hashes.
    pub(crate) fn results(&self) -> [String; 2] {
        [format!("{}:k0", self.0), format!("{}:k1", self.0)]
    }
}

/// Braces would move the hash tag, and the escape character must tell itself apart.
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

    #[test]
    fn hostile_names_keep_to_their_hash_tag_and_apart() {
        let keys = Keys::new("rc");
        let meta = |name: &str| keys.room(&RoomName::parse(name).unwrap()).meta();
        assert_eq!(meta("chat:1"), "{rc:chat:1}:m");
        assert_eq!(meta("}{a}"), "{rc:%7D%7Ba%7D}:m");
        assert_eq!(meta("%7D"), "{rc:%257D}:m");
        assert_ne!(meta("}"), meta("%7D"));
    }
}
