//! A folder with an authority, a node that shows a certificate of it, and TLS clients that trust it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use roomcast_gateway::config::Config;
use roomcast_testkit::{CertificateAuthority, CertificateKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{TestNode, soon};

/// The authority of a test and the node's pair, `node.pem` and `node.key`.
pub struct Scene {
    pub folder: TempDir,
}

impl Scene {
    pub fn new(kind: CertificateKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        CertificateAuthority::create(folder.path()).sign("node", kind);
        Self { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs another pair with the same authority.
    pub fn sign(&self, name: &str, kind: CertificateKind) {
        let folder = self.folder.path();
        CertificateAuthority::at(folder).sign(name, kind);
    }

    /// The settings of a node with TLS, whose metrics have an address of their own.
    pub fn settings(&self) -> [String; 3] {
        let file = |name| self.file(name).display().to_string();
        let (cert, key) = (file("node.pem"), file("node.key"));
        let apart = "http.metrics_listen=127.0.0.1:0".to_owned();
        [format!("tls.cert={cert}"), format!("tls.key={key}"), apart]
    }

    pub fn config(&self, settings: &[&str]) -> Config {
        let own = self.settings();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        TestNode::config(&[&own, settings].concat())
    }

    pub async fn node(&self, settings: &[&str]) -> TestNode {
        let own = self.settings();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        TestNode::start(&[&own, settings].concat()).await
    }

    /// A client's rules: it trusts the authority and speaks these versions.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// A TLS connection to 127.0.0.1.
pub async fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    TlsConnector::from(config).connect(address.ip().into(), tcp).await
}

/// A WebSocket behind TLS that speaks JSON.
pub struct SecureClient {
    pub socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl SecureClient {
    pub async fn open(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let stream = soon("a TLS handshake", connect(address, config)).await.unwrap();
        Self::over(stream, address).await
    }

    pub async fn over(stream: TlsStream<TcpStream>, address: SocketAddr) -> Self {
        let url = format!("wss://{address}/ws");
        let (socket, _) = soon("an upgrade", client_async(url, stream)).await.unwrap();
        let mut client = Self { socket };
        assert_eq!(client.next().await["type"], "connected");
        client
    }

    pub async fn send(&mut self, frame: &Value) {
        let sent = self.socket.send(Message::text(frame.to_string()));
        soon("a frame sent", sent).await.unwrap();
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        loop {
            match soon("a frame", self.socket.next()).await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next frame of a type.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            assert_ne!(frame["type"], "error", "{frame}");
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    pub async fn join(&mut self, room: &str) {
        self.send(&json!({"type": "join", "id": 1, "rooms": [{"room": room}]})).await;
        self.next_of("joined").await;
    }

    /// Publishes and waits for the ack.
    pub async fn publish(&mut self, room: &str, data: &Value) {
        let frame = json!({"type": "publish", "id": 2, "room": room, "data": data, "echo": false});
        self.send(&frame).await;
        self.next_of("ack").await;
    }
}
