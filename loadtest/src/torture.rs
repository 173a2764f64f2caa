//! Scenario `torture`: nodes on a Redis of a chosen topology, under load, while whatever can fail
//! fails. A checker reads what every client saw; any broken promise ends it with 1.

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use roomcast_access::api_key::NewApiKey;
use roomcast_protocol::RoomName;
use serde::Serialize;

use crate::children::Children;
use crate::dialect::room_name;
use crate::door::{Door, DoorArgs};
use crate::machine;
use crate::print;
use crate::random::Random;
use crate::report::Report;
use crate::server::beside_or;

mod author;
mod backend;
mod cast;
mod checker;
mod client;
mod drive;
mod execute;
mod fault;
mod journal;
mod judges;
mod load;
mod logs;
mod member;
mod mix;
mod nodes;
mod past;
mod people;
mod plan;
mod plot;
mod publisher;
mod renewal;
mod repair;
mod scene;
mod store;
mod summary;
mod timeline;
mod topology;
mod turned_away;
mod watch;
mod way;

use cast::{Cast, USERS};
use checker::Checker;
use drive::Drive;
use execute::{Stage, execute};
use judges::Judges;
use load::Load;
use logs::Logs;
use nodes::TortureNode;
use plan::Outline;
use repair::Repairs;
use scene::Scene;
use store::Store;
use timeline::Timeline;
use topology::Topology;
use watch::Watch;

/// Messages of a room that stay readable: at the default rate over a minute's, so that a gap is
/// only ever what a fault did.
const RETENTION: u64 = 20_000;

/// The API key that nodes know a backend by.
const API_KEY: &str = "torture";

/// How long a connection outlives its token: longer than a fault may keep the next one away.
const LEEWAY_SECONDS: u64 = 15;

/// Let everything fail under load and check what every client saw.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct TortureArgs {
    /// How Redis stands below the nodes.
    #[arg(long, value_enum, default_value = "standalone")]
    topology: Topology,
    /// How long faults come, in minutes.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Chooses the faults; a run of the same sizes and seed has the same ones. Default: by the clock.
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Rooms.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Publishers of each room.
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// Messages per second in all rooms together.
    #[arg(long, default_value_t = 2_500.0)]
    rate: f64,
    /// Fail if fewer messages per second were acknowledged.
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    at_least: f64,
    /// Bytes of each message's data.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Mean time between the beginnings of two faults, in ms: at most 2000.
    #[arg(long, default_value_t = 1_200, value_name = "MS")]
    fault_every: u64,
    /// Only faults after which Redis has all that it had: then everything acknowledged must be there.
    #[arg(long)]
    lossless: bool,
    /// Draw the run to this file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Keep the nodes' logs here; else they are kept only if something is wrong.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The node's binary; else `roomcast` beside this program.
    #[arg(long, value_name = "PATH")]
    node_binary: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    door: DoorArgs,
    /// Another setting of the nodes, as `roomcast serve --set` takes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs the scenario.
