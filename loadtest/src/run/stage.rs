//! The servers of a run: nodes of one peer on a Redis of their own, or what runs already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use roomcast_testkit::free_port;

use super::peer::Peer;
use super::peers_folder;
use super::probe::probe;
use crate::children::Children;
use crate::door::{Door, DoorArgs};
use crate::machine::Cores;
use crate::print;
use crate::resp::Redis;
use crate::server::{NodeArgs, Server, address};

/// Where to find what is started, and with which settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Props {
    /// Roomcast's binary; else `roomcast` beside this program.
    pub(crate) node_binary: Option<PathBuf>,
    /// Settings of Roomcast's nodes.
    pub(crate) set: Vec<String>,
    /// How clients come in to Roomcast's nodes.
    pub(crate) door: DoorArgs,
}

/// One node; without a server once it is killed, or if it was not started here.
#[derive(Debug)]
struct Node {
    addr: SocketAddr,
    server: Option<Server>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Stage {
    nodes: Vec<Node>,
    redis: Option<Redis>,
    /// Pids of nodes that run already.
    pids: Vec<u32>,
    /// As they were named, where they were not started here.
    urls: Vec<String>,
    door: Door,
}

impl Stage {
    /// Starts so many nodes of a peer.
    pub(crate) fn start(
        peer: Peer,
        count: usize,
        props: &Props,
        children: &Children,
    ) -> Result<Self> {
        let redis = Redis::at(None, None, children)?;
        let start = |number: usize| {
            print::note(format_args!("starting node {number} of {count} ({})", peer.title()));
            let server = match peer {
                Peer::Roomcast => roomcast(number, &redis, props, children)?,
                Peer::Ws | Peer::Socketio => node_js(peer, &redis, children)?,
                Peer::Nchan => nginx(&redis, children)?,
            };
            Ok(Node { addr: server.addr, server: Some(server) })
        };
        let nodes = (1..=count).map(start).collect::<Result<_>>()?;
        let door = match peer {
            Peer::Roomcast => props.door.to_started(&props.set)?,
            _ => Door::default(),
        };
        Ok(Self { nodes, redis: Some(redis), pids: Vec::new(), urls: Vec::new(), door })
    }

    /// What runs already at these addresses, with the pids whose use of the machine counts.
    ///
    /// Fails if no server of this kind answers there.
    pub(crate) fn at(urls: &[String], pids: &[u32], peer: Peer, door: &DoorArgs) -> Result<Self> {
        let door = door.to_urls(urls)?;
        let node = |url: &String| {
            let addr = address(url)?;
            probe(url, addr, peer, &door)?;
            Ok(Node { addr, server: None })
        };
        let nodes = urls.iter().map(node).collect::<Result<_>>()?;
        Ok(Self { nodes, redis: None, pids: pids.to_vec(), urls: urls.to_vec(), door })
    }

    /// The addresses of what was not started here, as they were typed.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// How clients come in.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Where the nodes are.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.addr).collect()
    }

    /// The nodes' processes, as far as known.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let own = self.nodes.iter().filter_map(|node| node.server.as_ref()?.pid());
        own.chain(self.pids.iter().copied()).collect()
    }

    /// Redis's process, if it was started here.
    pub(crate) fn redis_pid(&self) -> Option<u32> {
        self.redis.as_ref().and_then(|redis| redis.pid().ok())
    }

    /// Kills the last node (SIGKILL); it does not come back.
    pub(crate) fn kill_last(&mut self) {
        if let Some(node) = self.nodes.last_mut() {
            node.server = None;
        }
    }

    /// Fails if a node has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.nodes.iter().filter_map(|node| node.server.as_ref()).try_for_each(Server::check)
    }
}

fn anywhere() -> Cores {
    Cores { server: None, load: None, spin: false }
}

fn roomcast(number: usize, redis: &Redis, props: &Props, children: &Children) -> Result<Server> {
    let args = NodeArgs::to_start(props.node_binary.clone(), props.set.clone(), props.door.clone());
    let id = ["--node-id".to_owned(), format!("load-{number}")];
    Server::node_with(&args.on_redis(&redis.url), &id, &anywhere(), children)
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

fn node_js(peer: Peer, redis: &Redis, children: &Children) -> Result<Server> {
    let folder = peers_folder::installed()?;
    let script = folder.join(if peer == Peer::Ws { "ws" } else { "socketio" }).join("server.mjs");
    let addr = local();
    let mut command = Command::new("node");
    // As anybody does who runs Node.js for others.
    command.env("NODE_ENV", "production");
    command.arg(script).args([&addr.port().to_string(), &redis.url]);
    Server::peer(command, addr, children).context("the peers' servers need Node.js 20 or newer")
}

fn nginx(redis: &Redis, children: &Children) -> Result<Server> {
    let addr = local();
    let (folder, config) = peers_folder::nchan(addr, &redis.url)?;
    let mut command = Command::new(peers_folder::NGINX);
    command.arg("-p").arg(&folder).arg("-c").arg(config);
    Server::peer(command, addr, children).with_context(|| peers_folder::NCHAN_HELP.to_owned())
}
