//! The rules of the sections "Tokens" and "A room's own token" of the documents, and the known
//! attacks on JWTs.

use super::*;
use crate::capability::Capabilities;
use crate::identity::TokenId;
use crate::keys::{RemoteKeys, read_jwks, read_key_file, read_secrets};
use crate::testing::{TestKey, jwks};
use proptest::prelude::*;

mod claims;

/// Now, in milliseconds; claims count in seconds.
const NOW: u64 = 1_000_000_000;
const RULES: TokenRules =
    TokenRules { issuer: None, audience: None, leeway_ms: 30_000, info_bytes: 1_024 };
const CLAIMS: &str = r#"{"sub":"alice","exp":1000100}"#;

fn secrets(bytes: &[u8]) -> KeySet {
    let lines: Vec<_> = bytes.iter().map(|byte| vec![*byte; 32]).collect();
    KeySet::new(read_secrets(&lines.join(&b'\n')).unwrap(), RemoteKeys::None)
}

fn file(text: &str) -> KeySet {
    KeySet::new(read_key_file("main", text.as_bytes()).unwrap(), RemoteKeys::None)
}

fn fetched(keys: &[String]) -> KeySet {
    let keys = read_jwks(jwks(keys).as_bytes()).unwrap();
    KeySet::new(Vec::new(), RemoteKeys::Fetched(keys))
}

fn check(token: &str, keys: &KeySet) -> Result<AccessIdentity, TokenError> {
    verify_connection(token, keys, &RULES, NOW)
}

/// A token of these claims by a secret, checked by these rules at this time.
fn claims_at(claims: &str, rules: &TokenRules, now: u64) -> Result<AccessIdentity, TokenError> {
    let token = sign(&[b's'; 32], claims).unwrap();
    verify_connection(&token, &secrets(b"s"), rules, now)
}

fn claims(claims: &str) -> Result<AccessIdentity, TokenError> {
    claims_at(claims, &RULES, NOW)
}

