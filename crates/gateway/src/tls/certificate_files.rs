//! The files of the certificate and the key: read at the start, looked at every few seconds and at a
//! reload, by content and through symbolic links. A pair that is not good leaves the old one in
//! force.

use std::path::{Path, PathBuf};
use std::time::Duration;

use roomcast_metrics::TlsMetrics;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::pair::{CertificatePair, PairError};
use super::server::TlsServer;

/// How often the files are read. A bad pair is judged at the second look: programs that renew a
/// certificate write one file after the other.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the certificate and the key are.
pub(crate) type PairPaths = (PathBuf, PathBuf);

/// The files of a node that runs.
#[derive(Debug)]
pub(crate) struct CertificateFiles {
    paths: watch::Sender<PairPaths>,
    task: JoinHandle<()>,
}

/// The files' bytes, or why they cannot be read.
type PairBytes = Result<(Vec<u8>, Vec<u8>), PairError>;

impl CertificateFiles {
    /// Reads the pair and begins to watch its files, on the current runtime.
    /// Whether the files hold a pair that can be used.
    pub(crate) fn check(paths: &PairPaths) -> Result<(), PairError> {
        let (cert, key) = read(paths)?;
        CertificatePair::read(&cert, &key).map(drop)
    }

    pub(crate) fn start(
        paths: PairPaths,
        metrics: TlsMetrics,
    ) -> Result<(TlsServer, Self), PairError> {
        let read = read(&paths)?;
        let pair = CertificatePair::read(&read.0, &read.1)?;
        let server = TlsServer::new(&pair).map_err(|_| PairError::Key)?;
        metrics.certificate_end.set(pair.ends());
        let (paths, changes) = watch::channel(paths);
        let watched = Watched { server: server.clone(), metrics, used: read, doubted: None };
        let task = tokio::spawn(watched.run(changes));
        Ok((server, Self { paths, task }))
    }

    /// Looks at these files now.
    pub(crate) fn reload(&self, paths: PairPaths) {
        self.paths.send_replace(paths);
    }
}

impl Drop for CertificateFiles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of the files.
struct Watched {
    server: TlsServer,
    metrics: TlsMetrics,
    /// The files' bytes of the pair in force.
    used: (Vec<u8>, Vec<u8>),
    /// What the last look found, if that is no good pair; and whether that was said.
    doubted: Option<(PairBytes, Doubt)>,
}

/// How far a pair that is not good was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// It may be half written.
    New,
    /// It was counted and logged.
    Said,
}

impl Watched {
    async fn run(mut self, mut changes: watch::Receiver<PairPaths>) {
        loop {
            let asked = match timeout(LOOK_INTERVAL, changes.changed()).await {
                Ok(Ok(())) => true,
                Err(_time_to_look) => false,
                Ok(Err(_node_ended)) => return,
            };
            let paths = changes.borrow_and_update().clone();
            // A file system may be slow, and this thread has the signals.
            let Ok(found) = spawn_blocking(move || read(&paths)).await else { continue };
            if asked {
                // A reload judges at once.
                self.doubted = Some((found.clone(), Doubt::New));
            }
            self.look(found);
        }
    }

    fn look(&mut self, found: PairBytes) {
        if found.as_ref().is_ok_and(|found| *found == self.used) {
            self.doubted = None;
            return;
        }
        let judged = match &found {
            Ok((cert, key)) => CertificatePair::read(cert, key),
            Err(error) => Err(error.clone()),
        };
        match judged {
            Ok(pair) => {
                self.server.replace(&pair);
                self.metrics.certificate_end.set(pair.ends());
                tracing::info!(ends = pair.ends(), "tls: another certificate is in force");
                self.doubted = None;
                if let Ok(found) = found {
                    self.used = found;
                }
            }
            Err(error) => match &mut self.doubted {
                Some((known, doubt)) if *known == found => {
                    if std::mem::replace(doubt, Doubt::Said) == Doubt::New {
                        self.metrics.reload_failures.inc();
                        tracing::error!("tls: the certificate stays as it is: {error}");
                    }
                }
                _ => self.doubted = Some((found, Doubt::New)),
            },
        }
    }
}

fn read((cert, key): &PairPaths) -> PairBytes {
    Ok((read_file(cert)?, read_file(key)?))
}

fn read_file(path: &Path) -> Result<Vec<u8>, PairError> {
    use std::io::Read;
    let failed = |error: std::io::Error| PairError::Read(path.display().to_string(), error.kind());
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
