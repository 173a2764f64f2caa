//! The application that readers pull from: one thread that answers every GET with the state, over
//! connections that stay open.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest head of a request that is waited for.
const HEAD_BYTES: usize = 1024;

/// The state, as the answer that is sent.
type Answer = Arc<Mutex<Arc<[u8]>>>;

/// The running application; it ends with the process.
pub(super) struct Application {
    pub(super) addr: SocketAddr,
    answer: Answer,
    /// Where the kernel says how long its thread ran.
    usage: String,
}

impl Application {
    pub(super) fn start(state: &str) -> Result<Self> {
        let answer: Answer = Arc::new(Mutex::new(written(state)));
        let (report, started) = std::sync::mpsc::channel();
        let shown = Arc::clone(&answer);
        let serve = move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let thread = std::fs::read_link("/proc/thread-self")?;
                let usage = format!("/proc/{}/schedstat", thread.display());
                report.send((listener.local_addr()?, usage))?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(answer_all(stream, Arc::clone(&shown)));
                }
            })
        };
        std::thread::Builder::new().name("application".to_owned()).spawn(serve)?;
        let (addr, usage) = started.recv().context("the application did not start")?;
        Ok(Self { addr, answer, usage })
    }

    /// From now on this is the state.
    pub(super) fn set(&self, state: &str) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = written(state);
    }

    /// CPU time of its thread.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        let usage = std::fs::read_to_string(&self.usage).context("the application's thread")?;
        let nanos = usage.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(nanos))
    }
}

fn written(state: &str) -> Arc<[u8]> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        state.len()
    );
    [head.as_bytes(), state.as_bytes()].concat().into()
}

/// A link that fails is its reader's business.
async fn answer_all(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    loop {
        if stream.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES {
            return Ok(());
        }
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            head.drain(..end + 4);
            let now = Arc::clone(&answer.lock().unwrap_or_else(PoisonError::into_inner));
            stream.write_all(&now).await?;
        }
    }
}
