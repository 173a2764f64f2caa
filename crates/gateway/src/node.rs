//! A whole node: its listener, the hub's thread, the workers' threads, and their end.

mod acceptor;
mod admin;
mod descriptors;
mod drain;
mod echo;
mod key_fetch;
mod monitor;
mod pace;
mod reload;
mod threads;
mod worker_loop;

use std::io;
use std::io::ErrorKind::NotFound;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roomcast_access::api_key::{API_SECRET_BYTES, NewApiKey};
use roomcast_bus::Bus;
use roomcast_metrics::Metrics;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::acceptor::{Acceptor, Handoff};
use self::reload::read_rules;
use self::threads::HubThread;
use self::worker_loop::WorkerParts;
use crate::auth::{KeySourceError, KeySources, TokenKeys};
use crate::config::Config;
use crate::demo::FigureBoard;
use crate::drain::{CLOSE_TIMEOUT, Schedule};
use crate::fault::InjectedFault;
use crate::http::AdminNode;
use crate::hub::{HubHandle, question_way, worker_queue};
use crate::node_status::NodeStatus;
use crate::payload_rules::RulesError;
use crate::peers::PeerDesk;
use crate::settings::{NodePurpose, OWN_KEY_NAME, Settings};
use crate::tls::{CertificateFiles, PairError};
use crate::traces::Tracer;
use crate::user_limits::UserLimits;

/// Sockets that wait for one worker: a full accept burst.
const HANDOFFS: usize = 1024;

