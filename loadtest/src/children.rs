//! Processes that a test starts: each is ended by its own pid when its handle is dropped, and all
//! of them when the test is interrupted.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

/// The processes that run now. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Children {
    list: Arc<Mutex<List>>,
}

#[derive(Debug, Default)]
struct List {
    running: Vec<Child>,
    /// Set when everything is being ended: nothing may start any more.
    over: bool,
}

/// One running process; dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Running {
    pid: u32,
    children: Children,
}

impl Children {
    /// A list that is emptied when this process gets SIGINT or SIGTERM, which then ends it.
    pub(crate) fn watched() -> Result<Self> {
        let children = Self::default();
        let watched = children.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(interrupted());
            watched.end_all();
            std::process::exit(130);
        })?;
        Ok(children)
    }

    /// Starts a process.
    pub(crate) fn start(&self, command: &mut Command) -> Result<Running> {
        self.spawn(command).map(|(running, _)| running)
    }

    /// Starts a process and waits for its first line of output.
    pub(crate) fn start_and_listen(&self, command: &mut Command) -> Result<(Running, String)> {
        let (running, output) = self.spawn(command.stdout(Stdio::piped()))?;
        let mut line = String::new();
        BufReader::new(output.context("the process has no output")?).read_line(&mut line)?;
        if line.is_empty() {
            bail!("{command:?} ended before it was ready");
        }
        Ok((running, line.trim().to_owned()))
    }

    fn spawn(&self, command: &mut Command) -> Result<(Running, Option<std::process::ChildStdout>)> {
        // Held while the process starts: an interrupt finds it in the list or prevents it.
        let mut list = self.lock();
        if list.over {
            bail!("interrupted");
        }
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let (pid, output) = (child.id(), child.stdout.take());
        list.running.push(child);
        drop(list);
        Ok((Running { pid, children: self.clone() }, output))
    }

    fn end_all(&self) {
        let mut list = self.lock();
        list.over = true;
        list.running.iter_mut().for_each(end);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Fails if the process has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        let mut list = self.children.lock();
        let child = list.running.iter_mut().find(|child| child.id() == self.pid);
        match child.context("the process was ended")?.try_wait()? {
            Some(status) => bail!("process {} has ended: {status}", self.pid),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut list = self.children.lock();
        if let Some(at) = list.running.iter().position(|child| child.id() == self.pid) {
            end(&mut list.running.swap_remove(at));
        }
    }
}

/// Ends and reaps a process; one that has ended already is only reaped.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// A listener with a backlog that holds a burst of connections.
pub(crate) fn listener(at: SocketAddr, backlog: i32) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into()).with_context(|| format!("listening on {at}"))?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A port that was free a moment ago, for servers that cannot say which one they took.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_handle_ends_its_process() {
        let children = Children::default();
        let running = children.start(Command::new("sleep").arg("600")).unwrap();
        let pid = running.pid();
        running.check().unwrap();
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        assert!(children.lock().running.is_empty());
    }

    #[test]
    fn a_process_that_ends_early_is_noticed() {
        let children = Children::default();
        let error = children.start_and_listen(&mut Command::new("true")).unwrap_err();
        assert!(error.to_string().contains("before it was ready"), "{error}");
        let mut echo = Command::new("echo");
        assert_eq!(children.start_and_listen(echo.arg("hello")).unwrap().1, "hello");
    }
}
