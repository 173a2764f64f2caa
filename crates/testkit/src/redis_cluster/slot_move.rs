//! The live move of a slot from one primary to another, step by step.

use redis::RedisResult;

use super::RedisCluster;
use crate::redis_server::{Login, RedisServer};
use crate::wait::until;

/// How many keys move at once.
const KEYS: &str = "100";
/// How long the source waits for the target, in milliseconds.
const TIMEOUT: &str = "5000";

/// A slot on its way: the source asks for what it no longer has to be looked for at the target.
#[derive(Debug)]
#[must_use = "a slot that is left on its way stays so"]
pub struct SlotMove {
    slot: u16,
    from: usize,
    to: usize,
}

impl RedisCluster {
    /// Moves a slot with its keys while clients go on.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let on_its_way = self.begin_move(slot, to);
        self.move_keys(&on_its_way);
        self.finish_move(on_its_way);
    }

    /// Declares the slot migrating and importing; its keys are still at the source, and new ones
    /// go to the target.
    pub fn begin_move(&self, slot: u16, to: usize) -> SlotMove {
        let from = self.owner_of(slot);
        assert_ne!(from, to, "the slot is there already");
        let on_its_way = SlotMove { slot, from, to };
        let (source, target) = (&self.ids[from], &self.ids[to]);
        on_its_way.set(&self.servers[to], &["IMPORTING", source]).expect("a primary imports");
        on_its_way.set(&self.servers[from], &["MIGRATING", target]).expect("the owner migrates");
        on_its_way
    }

    /// Moves all keys that the source has in the slot; what clients write there meanwhile as well.
    pub fn move_keys(&self, on_its_way: &SlotMove) {
        let source = &self.servers[on_its_way.from];
        let target = self.servers[on_its_way.to].port().to_string();
        let slot = on_its_way.slot.to_string();
        let login = self.login.as_ref().map(Login::parts);
        let login = login.map(|[user, password]| ["AUTH2", user, password]);
        loop {
            let keys: Vec<String> = source
                .ask(&["CLUSTER", "GETKEYSINSLOT", &slot, KEYS])
                .expect("the owner knows its keys");
            if keys.is_empty() {
                return;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &target, "", "0", TIMEOUT, "REPLACE"];
            words.extend(login.iter().flatten());
            words.push("KEYS");
            words.extend(keys.iter().map(String::as_str));
            source.command(&words);
        }
    }

    /// Gives the slot to the target, then tells the source and the other primaries, and waits
    /// until all nodes that are up know. The source must be empty of it.
    pub fn finish_move(&self, on_its_way: SlotMove) {
        let SlotMove { slot, from, to } = on_its_way;
        let owner = ["NODE", &self.ids[to]];
        on_its_way.set(&self.servers[to], &owner).expect("the target takes the slot");
        on_its_way.set(&self.servers[from], &owner).expect("the source gives the slot");
        for other in self.servers.iter().filter(|server| server.is_up()) {
            // Replicas take no such order; the cluster's own talk reaches them.
            let _ = on_its_way.set(other, &owner);
        }
        until("a moved slot everybody knows", || {
            let mut up = self.servers.iter().filter(|server| server.is_up());
            up.all(|server| Some(&self.ids[to]) == self.owner_seen_by(server, slot).as_ref())
        });
    }
}

impl SlotMove {
    fn set(&self, server: &RedisServer, state: &[&str]) -> RedisResult<()> {
        let slot = self.slot.to_string();
        server.ask(&[&["CLUSTER", "SETSLOT", &slot][..], state].concat())
    }
}
