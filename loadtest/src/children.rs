//! Processes that a test starts: each is ended by its own pid when its handle is dropped, and all
//! of them when the test is interrupted.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    /// Set by a test that ends more than these processes itself when it finds that it is over.
    unwinds: bool,
}

/// The exit code of an interrupted test, as shells have it for SIGINT.
pub(crate) const INTERRUPTED: i32 = 130;
/// How long an interrupted test that ends itself may take for it.
const UNWIND: Duration = Duration::from_secs(10);

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
            if watched.end_all() {
                std::thread::sleep(UNWIND);
            }
            std::process::exit(INTERRUPTED);
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

    /// Starts a process to talk with over its stdin and stdout.
    pub(crate) fn start_and_talk(
        &self,
        command: &mut Command,
    ) -> Result<(Running, ChildStdin, ChildStdout)> {
        let (running, output) = self.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let mut list = self.lock();
        let child = list.running.iter_mut().find(|child| child.id() == running.pid);
        let input = child.and_then(|child| child.stdin.take());
        drop(list);
        Ok((running, input.context("no stdin")?, output.context("no stdout")?))
    }

    fn spawn(&self, command: &mut Command) -> Result<(Running, Option<ChildStdout>)> {
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

    /// From now on an interrupted test has some seconds to end by itself: it owns processes that
    /// are not in this list. It looks at `is_over`.
    pub(crate) fn unwind(&self) {
        self.lock().unwinds = true;
    }

    /// Whether the test was interrupted.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Whether an interrupt has ended them, of a test that does not end itself.
    pub(crate) fn were_interrupted(&self) -> bool {
        let list = self.lock();
        list.over && !list.unwinds
    }

    /// Ends all; true if the test ends by itself.
    fn end_all(&self) -> bool {
        let mut list = self.lock();
        list.over = true;
        list.running.iter_mut().for_each(end);
        list.unwinds
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
        match self.ended()? {
            Some(status) => bail!("process {} has ended: {status}", self.pid),
            None => Ok(()),
        }
    }

    /// How the process has ended, if it has.
    pub(crate) fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut list = self.children.lock();
        let child = list.running.iter_mut().find(|child| child.id() == self.pid);
        Ok(child.context("the process was ended")?.try_wait()?)
    }

    /// Sends it a signal by its name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        let status = status.context("the command kill")?;
        if !status.success() {
            bail!("kill -{name} {}: {status}", self.pid);
        }
        Ok(())
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