/// These members beside `sub` and `exp`.
fn with(members: &str) -> Result<AccessIdentity, TokenError> {
    claims(&format!(r#"{{"sub":"alice","exp":1000100{members}}}"#))
}

#[test]
fn a_good_token_makes_an_identity() {
    let identity = with(concat!(
        r#","jti":"t1","info":{"name":"Alice"},"iat":1,"#,
        r#""rooms":{"chat:*":["join","publish","fly"],"dm:{sub}":["history"]}"#
    ))
    .unwrap();
    assert_eq!(identity.user().unwrap().as_str(), "alice");
    assert_eq!(identity.token_id().map(TokenId::as_str), Some("t1"));
    assert_eq!(identity.key(), Some("hs_secret"));
    assert!(identity.is_verified());
    let life = identity.life().unwrap();
    assert_eq!((life.expires, life.ends), (1_000_100_000, 1_000_130_000));
    let mut info = Vec::new();
    identity.info().unwrap().write_json(&mut info);
    assert_eq!(info, br#"{"name":"Alice"}"#);
    let chat = identity.capabilities_in("chat:1");
    assert_eq!(chat, Capabilities::from_words(["join", "publish"]));
    assert!(identity.capabilities_in("dm:alice").has(Capability::History));
    assert!(identity.capabilities_in("dm:bob").is_empty());
}

#[test]
fn every_algorithm_verifies_with_its_keys() {
    for key in TestKey::public_kinds() {
        for alg in key.algorithms() {
            for keys in [file(&key.pem()), file(&key.jwk("")), fetched(&[key.jwk("")])] {
                assert!(check(&key.token(alg, "", CLAIMS), &keys).is_ok(), "{alg}");
                let typed = key.token(alg, r#","typ":"JWT","jku":"https://evil.example""#, CLAIMS);
                assert!(check(&typed, &keys).is_ok(), "{alg}");
            }
            let named = fetched(&[key.jwk(&format!(r#","kid":"k","alg":"{alg}""#))]);
            let identity = check(&key.token(alg, r#","kid":"k""#, CLAIMS), &named).unwrap();
            assert_eq!(identity.key(), Some("k"));
        }
    }
    for alg in TestKey::secret(b's').algorithms() {
        assert!(check(&TestKey::secret(b's').token(alg, "", CLAIMS), &secrets(b"s")).is_ok());
    }
}

#[test]
fn no_other_key_and_no_other_algorithm_verifies() {
    let kinds = TestKey::public_kinds();
    for (own, key) in kinds.iter().enumerate() {
        for (other, stranger) in TestKey::public_kinds().iter().enumerate() {
            for alg in stranger.algorithms() {
                let refused = check(&stranger.token(alg, "", CLAIMS), &file(&key.pem()));
                let expected = if own == other { TokenError::Signature } else { TokenError::NoKey };
                assert_eq!(refused, Err(expected), "{alg}");
            }
        }
        // The right key, and a header that names another algorithm of the family.
        for alg in key.algorithms() {
            for claimed in key.algorithms().iter().filter(|claimed| *claimed != alg) {
                let header = format!(r#"{{"alg":"{claimed}"}}"#);
                let token = key.token_of_header(alg, &header, CLAIMS);
                assert_eq!(check(&token, &file(&key.pem())), Err(TokenError::Signature));
            }
        }
    }
}

#[test]
fn every_secret_is_tried_with_and_without_kid() {
    let keys = secrets(b"abcdefgh");
    for byte in b"abcdefgh" {
        for more in ["", r#","kid":"anything""#] {
            assert!(check(&TestKey::secret(*byte).token("HS256", more, CLAIMS), &keys).is_ok());
        }
    }
    let stranger = TestKey::secret(b'x').token("HS256", "", CLAIMS);
    assert_eq!(check(&stranger, &keys), Err(TokenError::Signature));
}

#[test]
fn a_public_key_is_no_secret() {
    for key in TestKey::public_kinds() {
        let pem = key.pem();
        let jwk = key.jwk("");
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), &key.public_der(), jwk.as_bytes()] {
            for alg in ["HS256", "HS384", "HS512"] {
                let forged = TestKey::Secret(secret.to_vec()).token(alg, "", CLAIMS);
                for keys in [file(&pem), file(&jwk), fetched(std::slice::from_ref(&jwk))] {
                    assert_eq!(check(&forged, &keys), Err(TokenError::NoKey));
                }
            }
        }
    }
}

/// A modulus that is no product of two primes, an even one among them, costs a failed
/// verification and nothing else.
#[test]
fn a_broken_modulus_verifies_nothing() {
    let token = TestKey::rsa().token("RS256", "", CLAIMS);
    for (bytes, first, last) in [(256, 0x80, 0), (256, 0xff, 1), (1_024, 0xff, 0xff), (511, 1, 3)] {
        let mut modulus = vec![0x5a; bytes];
        (modulus[0], modulus[bytes - 1]) = (first, last);
        let n = BASE64_URL_SAFE_NO_PAD.encode(&modulus);
        let keys = fetched(&[format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#)]);
        assert_eq!(check(&token, &keys), Err(TokenError::Signature), "{bytes}");
    }
}

#[test]
fn a_remote_secret_is_no_key() {
    let secret = TestKey::secret(7);
    let keys = fetched(&[secret.jwk(r#","kid":"k","alg":"HS256""#)]);
    let token = secret.token("HS256", r#","kid":"k""#, CLAIMS);
    assert_eq!(check(&token, &keys), Err(TokenError::NoKey));
}

#[test]
fn a_token_without_signature_is_no_token() {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    for alg in ["none", "None", "NONE", "nOnE", "", "HS1", "hs256", "ES256K", "ES512", "dir"] {
        for signature in ["", "AAAA"] {
            let header = format!(r#"{{"alg":"{alg}"}}"#);
            let token = format!("{}.{}.{signature}", part(&header), part(CLAIMS));
            assert_eq!(check(&token, &secrets(b"s")), Err(TokenError::Algorithm), "{alg}");
        }
    }
    let bare = format!("{}.{}.", part(r#"{"alg":"HS256"}"#), part(CLAIMS));
    assert_eq!(check(&bare, &secrets(b"s")), Err(TokenError::Signature));
}

#[test]
fn odd_headers_are_refused() {
    let key = TestKey::secret(b's');
    let header =
        |header: &str| check(&key.token_of_header("HS256", header, CLAIMS), &secrets(b"s"));
    for critical in [
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ] {
        assert_eq!(header(critical), Err(TokenError::Critical), "{critical}");
    }
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(257));
    for odd in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":null}"#,
        r#"{"ALG":"HS256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256"}x"#,
        &long,
    ] {
        assert_eq!(header(odd), Err(TokenError::Malformed), "{odd}");
    }
}

#[test]
fn odd_forms_are_refused() {
    let keys = secrets(b"s");
    let good = sign(&[b's'; 32], CLAIMS).unwrap();
    let (rest, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        rest,
        &format!("{good}."),
        &format!(".{good}"),
        &format!("{good}.a.b"),
        &format!(" {good}"),
        &good.replacen('.', "=.", 1),
        "a",
    ] {
        assert_eq!(check(bad, &keys), Err(TokenError::Malformed), "{bad:?}");
    }
    for bad in
        [format!("{rest}.{signature}="), format!("{rest}.{}", &signature[1..]), format!("{good} ")]
    {
        assert_eq!(check(&bad, &keys), Err(TokenError::Signature), "{bad:?}");
    }
    let long = format!("{rest}.{}", "a".repeat(MAX_TOKEN_BYTES));
    assert_eq!(check(&long, &keys), Err(TokenError::TooLong));
}

#[test]
fn no_bit_of_a_token_can_be_changed() {
    let key = TestKey::p256();
    let keys = file(&key.pem());
    let token = key.token("ES256", "", CLAIMS);
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(check(&changed, &keys).is_err(), "{changed}");
    }
}

#[test]
fn an_unknown_kid_asks_the_jwks_unless_there_is_none() {
    let key = TestKey::p256();
    let token = key.token("ES256", r#","kid":"new""#, CLAIMS);
    let unknown = Err(TokenError::UnknownKey("new".to_owned()));
    let awaited = KeySet::new(Vec::new(), RemoteKeys::Awaited);
    assert_eq!(check(&token, &fetched(&[key.jwk(r#","kid":"old""#)])), unknown);
    assert_eq!(check(&token, &fetched(&[key.jwk("")])), unknown);
    assert_eq!(check(&token, &awaited), unknown);
    assert_eq!(check(&token, &file(&key.pem())), Err(TokenError::NoKey));
    // A name that is known does not ask, whatever the signature.
    let other = fetched(&[TestKey::p256().jwk(r#","kid":"new""#)]);
    assert_eq!(check(&token, &other), Err(TokenError::Signature));
    let other = fetched(&[TestKey::rsa().jwk(r#","kid":"new""#)]);
    assert_eq!(check(&token, &other), Err(TokenError::NoKey));
}

#[test]
fn a_token_without_kid_waits_for_the_first_jwks_only() {
    let key = TestKey::p256();
    let token = key.token("ES256", "", CLAIMS);
    let awaited = KeySet::new(Vec::new(), RemoteKeys::Awaited);
    assert_eq!(check(&token, &awaited), Err(TokenError::KeysAwaited));
    let own = file(&TestKey::p256().pem()).with_remote(RemoteKeys::Awaited);
    assert_eq!(check(&token, &own), Err(TokenError::KeysAwaited));
    assert_eq!(check(&token, &fetched(&[])), Err(TokenError::NoKey));
    let own = file(&key.pem()).with_remote(RemoteKeys::Awaited);
    assert!(check(&token, &own).is_ok());
}

#[test]
fn tokens_by_secrets_never_wait() {
    let token = |more| TestKey::secret(1).token("HS256", more, CLAIMS);
    let awaited = KeySet::new(Vec::new(), RemoteKeys::Awaited);
    for more in ["", r#","kid":"k""#] {
        assert_eq!(check(&token(more), &awaited), Err(TokenError::NoKey));
        let with_secret = secrets(b"s").with_remote(RemoteKeys::Awaited);
        assert_eq!(check(&token(more), &with_secret), Err(TokenError::Signature));
    }
}

#[test]
fn a_node_without_keys_takes_no_token() {
    for token in ["", "x", &sign(&[b's'; 32], CLAIMS).unwrap()] {
        assert_eq!(check(token, &KeySet::default()), Err(TokenError::NoKeysConfigured));
    }
}

#[test]
fn errors_hold_nothing_of_the_token() {
    let token = sign(&[b'x'; 32], r#"{"sub":"secret-user","exp":1000100}"#).unwrap();
    let text = check(&token, &secrets(b"s")).unwrap_err().to_string();
    assert!(!token.split('.').any(|part| text.contains(part)), "{text}");
    let text = TokenError::UnknownKey("kid-of-token".to_owned()).to_string();
    assert!(!text.contains("kid-of-token"));
}

#[test]
fn a_token_can_be_shown_without_a_key() {
    let token = sign(&[b's'; 32], CLAIMS).unwrap();
    let (header, shown) = unverified(&token).unwrap();
    assert_eq!(header, r#"{"alg":"HS256","typ":"JWT"}"#);
    assert_eq!(shown, CLAIMS);
    assert!(unverified("a.b").is_err());
}

proptest! {
    #[test]
    fn no_text_is_a_token(text in "(\\PC{0,80}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40})") {
        prop_assert!(check(&text, &secrets(b"s")).is_err());
        unverified(&text).ok();
    }

    /// Signed claims of any text are an identity or an error, and no error but the documented.
    #[test]
    fn no_claims_are_too_odd(text in "\\PC{0,120}") {
        prop_assert!(claims(&text).is_err());
    }

    /// Any mixture of members.
    #[test]
    fn an_identity_has_what_its_claims_say(
        members in prop::collection::vec(
            ("(sub|exp|nbf|jti|iss|aud|info|rooms|room|can|x)",
             "(\"a\"|7|null|\\[\\]|\\{\\}|\\[\"join\"\\]|1000100|\\{\"a\":\\[\"join\"\\]\\})"), 0..8),
    ) {
        let body = members.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(",");
        if let Ok(identity) = claims(&format!("{{{body}}}")) {
            let has = |claim: &str| members.iter().any(|(name, _)| name == claim);
            prop_assert!(has("sub") && has("exp") && !has("room") && !has("aud"));
            prop_assert_eq!(identity.user().map(UserName::as_str), Some("a"));
            prop_assert_eq!(identity.info().is_some(), has("info"));
            prop_assert_eq!(identity.token_id().is_some(), has("jti"));
        }
    }

    #[test]
    fn the_end_is_where_the_rule_says(exp in 0_u64..2_000, leeway_ms in 0_u64..5_000, now in 0_u64..2_100_000) {
        let rules = TokenRules { leeway_ms, ..RULES };
        let checked = claims_at(&format!(r#"{{"sub":"a","exp":{exp}}}"#), &rules, now);
        prop_assert_eq!(checked.is_ok(), now < exp * 1_000 + leeway_ms);
    }
}
