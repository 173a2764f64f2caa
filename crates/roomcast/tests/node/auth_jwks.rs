//! Keys of an identity provider: fetched before the node is ready, replaced without one handshake
//! refused, and never at a stranger's word.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::auth::now;
use crate::support::{Response, TestNode, eventually, get};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomcast_protocol::Encoding;
use roomcast_testkit::{CertificateAuthority, CertificateKind};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A key pair for ES256 under a name.
struct NamedKey {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl NamedKey {
    fn new(kid: &'static str) -> Self {
        Self { kid, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn jwk(&self) -> String {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        format!(r#"{{"kty":"EC","crv":"P-256","kid":"{}","x":"{x}","y":"{y}"}}"#, self.kid)
    }

    fn token(&self, user: &str) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(Algorithm::ES256) };
        let claims = serde_json::json!({ "sub": user, "exp": now() + 600 });
        let der = self.pair.to_pkcs8v1().unwrap();
        let key = EncodingKey::from_ec_der(der.as_ref());
        encode(&header, &claims, &key).unwrap()
    }
}

/// A server of one JWKS. It answers 503 as long as there is none.
struct KeyServer {
    address: SocketAddr,
    body: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<usize>>,
}

impl KeyServer {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    /// By https with this certificate and its key, if they are given.
    async fn start_with(pair: Option<(PathBuf, PathBuf)>) -> Self {
        let tls = pair.map(|(cert, key)| TlsAcceptor::from(Arc::new(server_config(&cert, &key))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (body, asked) = (Arc::new(Mutex::new(None::<String>)), Arc::new(Mutex::new(0)));
        let (served, counted) = (body.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let body = || {
                    *counted.lock().unwrap() += 1;
                    served.lock().unwrap().clone()
                };
                match &tls {
                    None => answer(socket, body).await,
                    // Who does not trust the certificate asks for nothing.
                    Some(tls) => match tls.accept(socket).await {
                        Ok(socket) => answer(socket, body).await,
                        Err(_distrust) => continue,
                    },
                }
            }
        });
        Self { address, body, asked }
    }

    fn serve(&self, keys: &[&NamedKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        *self.body.lock().unwrap() = Some(format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    fn settings(&self) -> Vec<String> {
        let url = format!("auth.jwks_url=http://{}/jwks.json", self.address);
        vec![url, "auth.query_token=true".to_owned()]
    }
}

fn server_config(cert: &Path, key: &Path) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider);
    let rules = versions.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    rules.with_single_cert(chain, key).unwrap()
}

/// Answers one request, by 503 without a body.
async fn answer(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    body: impl FnOnce() -> Option<String>,
) {
    let mut head = [0; 4096];
    let _whole_head = socket.read(&mut head).await;
    let (status, body) = match body() {
        Some(body) => ("200 OK", body),
        None => ("503 Service Unavailable", String::new()),
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    let _client_may_be_gone = socket.write_all(answer.as_bytes()).await;
    let _closed = socket.shutdown().await;
}

async fn ask(node: &TestNode, token: &str) -> Response {
    get(node.address(), &format!("/ws?token={token}")).await
}

#[tokio::test]
async fn keys_come_before_the_node_is_ready_and_change_without_a_break() {
    let server = KeyServer::start().await;
    let settings = server.settings();
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let node = TestNode::start(&settings).await;
    let [one, two, stranger] = ["one", "two", "stranger"].map(NamedKey::new);

    // No keys yet: not ready, and a token that needs them may be tried again.
    let ready = get(node.address(), "/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("keys_missing"), "{}", ready.body);
    let early = ask(&node, &one.token("alice")).await;
    assert_eq!(early.status, 503, "{early:?}");
    assert!(early.body.contains("not_ready"), "{early:?}");
    assert!(early.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);

    server.serve(&[&one]);
    eventually("the first keys", async || get(node.address(), "/health/ready").await.status == 200)
        .await;
    assert_eq!(ask(&node, &one.token("alice")).await.status, 426);
    assert!(node.scrape().await.sum("roomcast_jwks_fetched_timestamp_seconds") > 0.0);

    // Another key is fetched when the first token names it; the handshake waits for that.
    server.serve(&[&one, &two]);
    let client = node.with_token(Encoding::Json, &two.token("bob")).await;
    assert_eq!(ask(&node, &one.token("alice")).await.status, 426);

    // A stranger's name costs no further fetch within ten seconds, and is not final.
    let asked = server.asked();
    let refused = ask(&node, &stranger.token("eve")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(server.asked(), asked);
    // A known name with another key behind it needs no fetch to be refused.
    let forged = NamedKey::new("one").token("eve");
    let refused = ask(&node, &forged).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    drop(client);
    node.stop().await;
}

/// The first fetch began after the name was asked for, and lacks it.
#[tokio::test]
async fn a_name_that_a_fetch_lacks_is_refused() {
    let server = KeyServer::start().await;
    let [one, stranger] = ["one", "stranger"].map(NamedKey::new);
    server.serve(&[&one]);
    let settings = server.settings();
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let node = TestNode::start(&settings).await;
    eventually("the first keys", async || get(node.address(), "/health/ready").await.status == 200)
        .await;
    let refused = ask(&node, &stranger.token("eve")).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(refused.body.contains("bad_token") && !refused.body.contains("stranger"));
    node.stop().await;
}

/// Over https the server is known by an authority of the configuration, and by no other.
#[tokio::test]
async fn keys_come_by_https_from_a_server_that_is_known() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let own = CertificateAuthority::create(folders[0].path());
    let other = CertificateAuthority::create(folders[1].path());
    let server = KeyServer::start_with(Some(own.sign("id", CertificateKind::Ecdsa))).await;
    let one = NamedKey::new("one");
    server.serve(&[&one]);
    let settings = |authority: &CertificateAuthority<'_>| {
        let port = server.address.port();
        [
            format!("auth.jwks_url=https://localhost:{port}/jwks.json"),
            format!("auth.jwks_ca={}", authority.file().display()),
            "auth.query_token=true".to_owned(),
        ]
    };
    let known = TestNode::start(&settings(&own).each_ref().map(String::as_str)).await;
    eventually("the keys", async || get(known.address(), "/health/ready").await.status == 200)
        .await;
    assert_eq!(ask(&known, &one.token("alice")).await.status, 426);

    let asked = server.asked();
    let stranger = TestNode::start(&settings(&other).each_ref().map(String::as_str)).await;
    let failures = "roomcast_jwks_fetch_failures_total";
    eventually("a failure", async || stranger.scrape().await.sum(failures) > 0.0).await;
    assert_eq!(ask(&stranger, &one.token("alice")).await.status, 503);
    assert_eq!(server.asked(), asked);
    for node in [known, stranger] {
        node.stop().await;
    }
}
