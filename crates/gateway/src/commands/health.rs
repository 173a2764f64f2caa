//! `roomcast health`: asks the node of this machine whether it is ready; for container checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use roomcast_gateway::config::{self, ServeArgs};
use roomcast_gateway::fetch;
use tokio::time::timeout;

/// A node that takes longer to say so is not well.
const ANSWER: Duration = Duration::from_secs(2);

/// What `roomcast health` is asked: the node is found by its own configuration.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    node: ServeArgs,
    /// Ask whether it lives; else whether it is ready
    #[arg(long)]
    live: bool,
}

/// Prints the node's answer; ends with 1 unless it is a yes.
pub(crate) async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let http = config::load(&args.node)?.http;
    let address = reachable(http.metrics_listen.unwrap_or(http.listen));
    let path = if args.live { "/health/live" } else { "/health/ready" };
    let asked = timeout(ANSWER, ask(address, path)).await;
    let (status, body) = asked
        .with_context(|| format!("{address} did not answer within {ANSWER:?}"))?
        .with_context(|| format!("asking {address}"))?;
    println!("{body}");
    Ok(if status == StatusCode::OK { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where this machine reaches what listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Bytes::new())?;
    let answer = fetch(address, request).await.map_err(anyhow::Error::from_boxed)?;
    Ok((answer.status(), String::from_utf8_lossy(answer.body()).into_owned()))
}
