//! Another certificate while the node runs: no handshake fails, no connection ends, and a pair that
//! is not good changes nothing.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};

use crate::certificates::{Scene, SecureClient, connect};
use crate::support::{TestNode, eventually};
use roomcast_gateway::{Node, StartError};
use roomcast_testkit::CertificateKind;

/// Whether the node shows this certificate to a client that was never there.
async fn shows(scene: &Scene, node: &TestNode, name: &str) -> bool {
    let stream = connect(node.address(), scene.client(&[&TLS13])).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    shown == CertificateDer::from_pem_file(scene.file(name)).unwrap()
}

/// Handshakes that were done, those that failed, and whether to stop.
type Shaken = (Rc<Cell<u32>>, Rc<Cell<u32>>, Rc<Cell<bool>>);

/// Shakes hands until `stop` is set; counts those that failed.
async fn shake_hands(
    node: std::net::SocketAddr,
    config: Arc<ClientConfig>,
    (done, failed, stop): Shaken,
) {
    while !stop.get() {
        match connect(node, config.clone()).await {
            Ok(_) => done.set(done.get() + 1),
            Err(_) => failed.set(failed.get() + 1),
        }
    }
}

/// As Kubernetes renews a secret: the files are links into a folder that is replaced as a whole.
#[tokio::test]
async fn a_certificate_changes_under_load_without_a_failed_handshake() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let place = |version: &str, kind| {
        scene.sign(version, kind);
        fs::create_dir(scene.file(&format!("..{version}"))).unwrap();
        for (from, to) in [("pem", "tls.crt"), ("key", "tls.key")] {
            let to = scene.file(&format!("..{version}")).join(to);
            fs::copy(scene.file(&format!("{version}.{from}")), to).unwrap();
        }
    };
    let point = |version: &str| {
        symlink(format!("..{version}"), scene.file("new")).unwrap();
        fs::rename(scene.file("new"), scene.file("..data")).unwrap();
    };
    place("first", CertificateKind::Ecdsa);
    place("second", CertificateKind::Rsa);
    point("first");
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), scene.file(name)).unwrap();
    }
    let file = |name| scene.file(name).display().to_string();
    let settings = [
        format!("tls.cert={}", file("tls.crt")),
        format!("tls.key={}", file("tls.key")),
        "http.metrics_listen=127.0.0.1:0".to_owned(),
    ];
    let node = TestNode::start(&settings.each_ref().map(String::as_str)).await;
    assert!(shows(&scene, &node, "first.pem").await);
    assert!(node.scrape().await.sum("roomcast_certificate_end_timestamp_seconds") > 1.7e9);
    let mut member = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
    member.join("room").await;

    let (done, failed, stop) = (Rc::default(), Rc::default(), Rc::default());
    let load = tokio::task::LocalSet::new();
    for config in [scene.client(&[&TLS13]), scene.client(&[&TLS12])] {
        let counters: Shaken = (Rc::clone(&done), Rc::clone(&failed), Rc::clone(&stop));
        load.spawn_local(shake_hands(node.address(), config, counters));
    }
    let changed = async {
        for (version, name) in [("second", "second.pem"), ("first", "first.pem")] {
            point(version);
            eventually(name, async || shows(&scene, &node, name).await).await;
        }
        stop.set(true);
    };
    load.run_until(changed).await;
    load.await;
    assert_eq!(failed.get(), 0, "of {}", done.get());
    assert!(done.get() > 0);
    // The connection that was there goes on.
    member.publish("room", &1.into()).await;
    node.stop().await;
}

#[tokio::test]
async fn a_bad_pair_changes_nothing_and_is_counted() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let mut node = scene.node(&["node.id=n"]).await;
    let failures = "roomcast_certificate_reload_failures_total";
    let good = fs::read(scene.file("node.pem")).unwrap();
    fs::copy(scene.file("node.pem"), scene.file("before.pem")).unwrap();
    scene.sign("other", CertificateKind::Ecdsa);
    // A certificate without its key, and no certificate: each is seen by itself, and said once.
    fs::copy(scene.file("other.pem"), scene.file("node.pem")).unwrap();
    node.until(failures, |count| count == 1.0).await;
    assert!(shows(&scene, &node, "before.pem").await);
    fs::write(scene.file("node.pem"), &good[..good.len() / 2]).unwrap();
    node.until(failures, |count| count == 2.0).await;
    assert!(shows(&scene, &node, "before.pem").await);
    // At a reload at once.
    fs::remove_file(scene.file("node.pem")).unwrap();
    let config = scene.config(&["node.id=n"]);
    node.node.reload(&config).await;
    node.until(failures, |count| count == 3.0).await;

    // Good again: files elsewhere, taken at a reload.
    let [_, key, apart] = scene.settings();
    let cert = format!("tls.cert={}", scene.file("before.pem").display());
    let moved = TestNode::config(&[&cert, &key, &apart, "node.id=n"]);
    assert_eq!(node.node.config().differences(&moved).reloadable, ["tls.cert"]);
    node.node.reload(&moved).await;
    assert_eq!(node.node.config().tls, moved.tls);
    assert!(shows(&scene, &node, "before.pem").await);

    // TLS itself stays as it is.
    let plain = TestNode::config(&[&apart, "node.id=n"]);
    node.node.reload(&plain).await;
    assert_eq!(node.node.config().tls, moved.tls);
    assert!(shows(&scene, &node, "before.pem").await);
    node.stop().await;
}

#[tokio::test]
async fn a_node_without_a_good_pair_does_not_start() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    scene.sign("other", CertificateKind::Rsa);
    let file = |name: &str| scene.file(name).display().to_string();
    for (cert, key, word) in [
        ("other.pem", "node.key", "does not fit"),
        ("node.key", "node.key", "tls.cert holds no certificate"),
        ("node.pem", "node.pem", "tls.key holds no private key"),
        ("none.pem", "node.key", "cannot read"),
    ] {
        let settings = [format!("tls.cert={}", file(cert)), format!("tls.key={}", file(key))];
        let config = TestNode::config(&settings.each_ref().map(String::as_str));
        match Node::start(config).await {
            Err(StartError::Certificate(text)) => assert!(text.contains(word), "{text}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it started with {cert} and {key}"),
        }
    }
    for half in ["tls.cert=/x", "tls.key=/x"] {
        let error = roomcast_gateway::config::Config::from_settings(&[half]).unwrap_err();
        assert!(error.to_string().contains("this needs tls."), "{error}");
    }
}
