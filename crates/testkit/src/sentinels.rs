//! A primary, its replicas and the three sentinels that watch it under the name `main`.

use std::collections::HashMap;

use redis::RedisResult;

use crate::redis_server::{Launch, Login, RedisServer};
use crate::wait::until;

/// What the sentinels call the primary.
const NAME: &str = "main";
/// Sentinels look more often than they do by default, so that a failover takes some two seconds,
/// and a busy machine does not make them distrust the clock. `PING-PERIOD` is not shorter: a
/// replica is fit for promotion only if it was heard within five of them, and a second apart they
/// ask.
const DEBUG: &str = "INFO-PERIOD 500 PING-PERIOD 500 ASK-PERIOD 200 PUBLISH-PERIOD 200 \
                     TILT-TRIGGER 60000";

/// What a sentinel says of one server.
type Facts = HashMap<String, String>;

/// Running servers under sentinels; dropping them kills all.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
    login: Option<Login>,
}

impl Sentinels {
    /// A primary, one replica and three sentinels that know each other.
    pub fn start() -> Self {
        Self::with(1, None)
    }

    /// The same with this many replicas; the servers, not the sentinels, ask for the login.
    pub fn with(replicas: usize, login: Option<Login>) -> Self {
        let primary = RedisServer::launch(&Launch::default().login(login.clone()));
        let configuration = configuration(primary.port(), login.as_ref());
        let launch = Launch::default().sentinel(configuration);
        let followers: Vec<_> = (0..replicas).map(|_| RedisServer::replica_of(&primary)).collect();
        let servers = [primary].into_iter().chain(followers).collect();
        let sentinels = (0..3).map(|_| RedisServer::launch(&launch)).collect();
        let all = Self { servers, sentinels, login };
        all.sentinels.iter().for_each(hurry);
        all.settle();
        all
    }

    /// `redis+sentinel://[login@]HOST:PORT,…/main`: the sentinels, and the servers' login.
    pub fn url(&self) -> String {
        let login = self.login.as_ref().map(Login::in_url).unwrap_or_default();
        let address = |sentinel: &RedisServer| format!("127.0.0.1:{}", sentinel.port());
        let addresses: Vec<_> = self.sentinels.iter().map(address).collect();
        format!("redis+sentinel://{login}{}/{NAME}", addresses.join(","))
    }

