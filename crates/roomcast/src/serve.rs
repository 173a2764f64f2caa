//! `roomcast serve`: runs a node until SIGTERM or SIGINT; SIGHUP reloads its configuration, SIGUSR1
//! and SIGUSR2 do nothing. Rust ignores SIGPIPE: a log without a reader ends nothing.

use std::process::ExitCode;

use anyhow::Context;
use roomcast_access::policy::Authentication;
use roomcast_gateway::Node;
use roomcast_gateway::config::{self, Config};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use config::ServeArgs;

use crate::log::{self, Filter};

/// What the program says first when it gives up.
const NOT_STARTED: &str = "the node did not start";

/// Runs a node. The configuration is read and valid before anything else happens.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(args)?;
    let filter = log::start(&config.log).context("log.level")?;
    for warning in config::warnings(args) {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    keep_pages_small();
    runtime.block_on(serve(args, config, &filter))
}

/// The kernel clears a page when it is first touched: of 2 MiB at a time that stops a worker for as
/// long as a whole turn, whenever a crowd makes memory grow. Small pages are cleared one by one.
fn keep_pages_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!("transparent huge pages stay: {error}");
    }
}

async fn serve(args: &ServeArgs, config: Config, filter: &Filter) -> anyhow::Result<ExitCode> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let is_public = config.auth.authentication() == Authentication::NotConfigured;
    if is_public && config.insecure && !config.http.listen.ip().is_loopback() {
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
        Err(error) => {
            let error = error.to_string().replace('\n', "; ");
            return tracing::error!("the configuration stays as it is: {error}");
        }
    };
    node.reload(&new).await;
    if let Err(error) = filter.change(&node.config().log) {
        tracing::error!("the log level stays as it is: {error}");
    }
}
