//! `roomcast echo`: a node that sends every message back, so that test suites such as Autobahn's can
//! test the WebSockets of a node. No part of an installation: the help does not list it.

use std::net::SocketAddr;
use std::process::ExitCode;

use roomcast_gateway::Node;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(crate) struct EchoArgs {
    /// Where clients connect; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(args: EchoArgs) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut node = Node::start_echo(args.listen).await?;
    node.opened().await?;
    println!("ws://{}/", node.address());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    node.stop().await;
    Ok(ExitCode::SUCCESS)
}
