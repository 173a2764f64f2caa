//! Keys that come, go and are waited for.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use roomcast_access::identity::AccessIdentity;
use roomcast_access::keys::read_jwks;
use roomcast_access::token::{TokenError, TokenRules};

use super::*;

/// A token by a key of this name; its signature is none.
fn token(kid: &str) -> Box<str> {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = part(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#));
    format!("{header}.{}.{}", part(r#"{"sub":"a","exp":1}"#), part("none")).into()
}

/// A JWKS with keys of these names.
fn jwks(names: &[&str]) -> Arc<[VerifyingKey]> {
    // The public key of RFC 8037, appendix A.2.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let key = |kid| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#);
    let keys: Vec<_> = names.iter().map(key).collect();
    let keys = read_jwks(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap();
    assert_eq!(keys.len(), names.len());
    keys
}

fn source(url: &str) -> KeySources {
    let jwks = JwksSource { url: url.to_owned(), authorities: None };
    KeySources { keys: Vec::new(), jwks: Some(jwks) }
}

fn store() -> Arc<TokenKeys> {
    let keys = Arc::new(TokenKeys::default());
    keys.configure(source("http://127.0.0.1:1/"));
    keys
}

type Checked = Result<AccessIdentity, TokenRefusal>;

/// Checks a token in a task of its own.
fn check(keys: &Arc<TokenKeys>, kid: &str) -> tokio::task::JoinHandle<Checked> {
    tokio::spawn(keys.clone().check_connection(token(kid), TokenRules::default()))
}

fn kind(checked: Checked) -> RefusedToken {
    checked.unwrap_err().kind
}

#[tokio::test]
async fn before_the_first_keys_a_token_may_come_again() {
    let keys = store();
    assert!(keys.is_awaited());
    let early = check(&keys, "one").await.unwrap();
    assert!(matches!(kind(early), RefusedToken::NotReady { retry_after_ms: 1_000.. }));
    let first = keys.next_fetch().await;
    keys.fetched(&first, None);
    assert!(keys.is_awaited());
    let early = check(&keys, "one").await.unwrap();
    assert!(matches!(kind(early), RefusedToken::NotReady { .. }));
}

#[tokio::test]
async fn a_token_waits_for_the_fetch_that_decides() {
    let keys = store();
    let first = keys.next_fetch().await;
    keys.fetched(&first, Some(jwks(&["one"])));
    assert!(!keys.is_awaited());
    let (two, three) = (check(&keys, "two"), check(&keys, "three"));
    // One fetch for both: it is due at once, because they asked.
    let second = keys.next_fetch().await;
    assert!(!two.is_finished());
    tokio::task::yield_now().await;
    keys.fetched(&second, Some(jwks(&["one", "two"])));
    let two = two.await.unwrap().unwrap_err();
    assert_eq!(two.kind, RefusedToken::Bad);
    assert!(two.detail.contains("signature"), "its key is here: {}", two.detail);
    assert_ne!(kind(three.await.unwrap()), RefusedToken::Expired);
    // No further fetch is allowed for a stranger's name now.
    let four = kind(check(&keys, "four").await.unwrap());
    assert!(matches!(four, RefusedToken::NotReady { .. }), "{four:?}");
}

/// The key comes while a check that looked at the old keys goes on.
#[tokio::test]
async fn a_fetch_that_ends_during_a_check_counts_for_it() {
    let keys = store();
    let first = keys.next_fetch().await;
    keys.fetched(&first, Some(jwks(&["one"])));
    let waiting = check(&keys, "two");
    let second = keys.next_fetch().await;
    let (during, name) = (keys.clone(), "two".to_owned());
    let looked = std::cell::Cell::new(0);
    let verify = move |_: &KeySet, _| {
        looked.set(looked.get() + 1);
        if looked.get() == 1 {
            during.fetched(&second, Some(jwks(&["one", "two"])));
            return Err(TokenError::UnknownKey(name.clone()));
        }
        Ok(looked.get())
    };
    assert_eq!(keys.check(verify).await, Ok(2), "it looked again");
    assert_eq!(kind(waiting.await.unwrap()), RefusedToken::Bad, "by its signature");
}

#[tokio::test]
async fn keys_of_another_address_are_of_no_use() {
    let keys = store();
    let old = keys.next_fetch().await;
    keys.configure(source("http://127.0.0.1:2/"));
    keys.fetched(&old, Some(jwks(&["one"])));
    assert!(keys.is_awaited(), "they came from the old address");
    let new = keys.next_fetch().await;
    assert_eq!(new.url, "http://127.0.0.1:2/");
    keys.fetched(&new, Some(jwks(&["one"])));
    // The same address again: its keys stay.
    keys.configure(source("http://127.0.0.1:2/"));
    assert!(!keys.is_awaited());
    keys.configure(KeySources::default());
    let refused = check(&keys, "one").await.unwrap().unwrap_err();
    assert_eq!(refused.kind, RefusedToken::Bad);
    assert!(refused.detail.contains("no keys are configured"), "{}", refused.detail);
}