pub(crate) fn main(args: &TortureArgs, children: &Children) -> Result<Report> {
    let sizes = [args.nodes, args.rooms, args.publishers, args.members];
    if sizes.contains(&0) || args.rate <= 0.0 || args.minutes <= 0.0 {
        bail!("every size is at least 1, rate and minutes are above 0");
    }
    if !(100..=plan::LONGEST).contains(&args.fault_every) {
        bail!("--fault-every is 100 to {} ms", plan::LONGEST);
    }
    machine::allow_links(8 * args.rooms * (args.publishers + args.members))?;
    children.unwind();
    let seed = args.seed.unwrap_or_else(clock);
    let outline = Outline {
        topology: args.topology,
        nodes: args.nodes,
        length: Duration::from_secs_f64(args.minutes * 60.0),
        every: Duration::from_millis(args.fault_every),
        lossless: args.lossless,
        seed,
    };
    let faults = plan::schedule(&outline);
    let logs = Logs::make(args)?;
    let replay = summary::replay(args, seed);
    print::note(format_args!("{replay}\nthe nodes' logs: {}", logs.path.display()));

    // Proxies and Rust clients live on a thread of their own, as long as this function.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (over, ended) = tokio::sync::oneshot::channel::<()>();
    let background = std::thread::spawn(move || drop(runtime.block_on(ended)));

    let door = Arc::new(args.door.to_started(&args.set)?);
    let binary = beside_or(args.node_binary.as_deref())?;
    let tags: Vec<_> =
        (0..args.rooms).map(|room| tag(&binary, &room_name(room)?)).collect::<Result<_>>()?;
    let mut store = Store::start(args.topology, &tags);
    let watch = Watch::start(store.successors());
    let mut scene = Scene::new(store, args.nodes, &handle);
    let mut random = Random::new(seed);
    let key = NewApiKey::generate(API_KEY, std::array::from_fn(|_| random.next() as u8))?;
    let with = (args, &door, &*key.sha256);
    let nodes = (0..args.nodes).map(|number| start_node(with, number, &scene, &logs, children));
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    let addrs: Vec<_> = nodes.iter().map(|node| node.addr).collect();
    let fronts = scene.stand_before(&addrs, &handle);
    wait_ready(&nodes)?;

    let mut checker = Checker::new(args.rooms + USERS, RETENTION, args.topology.fails_over());
    let (told, heard) = channel();
    let cast =
        Cast { args, door: Arc::clone(&door), straight: addrs.into(), fronts: fronts.into() };
    let (members, rooms, clients) = cast.members(&mut checker)?;
    let (publishers, authors) = cast.publishers()?;
    let thin_rate = args.rate * publishers.len() as f64 / (publishers.len() + authors.len()) as f64;
    for seat in clients {
        handle.spawn(client::run(seat, told.clone()));
    }
    let (stop_authors, stop) = tokio::sync::watch::channel(false);
    let (backend, of_backend) = (cast.backend(key.presented), (stop.clone(), told.clone()));
    let count = checker.member_count();
    let load = Load::new(members, publishers, cast.people(seed)?, &door, seed)?;
    let judged = (checker, Repairs::new(rooms), Timeline::new(&faults));
    let judges = Judges::new(judged, &logs.path)?;
    let heard = (heard, stop_authors);
    let outline = (faults.clone(), args.topology, thin_rate);
    let mut drive = Drive::new((load, judges), heard, outline, watch, children);
    let began = drive.gather(count)?;
    for author in authors {
        handle.spawn(author.run(stop.clone(), told.clone()));
    }
    let _backend = std::thread::spawn(move || backend.run(&of_backend.0, &of_backend.1));
    let stage =
        Stage { scene, nodes: nodes.into_iter().map(|node| Arc::new(Mutex::new(node))).collect() };
    let (news, faults_thread) = execute(faults, stage, began, children);
    drive.run(&news)?;
    drive.judge(cast.readers()?, &news)?;
    let stage = faults_thread.join().map_err(|_| anyhow::anyhow!("the faults' thread panicked"))?;
    for number in 0..args.nodes {
        for line in stage.node(number).panics() {
            let who = format!("node {}", number + 1);
            let now = drive.elapsed();
            drive.judges.checker.fail(checker::Rule::Program, None, (who, line), now);
        }
    }
    drop(stage);
    let _ = over.send(());
    let _ = background.join();
    let report = summary::report(args, seed, &drive, &logs.path)?;
    if report.failure.is_some() {
        logs.keep();
    }
    Ok(report)
}

fn clock() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64 % 1_000_000
}

/// A room's key, by which a cluster places it, as the node's own program tells it.
fn tag(binary: &std::ffi::OsStr, room: &RoomName) -> Result<String> {
    let output = Command::new(binary).args(["keys", room.as_str()]).output()?;
    let names: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`roomcast keys {room}` names no keys"))?;
    let meta = names["keys"]["meta"].as_str();
    meta.map(str::to_owned).context("`roomcast keys` names no meta key")
}

fn start_node(
    (args, door, key): (&TortureArgs, &Arc<Door>, &str),
    number: usize,
    scene: &Scene,
    logs: &Logs,
    children: &Children,
) -> Result<TortureNode> {
    let binary = beside_or(args.node_binary.as_deref())?;
    let mut arguments = vec!["--redis-url".to_owned(), scene.redis_url(number)];
    arguments.extend(["--node-id".to_owned(), format!("n{}", number + 1)]);
    let own = [
        format!("namespaces.default.history_size={RETENTION}"),
        format!("namespaces.default.repair_window={RETENTION}"),
        "namespaces.default.publish_rate=0".to_owned(),
        "namespaces.default.keys_per_user=10000000".to_owned(),
        "namespaces.default.keys_per_room=10000000".to_owned(),
        "heartbeat.interval=1s".to_owned(),
        "drain.total=3s".to_owned(),
        "drain.pause=500ms".to_owned(),
        format!("auth.leeway={LEEWAY_SECONDS}s"),
        format!("api_keys.{API_KEY}.sha256={key}"),
        format!("api_keys.{API_KEY}.scopes=publish"),
        format!("users.history_size={RETENTION}"),
    ];
    let people = people::SETTINGS.map(str::to_owned);
    for setting in args.door.settings()?.iter().chain(&own).chain(&people).chain(&args.set) {
        arguments.extend(["--set".to_owned(), setting.clone()]);
    }
    let log = logs.path.join(format!("node-{}.log", number + 1));
    TortureNode::start(&binary, arguments, (&log, door), children)
}

fn wait_ready(nodes: &[TortureNode]) -> Result<()> {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    for node in nodes {
        while !node.is_ready() {
            node.check()?;
            if std::time::Instant::now() > deadline {
                bail!("the node at {} is not ready", node.addr);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}