    /// The primary and the replicas, the first primary first.
    pub fn servers(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    /// The sentinels.
    pub fn sentinels(&mut self) -> &mut [RedisServer] {
        &mut self.sentinels
    }

    /// The port of the primary, asked of a sentinel that is up.
    pub fn primary_port(&self) -> u16 {
        let sentinel = self.sentinels.iter().find(|sentinel| sentinel.is_up());
        primary_port(sentinel.expect("a sentinel is up")).expect("a sentinel knows the primary")
    }

    /// The server that is the primary, by the word of a sentinel.
    pub fn primary(&mut self) -> &mut RedisServer {
        let port = self.primary_port();
        let mut servers = self.servers.iter_mut();
        servers.find(|server| server.port() == port).expect("one of the servers")
    }

    /// Has the sentinels make another server the primary, and waits until all follow it.
    pub fn failover(&mut self) {
        let before = self.primary_port();
        let sentinel = self.sentinels.iter().find(|sentinel| sentinel.is_up());
        sentinel.expect("a sentinel is up").command(&["SENTINEL", "FAILOVER", NAME]);
        until("a failover", || self.primary_port() != before);
        self.settle();
    }

    /// Kills the primary, and returns at once: the sentinels make another some two seconds later.
    pub fn kill_primary(&mut self) {
        self.primary().kill();
    }

    /// Starts the killed servers and sentinels again, and returns as soon as they answer. A server
    /// that was the primary believes for some seconds that it still is; `settle` waits for the end
    /// of that.
    pub fn restart_killed(&mut self) {
        for server in &mut self.servers {
            if !server.is_up() {
                server.restart();
            }
        }
        for sentinel in &mut self.sentinels {
            if !sentinel.is_up() {
                sentinel.restart();
                hurry(sentinel);
            }
        }
    }

    /// Waits until all sentinels that are up agree on a primary that is up, all other servers that
    /// are up follow it, and a failover could begin.
    pub fn settle(&self) {
        until("sentinels that agree", || self.is_settled().unwrap_or(false));
    }

    fn is_settled(&self) -> RedisResult<bool> {
        let port = self.primary_port();
        let up: Vec<_> = self.servers.iter().filter(|server| server.is_up()).collect();
        let is_in_place = |server: &&RedisServer| {
            let info = server.info("replication");
            let follows = || server.is_linked() && info.contains(&format!("master_port:{port}\r"));
            if server.port() == port { info.contains("role:master") } else { follows() }
        };
        let is_complete = up.iter().any(|server| server.port() == port);
        if !is_complete || !up.iter().all(is_in_place) {
            return Ok(false);
        }
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.is_up()) {
            if !self.is_content(sentinel, port, up.len() - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a sentinel finds this primary well, with so many replicas fit to replace it and
    /// enough sentinels to decide on that.
    fn is_content(&self, sentinel: &RedisServer, port: u16, replicas: usize) -> RedisResult<bool> {
        let primary: Facts = sentinel.ask(&["SENTINEL", "MASTER", NAME])?;
        let known: Vec<Facts> = sentinel.ask(&["SENTINEL", "REPLICAS", NAME])?;
        let port = port.to_string();
        let others = (self.sentinels.len() - 1).to_string();
        let is = |facts: &Facts, key, value: &str| facts.get(key).is_some_and(|is| is == value);
        let is_fit = |replica: &&Facts| {
            is(replica, "flags", "slave")
                && is(replica, "master-link-status", "ok")
                && is(replica, "master-port", &port)
        };
        let is_watched = is(&primary, "port", &port)
            && is(&primary, "flags", "master")
            && is(&primary, "num-other-sentinels", &others);
        let quorum: RedisResult<String> = sentinel.ask(&["SENTINEL", "CKQUORUM", NAME]);
        Ok(is_watched && quorum.is_ok() && known.iter().filter(is_fit).count() >= replicas)
    }
}

fn configuration(port: u16, login: Option<&Login>) -> String {
    let login = login.map(Login::parts).map(|[user, password]| {
        format!("sentinel auth-user {NAME} {user}\nsentinel auth-pass {NAME} {password}\n")
    });
    format!(
        "sentinel monitor {NAME} 127.0.0.1 {port} 2\n\
         sentinel down-after-milliseconds {NAME} 1000\n\
         sentinel failover-timeout {NAME} 3000\n\
         sentinel parallel-syncs {NAME} 1\n\
         {}",
        login.unwrap_or_default()
    )
}

fn hurry(sentinel: &RedisServer) {
    let words: Vec<_> = ["SENTINEL", "DEBUG"].into_iter().chain(DEBUG.split(' ')).collect();
    sentinel.command(&words);
}

fn primary_port(sentinel: &RedisServer) -> RedisResult<u16> {
    let (_host, port): (String, u16) =
        sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
    Ok(port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_failover_makes_another_server_the_primary() {
        let mut all = Sentinels::with(1, Some(Login::user("node", "secret")));
        let before = all.primary_port();
        all.primary().command(&["SET", "key", "value"]);
        all.failover();
        assert_ne!(all.primary_port(), before);
        let value: String = all.primary().ask(&["GET", "key"]).unwrap();
        assert_eq!(value, "value");
        all.primary().command(&["SET", "key", "other"]);
    }

    #[test]
    fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() {
        let mut all = Sentinels::with(2, None);
        let before = all.primary_port();
        all.kill_primary();
        until("another primary", || all.primary_port() != before);
        all.restart_killed();
        all.settle();
        assert_ne!(all.primary_port(), before);
        let old = all.servers().iter().find(|server| server.port() == before).unwrap();
        assert!(old.info("replication").contains("role:slave"));
    }
}
