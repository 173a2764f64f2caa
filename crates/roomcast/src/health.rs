//! `roomcast health`: asks the node of this machine whether it is ready; for container checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use roomcast_gateway::config::{self, ServeArgs, Setting};
use roomcast_gateway::{fetch, fetch_unverified};
use tokio::time::timeout;

use crate::terminal::plain;

/// A node that takes longer to answer counts as not well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What `roomcast health` is asked: the node is found by its own configuration. The other flags that
/// a node is configured by are taken and not offered: none of them says where it listens.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The node's TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the node listens, if neither its file nor the environment says so
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Ask whether it lives; else whether it is ready
    #[arg(long)]
    live: bool,
    #[arg(long, hide = true)]
    redis_url: Option<String>,
    #[arg(long, hide = true)]
    node_id: Option<String>,
    #[arg(long, hide = true)]
    insecure: bool,
    #[arg(long, hide = true)]
    set: Vec<Setting>,
}

impl HealthArgs {
    /// Where the node may listen is the node's own question, so not asked again.
    fn node(self) -> ServeArgs {
        let Self { config, listen, redis_url, node_id, set, insecure: _given, live: _ } = self;
        ServeArgs { config, listen, redis_url, node_id, insecure: true, set }
    }
}

/// Prints the node's answer; ends with 1 unless it is a yes.
pub(crate) async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let path = if args.live { "/health/live" } else { "/health/ready" };
    let config = config::load(&args.node())?;
    let (scheme, listen) = match (config.http.metrics_listen, config.tls.files()) {
        (Some(apart), _) => (Scheme::Http, apart),
        (None, Some(_)) => (Scheme::Https, config.http.listen),
        (None, None) => (Scheme::Http, config.http.listen),
    };
    let address = reachable(listen);
    let asked = timeout(ANSWER_TIMEOUT, ask(scheme, address, path)).await;
    let (status, body) = asked
        .with_context(|| format!("{address} did not answer within {ANSWER_TIMEOUT:?}"))?
        .with_context(|| format!("asking {address}"))?;
    println!("{}", plain(&body));
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

/// What the node speaks where it is asked.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

async fn ask(
    scheme: Scheme,
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<(StatusCode, String)> {
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Bytes::new())?;
    let answer = match scheme {
        Scheme::Http => fetch(address, request).await,
        Scheme::Https => fetch_unverified(address, request).await,
    };
    let answer = answer.map_err(anyhow::Error::from_boxed)?;
    Ok((answer.status(), String::from_utf8_lossy(answer.body()).into_owned()))
}
