//! Secrets are in no output of a node, however things fail: not in its log at the finest level, its
//! answers, its metrics, what it prints of its configuration, or a part of it shown for debugging.

use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};

use crate::support::auth::{now, token, token_until};
use crate::support::{Backend, Process, RawClient, TestNode, UPGRADE, get};

/// A secret that signs nothing here.
const UNUSED: &str = "unused-secret-9f31c07ab2d4-of-enough-bytes";
const PASSWORD: &str = "redis-password-5c2e8a";
const PUBLISHED: &str = "published-text-71b0ff";

/// What must be seen nowhere: of a token each part but its header.
fn parts<'a>(secrets: &[&'a str]) -> Vec<&'a str> {
    let of = |secret: &'a str| match secret.matches('.').count() {
        2 => secret.split('.').skip(1).collect(),
        _ => vec![secret],
    };
    secrets.iter().flat_map(|secret| of(secret)).filter(|part| part.len() > 8).collect()
}

fn assert_hidden(output: &str, secrets: &[&str]) {
    for secret in parts(secrets) {
        let found = output.find(secret);
        let near = found.map(|at| &output[at.saturating_sub(200)..(at + 80).min(output.len())]);
        assert_eq!(near, None, "{secret} is shown");
    }
}

async fn said(process: &Process, bytes: &[u8]) -> String {
    let mut client = RawClient::connect(process.address().await).await;
    client.write(bytes).await;
    let half = tokio::io::AsyncWriteExt::shutdown(&mut client.socket).await;
    half.unwrap();
    client.rest().await
}

