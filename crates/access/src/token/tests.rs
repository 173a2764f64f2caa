//! The rules of the sections "Tokens" and "A room's own token" of the documents, and the known
//! attacks on JWTs.

use super::*;
use crate::capability::Capabilities;
use crate::identity::TokenId;
use crate::keys::{RemoteKeys, read_jwks, read_key_file, read_secrets};
use crate::testing::{TestKey, jwks};
use proptest::prelude::*;

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
fn the_end_is_exact_to_the_millisecond() {
    let rules = TokenRules { leeway_ms: 1_500, ..RULES };
    let at =
        |exp: &str, now| claims_at(&format!(r#"{{"sub":"a","exp":{exp}}}"#), &rules, now).map(drop);
    assert_eq!(at("100", 101_499), Ok(()));
    assert_eq!(at("100", 101_500), Err(TokenError::Expired));
    assert_eq!(at("100.25", 101_749), Ok(()));
    assert_eq!(at("100.25", 101_750), Err(TokenError::Expired));
    assert_eq!(at("1e2", 101_499), Ok(()));
    assert_eq!(at("0", 1_499), Ok(()));
    assert_eq!(at("-5", 1_500), Err(TokenError::Expired));
    assert_eq!(at("253402300799", u64::MAX), Err(TokenError::Expired));
    for odd in ["253402300800", "1e300", "18446744073709551615", "\"100\"", "null", "[]", "true"] {
        assert_eq!(at(odd, 0), Err(TokenError::Claim("exp")), "{odd}");
    }
    assert_eq!(claims(r#"{"sub":"a"}"#), Err(TokenError::MissingClaim("exp")));
}

#[test]
fn not_before_allows_the_leeway() {
    let at = |now| claims_at(r#"{"sub":"a","exp":2000,"nbf":1000}"#, &RULES, now).map(drop);
    assert_eq!(at(969_999), Err(TokenError::NotYet));
    assert_eq!(at(970_000), Ok(()));
    assert_eq!(with(r#","nbf":"1""#), Err(TokenError::Claim("nbf")));
}

#[test]
fn the_audience_must_contain_the_configured_one() {
    let rules = TokenRules { audience: Some("chat".to_owned()), ..RULES };
    let check = |aud: &str, rules: &TokenRules| {
        claims_at(&format!(r#"{{"sub":"a","exp":1000100{aud}}}"#), rules, NOW).map(drop)
    };
    assert_eq!(check(r#","aud":"chat""#, &rules), Ok(()));
    assert_eq!(check(r#","aud":["x","chat"]"#, &rules), Ok(()));
    for aud in ["", r#","aud":"Chat""#, r#","aud":["x"]"#, r#","aud":[]"#, r#","aud":"chat x""#] {
        assert_eq!(check(aud, &rules), Err(TokenError::Audience), "{aud}");
    }
    for aud in ["null", "7", "{}", r#"["chat",7]"#] {
        let aud = format!(r#","aud":{aud}"#);
        assert_eq!(check(&aud, &rules), Err(TokenError::Claim("aud")), "{aud}");
        assert_eq!(check(&aud, &RULES), Err(TokenError::Claim("aud")), "{aud}");
    }
    assert_eq!(check("", &RULES), Ok(()));
    for aud in [r#","aud":"chat""#, r#","aud":[]"#] {
        assert_eq!(check(aud, &RULES), Err(TokenError::UnexpectedAudience));
    }
    assert!(TokenError::UnexpectedAudience.to_string().contains("auth.audience"));
}

#[test]
fn the_issuer_must_be_the_configured_one() {
    let rules = TokenRules { issuer: Some("https://id".to_owned()), ..RULES };
    let check = |iss: &str, rules: &TokenRules| {
        claims_at(&format!(r#"{{"sub":"a","exp":1000100{iss}}}"#), rules, NOW).map(drop)
    };
    assert_eq!(check(r#","iss":"https://id""#, &rules), Ok(()));
    assert_eq!(check("", &rules), Err(TokenError::Issuer));
    assert_eq!(check(r#","iss":"https://id/""#, &rules), Err(TokenError::Issuer));
    assert_eq!(check(r#","iss":["https://id"]"#, &rules), Err(TokenError::Claim("iss")));
    assert_eq!(check(r#","iss":"other""#, &RULES), Ok(()));
}

#[test]
fn a_bad_token_is_bad_also_after_its_end() {
    let old = r#"{"sub":"a","exp":1,"aud":"x"}"#;
    assert_eq!(claims(old), Err(TokenError::UnexpectedAudience));
    assert_eq!(claims(r#"{"sub":"a","exp":1,"room":"r"}"#), Err(TokenError::Expired));
    assert_eq!(TokenError::Expired.outcome(), TokenOutcome::Expired);
    assert_eq!(TokenError::Audience.outcome(), TokenOutcome::Bad);
    assert_eq!(TokenError::MayNotJoin.outcome(), TokenOutcome::Forbidden);
    assert_eq!(TokenError::KeysAwaited.outcome(), TokenOutcome::NotReady);
    assert_eq!(TokenError::UnknownKey(String::new()).outcome(), TokenOutcome::AskJwks);
}

#[test]
fn claims_of_another_shape_are_refused_by_name() {
    for (claim, shapes) in [
        ("jti", &["7", "null", r#""""#, r#""a\nb""#][..]),
        ("rooms", &["null", "[]", r#"{"a":"join"}"#, r#"{"a":[1]}"#, r#"{"a":null}"#]),
        ("rooms", &[r#"{"a":["join"],"a":["publish"]}"#, r#"{"a":{}}"#]),
        ("room", &["7", "null", r#""""#, r#""a b""#, r#""$control""#, r#""@me""#]),
        ("can", &["null", r#""join""#, "[7]", "{}"]),
    ] {
        for shape in shapes {
            let refused = with(&format!(r#","{claim}":{shape}"#));
            assert_eq!(refused, Err(TokenError::Claim(claim)), "{claim} {shape}");
        }
    }
    for sub in [r#""""#, "7", "null", r#""a b""#, r#""a\u0000""#] {
        let refused = claims(&format!(r#"{{"sub":{sub},"exp":1000100}}"#));
        assert_eq!(refused, Err(TokenError::Claim("sub")), "{sub}");
    }
    assert_eq!(claims(r#"{"exp":1000100}"#), Err(TokenError::MissingClaim("sub")));
    let deep = format!(r#","info":{}{}"#, "[".repeat(65), "]".repeat(65));
    assert_eq!(with(&deep), Err(TokenError::Claim("info")));
    let long = format!(r#","rooms":{{"{}":["join"]}}"#, "a".repeat(257));
    assert_eq!(with(&long), Err(TokenError::Claim("rooms")));
    for twice in [r#","exp":1"#, r#","sub":"bob""#, r#","x":1,"x":2"#, r#","\u0073ub":"bob""#] {
        assert_eq!(with(twice), Err(TokenError::Malformed), "{twice}");
    }
    for odd in ["", "[]", "null", "7", r#""a""#] {
        assert_eq!(claims(odd), Err(TokenError::Malformed), "{odd}");
    }
    for fine in [r#","rooms":{}"#, r#","rooms":{"a":[]}"#, r#","info":null"#, r#","x":{"y":1}"#] {
        assert!(with(fine).is_ok(), "{fine}");
    }
}

#[test]
fn a_token_with_a_room_is_no_connection_token() {
    assert_eq!(with(r#","room":"chat:1","can":["join"]"#), Err(TokenError::RoomToken));
}

#[test]
fn a_rooms_own_token_gives_a_pass() {
    let pass = |members: &str, user: Option<&str>, room: &str| {
        let claims = format!(r#"{{"sub":"alice","exp":1000100{members}}}"#);
        let token = sign(&[b's'; 32], &claims).unwrap();
        let user = user.map(|user| UserName::parse(user).unwrap());
        let room = RoomName::parse(room).unwrap();
        verify_room(&token, &secrets(b"s"), &RULES, NOW, user.as_ref(), &room)
    };
    let alice = Some("alice");
    let good = r#","room":"chat:1","can":["join","history"],"jti":"r1""#;
    let given = pass(good, alice, "chat:1").unwrap();
    assert_eq!(given.room.as_str(), "chat:1");
    assert_eq!(given.can, Capabilities::from_words(["join", "history"]));
    assert_eq!(given.life.ends, 1_000_130_000);
    assert_eq!(given.token_id, TokenId::parse("r1"));
    assert_eq!(pass(good, alice, "chat:2"), Err(TokenError::OtherRoom));
    assert_eq!(pass(good, Some("bob"), "chat:1"), Err(TokenError::OtherUser));
    assert_eq!(pass(good, None, "chat:1"), Err(TokenError::OtherUser));
    for can in ["", r#","can":[]"#, r#","can":["publish"]"#] {
        let refused = pass(&format!(r#","room":"chat:1"{can}"#), alice, "chat:1");
        assert_eq!(refused, Err(TokenError::MayNotJoin));
    }
    let literal = r#","room":"chat:*","can":["join"]"#;
    assert_eq!(pass(literal, alice, "chat:1"), Err(TokenError::OtherRoom));
    assert!(pass(literal, alice, "chat:*").is_ok());
    let variable = r#","room":"dm:{sub}","can":["join"]"#;
    assert_eq!(pass(variable, alice, "dm:alice"), Err(TokenError::OtherRoom));
    let of_connection = r#","rooms":{"chat:1":["join"]}"#;
    assert_eq!(pass(of_connection, alice, "chat:1"), Err(TokenError::ConnectionToken));
    let both = format!("{good}{of_connection}");
    assert_eq!(pass(&both, alice, "chat:1"), Err(TokenError::Claim("rooms")));
    assert_eq!(pass(r#","room":"r","aud":"x""#, alice, "r"), Err(TokenError::UnexpectedAudience));
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
