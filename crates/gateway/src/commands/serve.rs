//! `roomcast serve`: runs a node until SIGTERM or SIGINT; SIGHUP reloads its configuration, SIGUSR1
//! and SIGUSR2 do nothing. Rust ignores SIGPIPE: a log that nobody reads ends nothing.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use roomcast_gateway::Node;
use roomcast_gateway::config::{self, Config, LogConfig, LogFormat};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

pub(crate) use config::ServeArgs;

/// Changes the log's filter while the node runs.
type Filter = reload::Handle<EnvFilter, Registry>;

/// What the program says first when it gives up.
const NOT_STARTED: &str = "the node did not start";

/// Runs a node. The configuration is read and valid before anything else happens.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(args)?;
    let filter = start_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args, config, &filter))
}

async fn serve(args: &ServeArgs, config: Config, filter: &Filter) -> anyhow::Result<ExitCode> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    if config.insecure && !config.http.listen.ip().is_loopback() {
        tracing::warn!(listen = %config.http.listen, "insecure: whoever reaches this port reads and writes every room");
    }
    let mut unused = [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?];
    let mut node = Node::start(config).await.context(NOT_STARTED)?;
    let mut is_open = false;
    loop {
        tokio::select! {
            // Redis may be away for long: meanwhile all else is served.
            opened = node.opened(), if !is_open => match opened {
                Ok(()) => is_open = true,
                Err(error) => {
                    node.stop().await;
                    return Err(error).context(NOT_STARTED);
                }
            },
            _ = hang_up.recv() => take_over(args, &mut node, filter).await,
            () = any(&mut unused) => tracing::info!("SIGUSR1 and SIGUSR2 do nothing"),
            () = any(&mut ends) => break,
        }
    }
    match is_open {
        true => node.drain(any(&mut ends)).await,
        // Nobody is connected.
        false => node.stop().await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn any(signals: &mut [Signal; 2]) {
    let [first, second] = signals;
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}

/// SIGHUP: a configuration that is not valid changes nothing.
async fn take_over(args: &ServeArgs, node: &mut Node, filter: &Filter) {
    let new = match config::reload(args, node.config()) {
        Ok(new) => new,
        Err(error) => return tracing::error!("the configuration stays as it is: {error}"),
    };
    node.reload(&new).await;
    match EnvFilter::try_new(&new.log.level) {
        Ok(level) => {
            if let Err(error) = filter.reload(level) {
                tracing::error!("the log level stays as it is: {error}");
            }
        }
        Err(error) => tracing::error!("log.level: {error}"),
    }
}

/// Logs go to stderr: stdout belongs to whoever pipes it.
fn start_log(config: &LogConfig) -> anyhow::Result<Filter> {
    let filter = EnvFilter::try_new(&config.level).context("log.level")?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).init();
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(layer).init();
        }
    }
    Ok(handle)
}