#[tokio::test]
async fn no_secret_is_in_any_output_while_everything_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets");
    fs::write(&file, format!("{}\n{UNUSED}\n", crate::support::auth::SECRET)).unwrap();
    let shop = Backend::new("shop");
    let keys = shop.settings("publish admin").map(|setting| format!("--set={setting}"));
    let process = Process::serve(&[
        "--set=log.level=trace",
        &format!("--set=auth.hs_secret_file={}", file.display()),
        "--set=auth.query_token=true",
        "--set=auth.cookie=sid",
        "--set=limits.address_handshakes=1000",
        &keys[0],
        &keys[1],
    ]);
    process.ready(200).await;
    let good = token("alice", r#","rooms":{"a":["join","publish"]}"#);
    let expired = token_until(now() - 3_600, "alice", "");
    let forged =
        roomcast_access::token::sign(&[9; 32], r#"{"sub":"mallory","exp":99999999999}"#).unwrap();
    let pass = token("alice", r#","room":"b","can":["join"]"#);
    let ticket = "ticket-3d9a0c55e1f2447b8c6d";
    let wrong_key = "shop.wrong-secret-of-a-backend-6f1e";
    let own_key = shop.presented().split_once('.').unwrap().1;
    let secrets = [
        crate::support::auth::SECRET,
        UNUSED,
        PUBLISHED,
        ticket,
        &good,
        &expired,
        &forged,
        &pass,
        own_key,
        "wrong-secret-of-a-backend-6f1e",
    ];

    let (mut output, mut given) = (String::new(), Vec::new());
    for token in [&good, &expired, &forged] {
        let head = UPGRADE.replace("GET /ws", &format!("GET /ws?token={token}"));
        for request in [
            format!("{UPGRADE}Authorization: Bearer {token}\r\n\r\n"),
            format!("{UPGRADE}Authorization: Basic {token}\r\n\r\n"),
            format!("{UPGRADE}Cookie: sid={token}\r\nOrigin: https://evil.example\r\n\r\n"),
            format!("{UPGRADE}Sec-WebSocket-Protocol: json, roomcast.token.{token}\r\n\r\n"),
            format!("{UPGRADE}Sec-WebSocket-Protocol: roomcast.token.{token}\r\n\r\n"),
            format!("{head}\r\n"),
            format!("{head}Authorization: Bearer {forged}\r\n\r\n"),
            format!("GET /nowhere?token={token} HTTP/1.1\r\nHost: node\r\n\r\n"),
            format!("GET /{token} HTTP/1.1\r\nHost: node\r\n\r\n"),
            format!("GET /ws?token={token}%zz HTTP/1.1\r\nHost: node\r\n\r\n"),
            format!("BAD{token} /ws HTTP/1.1\r\nHost: node\r\n\r\n"),
            format!("GET /ws HTTP/1.1\r\nHost: node\r\n{token}\r\n\r\n"),
            format!("{{\"token\":\"{token}\"}}\r\n\r\n"),
        ] {
            output += &said(&process, request.as_bytes()).await;
        }
        let body = format!("{{\"token\":\"{token}\"}}");
        for (kind, body) in [("json", body.as_str()), ("json", &body[..20]), ("xml", &body)] {
            let length = body.len();
            let post = format!(
                "POST /v1/tickets HTTP/1.1\r\nHost: node\r\nContent-Type: application/{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            // A ticket that is given is in the answer, where it belongs, and nowhere else.
            let mut client = RawClient::connect(process.address().await).await;
            client.write(post.as_bytes()).await;
            let answer: serde_json::Value =
                serde_json::from_str(&client.response().await.body).unwrap_or_default();
            match answer["ticket"].as_str() {
                Some(ticket) => given.push(ticket.to_owned()),
                None => output += &answer.to_string(),
            }
        }
    }
    output +=
        &said(&process, UPGRADE.replace("GET /ws", &format!("GET /ws?ticket={ticket}")).as_bytes())
            .await;
    let address = process.address().await;
    for (key, path, body) in [
        (wrong_key, "/v1/rooms/a/messages", format!(r#"{{"data":"{PUBLISHED}"}}"#)),
        (shop.presented(), "/v1/rooms/a/messages", format!(r#"{{"data":"{PUBLISHED}"}}"#)),
        (shop.presented(), "/v1/rooms/a/messages", format!(r#"{{"data":"{PUBLISHED}",}}"#)),
        (shop.presented(), "/v1/rooms/$x/messages", format!(r#"{{"data":"{PUBLISHED}"}}"#)),
        (shop.presented(), "/v1/bans", format!(r#"{{"user":"{PUBLISHED} x","seconds":0}}"#)),
        (shop.presented(), "/v1/batch", format!(r#"{{"items":["{PUBLISHED}"]}}"#)),
    ] {
        let mut client = RawClient::connect(address).await;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        client.write(request.as_bytes()).await;
        output += &client.response().await.body;
    }

    // Frames that fail on a connection, and ones that cannot be read.
    let mut client =
        RawClient::upgraded(address, &format!("Authorization: Bearer {good}\r\n")).await;
    for text in [
        format!(r#"{{"type":"refresh","id":1,"token":"{forged}"}}"#),
        format!(r#"{{"type":"refresh","id":2,"token":"{expired}"}}"#),
        format!(r#"{{"type":"refresh","id":3,"token":"{pass}"}}"#),
        format!(r#"{{"type":"join","id":4,"rooms":[{{"room":"c","token":"{pass}"}}]}}"#),
        format!(r#"{{"type":"join","id":5,"rooms":[{{"room":"b","token":"{forged}"}}]}}"#),
        format!(r#"{{"type":"publish","id":6,"room":"c","data":"{PUBLISHED}"}}"#),
        format!(r#"{{"type":"publish","id":7,"room":"a","data":"{PUBLISHED}","token":1,}}"#),
        format!(r#"{{"type":"refresh","id":8,"token":["{good}"]}}"#),
        r#"{"type":"ping","id":9}"#.to_owned(),
    ] {
        client.send_text(&text).await;
    }
    while let Some(frame) = client.frame().await {
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        output += &text;
        if text.contains("\"pong\"") {
            break;
        }
    }
    drop(client);
    output += &get(address, "/metrics").await.body;
    let before_log = output.len();
    for line in process.stop().await {
        writeln!(output, "{line}").unwrap();
    }
    assert!(output.len() > before_log + 1_000, "the log holds something");
    assert_hidden(&output, &secrets);
    assert!(!given.is_empty(), "a ticket was given");
    assert_hidden(&output, &given.iter().map(String::as_str).collect::<Vec<_>>());
}

/// What a node is configured with is hidden on every way it may be shown.
#[tokio::test]
async fn configured_secrets_are_hidden_wherever_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Backend::new("shop");
    let url = format!("redis://app:{PASSWORD}@127.0.0.1:1");
    let [hash, scopes] = shop.settings("publish");
    let config = folder.path().join("roomcast.toml");
    fs::write(&config, format!("[auth]\nhs_secret = \"{UNUSED}\"\n[bus]\nredis_url = \"{url}\"\n"))
        .unwrap();
    let config = config.display().to_string();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
        command.args(arguments).stdin(Stdio::null());
        command.env("ROOMCAST__AUTH__HS_SECRET", UNUSED).env("ROOMCAST__BUS__REDIS_URL", &url);
        let done = command.output().unwrap();
        let texts = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
        texts.concat()
    };
    let typed = format!("auth.hs_secret={UNUSED}");
    let mistyped = format!("auth.hs_secrte={UNUSED}");
    let mut output = String::new();
    for arguments in [
        &["config", "print"][..],
        &["config", "print", "--config", &config],
        &["config", "check", &config],
        &["config", "print", "--set", &typed],
        &["config", "print", "--set", &mistyped],
        &["serve", "--set", &mistyped],
        &["serve", "--set", &typed, "--set", "node.workers=none"],
        &[
            "serve",
            "--listen=127.0.0.1:0",
            "--set",
            "auth.keys=/nowhere",
            "--set",
            "log.level=trace",
        ],
    ] {
        output += &run(arguments);
    }
    assert!(output.contains("***"), "{output}");

    let secret = format!("auth.hs_secret={UNUSED}");
    let redis = format!("bus.redis_url={url}");
    let config = TestNode::config(&[&secret, &redis, &hash, &scopes]);
    output += &format!("{config:?} {config:#?}");
    // Even the hash of a backend's secret, which is random, tells nothing; the secret is not there.
    assert_hidden(&output, &[UNUSED, PASSWORD, shop.presented().split_once('.').unwrap().1]);

    // A node whose Redis does not answer says so again and again.
    let arguments = [format!("--redis-url={url}"), format!("--set={secret}")];
    let process = Process::serve(&["--set=log.level=trace", &arguments[0], &arguments[1]]);
    process.ready(503).await;
    let ready = get(process.address().await, "/health/ready").await.body;
    let log = process.stop().await;
    let told: String = log.iter().map(|line| line.to_string() + "\n").collect();
    assert_hidden(&format!("{ready}{told}"), &[UNUSED, PASSWORD]);
}