/// Why a node did not start; nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Choose another address, or end what listens there.
    #[error("cannot listen on {0} (key {1}): {2}")]
    Listen(SocketAddr, &'static str, io::Error),
    /// Correct `bus.redis_ca`, or let the node read the file.
    #[error("cannot read {0} (key bus.redis_ca): {1}")]
    Authority(PathBuf, io::Error),
    /// The keys of the section `auth` cannot be had.
    #[error(transparent)]
    Keys(#[from] KeySourceError),
    /// Correct the namespace's rules.
    #[error("the payload rules of namespaces.{0} cannot be used: {1}")]
    Rules(String, RulesError),
    /// Correct `tls.cert` or `tls.key`, or let the node read the files.
    #[error("{0}")]
    Certificate(String),
    /// The Redis of `bus.redis_url` does not serve.
    #[error(transparent)]
    Bus(#[from] roomcast_bus::RedisStartError),
    /// The system gives no more threads or descriptors.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// A node that runs.
pub struct Node {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    admin_address: Option<SocketAddr>,
    config: Config,
    descriptors: usize,
    metrics: Metrics,
    tracer: Tracer,
    keys: Arc<TokenKeys>,
    /// What the demo's page shows where no key is configured. It is made anew at each start.
    demo_key: NewApiKey,
    key_fetch: JoinHandle<()>,
    settings: watch::Sender<Arc<Settings>>,
    drain: watch::Sender<Option<Schedule>>,
    bus: Bus,
    /// How the first way to Redis ends, until it has.
    opened: Option<oneshot::Receiver<Result<(), roomcast_bus::RedisStartError>>>,
    status: Arc<NodeStatus>,
    acceptor: Acceptor,
    /// Tasks of the main runtime, which end with the node.
    tasks: Vec<JoinHandle<()>>,
    /// The files of its certificate, with TLS.
    certificate: Option<CertificateFiles>,
    ended: Vec<oneshot::Receiver<()>>,
}

impl From<PairError> for StartError {
    fn from(error: PairError) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl Node {
    /// Starts a node: its address is bound and it serves when this returns. It is not ready, and
    /// takes no connections, before `opened`.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None).await
    }

    /// Whether the files that a configuration names can be used: payload rules, keys of tokens, the
    /// certificate and its key. A key or certificate that does not exist here gives a warning:
    /// secrets are where the node runs.
    pub fn check_files(config: &Config) -> Result<Vec<String>, StartError> {
        read_rules(config)?;
        let mut missing = Vec::new();
        match KeySources::read(&config.auth) {
            Err(KeySourceError::Read { key, path, error }) if error.kind() == NotFound => {
                missing.push(format!("{} (key {key}) does not exist here", path.display()));
            }
            read => drop(read?),
        }
        match config.tls.files().map_or(Ok(()), |files| CertificateFiles::check(&files)) {
            Err(PairError::Read(path, NotFound)) => {
                missing.push(format!("{path} (section tls) does not exist here"));
            }
            checked => checked?,
        }
        Ok(missing)
    }

    /// As `start`, with a fault in the node.
    #[doc(hidden)]
    pub async fn start_with(
        config: Config,
        fault: Option<InjectedFault>,
    ) -> Result<Self, StartError> {
        Self::start_for(NodePurpose::Rooms, config, fault).await
    }

    async fn start_for(
        purpose: NodePurpose,
        config: Config,
        fault: Option<InjectedFault>,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let descriptors = descriptors::raise(&metrics);
        let demo_key = NewApiKey::generate(OWN_KEY_NAME, rand::random::<[u8; API_SECRET_BYTES]>())
            .expect("the name is valid");
        let settings = Settings::new(&config, descriptors, &metrics);
        let mut settings = settings.with_demo(&config, &demo_key, &metrics);
        settings.fault = fault.clone();
        settings.purpose = purpose;
        let keys = Arc::new(TokenKeys::default());
        keys.configure(KeySources::read(&config.auth)?);
        settings.rules = read_rules(&config)?;
        let certificate = match config.tls.files() {
            Some(files) => {
                let (server, files) = CertificateFiles::start(files, metrics.tls.clone())?;
                settings.tls = Some(server);
                Some(files)
            }
            None => None,
        };
        let listener = acceptor::bind(config.http.listen, &settings.limits)
            .map_err(|error| StartError::Listen(config.http.listen, "http.listen", error))?;
        let address = listener.local_addr()?;

        let tracer = Tracer::start(&config.traces, &config.node.id)
            .map_err(|error| StartError::System(io::Error::other(error)))?;
        let (settings, watched) = watch::channel(Arc::new(settings));
        let (drain, drains) = watch::channel(None);
        let (queues, events): (Vec<_>, Vec<_>) =
            (0..config.node.workers).map(|_| worker_queue()).unzip();
        let (hub, commands) = HubHandle::new();
        let peers = Arc::new(PeerDesk::new(config.node.id.clone()));
        peers.ask_own_by(queues.len(), question_way(&queues));
        let channels = (queues, commands);
        let mut thread =
            HubThread::start(&config, &metrics, channels, watched.clone(), peers.clone()).await?;
        let (bus, opened) = (thread.bus.clone(), thread.opened.take());

        let apart = config.http.metrics_listen.is_some();
        let status = NodeStatus::new(bus.clone(), metrics.clone(), config.node.workers, apart);
        let status = Arc::new(status.with_peers(peers.clone()));
        status.await_keys(keys.is_awaited());
        let key_fetch = key_fetch::run(keys.clone(), status.clone(), metrics.connections.clone());
        let mut tasks = vec![
            tokio::spawn(status.orders.clone().follow()),
            tokio::spawn(status.users.clone().follow()),
            tokio::spawn(status.receipts.clone().follow()),
            tokio::spawn(peers.follow(bus.clone())),
        ];
        let node = config.node.id.clone();
        let (own, settings_of_board) = ((bus.clone(), metrics.clone()), watched.clone());
        let board = FigureBoard::new(node, own, tracer.clone(), status.clone(), settings_of_board);
        tasks.push(tokio::spawn(board.run()));
        let metrics_address = match config.http.metrics_listen {
            Some(listen) => {
                let (address, task) = monitor::start(listen, status.clone(), config.http.clone())
                    .await
                    .map_err(|error| StartError::Listen(listen, "http.metrics_listen", error))?;
                tasks.push(task);
                Some(address)
            }
            None => None,
        };
        let admin_address = match config.http.admin_listen {
            Some(listen) => {
                let (bus, tracer, metrics) = (bus.clone(), tracer.clone(), metrics.clone());
                let (settings, status) = (watched.clone(), status.clone());
                let node = AdminNode { bus, settings, tracer, metrics, status };
                let (address, task) = admin::start(listen, node)
                    .await
                    .map_err(|error| StartError::Listen(listen, "http.admin_listen", error))?;
                tasks.push(task);
                Some(address)
            }
            None => None,
        };
        let users: Arc<UserLimits> = Arc::default();
        let is_alone = config.node.workers == 1;
        let mut workers = Vec::new();
        let mut senders: Vec<mpsc::Sender<Handoff>> = Vec::new();
        for (index, events) in events.into_iter().enumerate() {
            let (sender, sockets) = mpsc::channel(HANDOFFS);
            senders.push(sender);
            workers.push(WorkerParts {
                index,
                node: config.node.id.clone(),
                bus: bus.clone(),
                hub: hub.clone(),
                metrics: metrics.clone(),
                tracer: tracer.clone(),
                keys: keys.clone(),
                status: status.clone(),
                users: users.clone(),
                settings: watched.clone(),
                drain: drains.clone(),
                events,
                sockets,
                listener: is_alone.then(|| listener.try_clone()).transpose()?,
            });
        }
        drop(hub);
        let ended = thread.start_workers(workers)?;
        let acceptor = match senders.pop() {
            Some(only) if is_alone => Acceptor::alone(listener, only),
            last => {
                senders.extend(last);
                Acceptor::start(listener, senders, (status.clone(), watched))?
            }
        };
        let (node, workers) = (&config.node.id, config.node.workers);
        let tls = certificate.is_some();
        tracing::info!(%node, %address, tls, workers, rooms = bus.place(), "listening");
        Ok(Self {
            address,
            metrics_address,
            admin_address,
            config,
            descriptors,
            metrics,
            tracer,
            keys,
            demo_key,
            key_fetch: tokio::spawn(key_fetch),
            settings,
            drain,
            bus,
            opened,
            status,
            acceptor,
            tasks,
            certificate,
            ended,
        })
    }

    /// Waits until the bus was reached for the first time, however long its Redis is away; at once
    /// for the bus in memory. After an error the node never becomes ready: stop it. Cancel-safe.
    pub async fn opened(&mut self) -> Result<(), StartError> {
        if let Some(opened) = &mut self.opened {
            let opened = opened.await;
            self.opened = None;
            opened.map_err(|_| io::Error::other("the hub's thread ended"))??;
        }
        self.status.orders.first_read().await;
        Ok(())
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` is served, if it has an address of its own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Where the routes of backends are served, if they have an address of their own.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Ends the node: nobody is let in any more, every connection is closed with 1012, and the
    /// threads end.
    pub async fn stop(self) {
        self.stop_within(CLOSE_TIMEOUT).await;
    }

    async fn stop_within(self, farewell: Duration) {
        self.status.close();
        self.acceptor.close();
        drop(self.acceptor);
        self.key_fetch.abort();
        self.tasks.iter().for_each(JoinHandle::abort);
        self.status.peers.leave(&self.bus);
        let deadline = Instant::now() + farewell;
        for ended in self.ended {
            // An error means the same: the thread has ended.
            let _ended = timeout_at(deadline, ended).await;
        }
        self.tracer.finish().await;
        tracing::info!(connections = self.metrics.connections.all_open(), "stopped");
    }
}
