//! Forged, stolen and odd tokens: none lets anybody in, whatever its header asks the node to do.

use std::fs;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::support::auth::{SECRET, now};
use crate::support::{RawClient, Response, TestNode, UPGRADE};

fn part(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of any header and any claims, signed by HMAC with SHA-256 whatever the header says.
fn by_secret(secret: &[u8], header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", part(tag.as_ref()))
}

/// The same, signed by RSA (PKCS #1) with SHA-256.
fn by_rsa(key: &RsaKeyPair, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", part(&signature))
}

fn der(key: &RsaKeyPair) -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    der.as_ref().to_vec()
}

fn pem(key: &RsaKeyPair) -> String {
    let text = BASE64_STANDARD.encode(der(key));
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// A key's JWK, for headers that bring their own.
fn jwk(key: &RsaKeyPair) -> String {
    let public = key.public_key();
    let [n, e] = [public.modulus(), public.exponent()]
        .map(|number| part(number.big_endian_without_leading_zero()));
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
}

async fn handshake(node: &TestNode, token: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    client.write(format!("{UPGRADE}Authorization: Bearer {token}\r\n\r\n").as_bytes()).await;
    client.response().await
}

#[tokio::test]
async fn no_forged_token_lets_anybody_in() {
    let folder = tempfile::tempdir().unwrap();
    let own = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let foreign = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let file = folder.path().join("backend.pem");
    fs::write(&file, pem(&own)).unwrap();
    let keys = format!("auth.keys={}", file.display());
    let secret = format!("auth.hs_secret={SECRET}");
    let node =
        TestNode::start(&[&keys, &secret, "auth.audience=chat", "auth.issuer=id", "auth.leeway=0"])
            .await;

    let (hs, rs) = (r#"{"alg":"HS256"}"#, r#"{"alg":"RS256"}"#);
    let until = |exp: u64| format!(r#"{{"sub":"eve","exp":{exp},"aud":"chat","iss":"id"}}"#);
    let good = until(now() + 600);
    let with = |more: &str| format!("{},{more}}}", good.trim_end_matches('}'));
    let secret = SECRET.as_bytes();
    // The test's own tools make tokens that are good; a name of a file is the name of its key.
    let named = r#"{"alg":"RS256","kid":"backend"}"#;
    for token in [by_secret(secret, hs, &good), by_rsa(&own, rs, &good), by_rsa(&own, named, &good)]
    {
        assert_eq!(handshake(&node, &token).await.status, 101, "{token}");
    }

    let header = |more: &str| format!(r#"{{"alg":"HS256",{more}}}"#);
    let rs_header = |more: &str| format!(r#"{{"alg":"RS256",{more}}}"#);
    let whole = by_secret(secret, hs, &good);
    let (signed, signature) = whole.rsplit_once('.').unwrap();
    let unsigned = |alg: &str| {
        format!("{}.{}.", part(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()), part(good.as_bytes()))
    };
    let other = part(with(r#""rooms":{"*":["join"]}"#).as_bytes());
    let rows = [
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("alg nONE", unsigned("nONE")),
        ("no alg", unsigned("")),
        ("alg none with a signature", by_secret(secret, r#"{"alg":"none"}"#, &good)),
        ("no signature", format!("{signed}.")),
        ("two parts", signed.to_owned()),
        ("five parts", format!("{whole}.a.b")),
        (
            "another's claims under a good signature",
            format!("{}.{other}.{signature}", part(hs.as_bytes())),
        ),
        ("a secret that is not the node's", by_secret(&[7; 32], hs, &good)),
        ("the public key's file as a secret", by_secret(pem(&own).as_bytes(), hs, &good)),
        (
            "its text without the last line's end",
            by_secret(pem(&own).trim_end().as_bytes(), hs, &good),
        ),
        ("its DER as a secret", by_secret(&der(&own), hs, &good)),
        ("a secret under an algorithm of RSA", by_secret(secret, rs, &good)),
        ("RSA under an algorithm of secrets", by_rsa(&own, hs, &good)),
        ("RS256 named PS256", by_rsa(&own, r#"{"alg":"PS256"}"#, &good)),
        ("RS256 named RS512", by_rsa(&own, r#"{"alg":"RS512"}"#, &good)),
        ("a foreign RSA key", by_rsa(&foreign, rs, &good)),
        ("a foreign key under the name of ours", by_rsa(&foreign, named, &good)),
        ("our key under another name", by_rsa(&own, &rs_header(r#""kid":"nobody""#), &good)),
        (
            "kid as a path to an empty file",
            by_secret(b"", &header(r#""kid":"../../../../dev/null""#), &good),
        ),
        ("kid as a query", by_secret(b"1", &header(r#""kid":"x' UNION SELECT '1""#), &good)),
        ("kid that is no text", by_secret(secret, &header(r#""kid":7"#), &good)),
        (
            "kid as the key's file",
            by_rsa(&foreign, &rs_header(&format!(r#""kid":"{}""#, file.display())), &good),
        ),
        (
            "a header that brings its key",
            by_rsa(&foreign, &rs_header(&format!(r#""jwk":{}"#, jwk(&foreign))), &good),
        ),
        (
            "a header that names where keys are",
            by_rsa(&foreign, &rs_header(r#""jku":"http://127.0.0.1:1/jwks""#), &good),
        ),
        (
            "the same by certificate",
            by_rsa(&foreign, &rs_header(r#""x5u":"http://127.0.0.1:1/cert""#), &good),
        ),
        ("crit", by_secret(secret, &header(r#""crit":["exp"],"exp":1"#), &good)),
        ("b64", by_secret(secret, &header(r#""b64":false,"crit":["b64"]"#), &good)),
        ("alg twice", by_secret(secret, r#"{"alg":"none","alg":"HS256"}"#, &good)),
        ("sub twice", by_secret(secret, hs, &with(r#""sub":"root""#))),
        (
            "not before tomorrow",
            by_secret(secret, hs, &with(&format!(r#""nbf":{}"#, now() + 86_400))),
        ),
        ("another audience", by_secret(secret, hs, &good.replace("chat", "shop"))),
        ("no audience", by_secret(secret, hs, &good.replace(r#","aud":"chat""#, ""))),
        ("another issuer", by_secret(secret, hs, &good.replace(r#""id""#, r#""evil""#))),
        ("no end", by_secret(secret, hs, r#"{"sub":"eve","aud":"chat","iss":"id"}"#)),
        (
            "an end that is no number",
            by_secret(secret, hs, r#"{"sub":"eve","exp":"9999999999","aud":"chat","iss":"id"}"#),
        ),
        ("no user", by_secret(secret, hs, &good.replace(r#""sub":"eve","#, ""))),
        ("a user with a line's end", by_secret(secret, hs, &good.replace("eve", "e\\nve"))),
        ("a room's token", by_secret(secret, hs, &with(r#""room":"a","can":["join"]"#))),
        ("long", format!("{signed}{}", "A".repeat(10_000))),
        ("nothing", String::from("..")),
    ];
    let mut failed = Vec::new();
    for (what, token) in &rows {
        let answer = handshake(&node, token).await;
        let is_refused = answer.status == 401 && answer.body.contains("bad_token");
        if !is_refused || answer.body.contains(signature) {
            failed.push((what, answer));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let old = handshake(&node, &by_secret(secret, hs, &until(now() - 10))).await;
    assert!(old.status == 401 && old.body.contains("expired_token"), "{old:?}");

    let scrape = node.scrape().await;
    let refused = "roomcast_connections_refused_total";
    assert_eq!(scrape.with(refused, "reason=\"bad_token\""), rows.len() as f64);
    assert_eq!(scrape.sum("roomcast_connections_opened_total"), 3.0);
    node.stop().await;
}

/// A ticket of the right form that no node gave.
#[tokio::test]
async fn a_made_up_ticket_opens_nothing() {
    let secret = format!("auth.hs_secret={SECRET}");
    let node = TestNode::start(&[&secret]).await;
    for ticket in ["", "x", &"A".repeat(43), &"%00".repeat(43), &"A".repeat(2_000)] {
        let mut client = RawClient::connect(node.address()).await;
        let head = UPGRADE.replace("GET /ws", &format!("GET /ws?ticket={ticket}"));
        client.write(format!("{head}\r\n").as_bytes()).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 401, "{ticket}: {answer:?}");
        assert!(answer.body.contains("spent_ticket"), "{ticket}: {answer:?}");
    }
    node.stop().await;
}
