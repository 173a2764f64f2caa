//! Which bytes give which keys, and which key may serve which token.

use super::*;
use crate::testing::{TestKey, jwks, pem};
use proptest::prelude::*;

const CERTIFICATE: &str = include_str!("testdata/certificate.pem");
const CERTIFICATE_KEY: &str = include_str!("testdata/certificate_key.pem");

fn read(text: &str) -> Result<Vec<VerifyingKey>, KeyError> {
    read_key_file("main", text.as_bytes())
}

fn error(text: &str) -> KeyError {
    read(text).unwrap_err()
}

fn remote(keys: &[String]) -> Vec<(Option<String>, KeyFamily)> {
    let keys = read_jwks(jwks(keys).as_bytes()).unwrap();
    keys.iter().map(|key| (key.name().map(str::to_owned), key.family)).collect()
}

fn families(keys: &[VerifyingKey]) -> Vec<KeyFamily> {
    keys.iter().map(|key| key.family).collect()
}

const KINDS: [KeyFamily; 4] =
    [KeyFamily::Rsa, KeyFamily::P256, KeyFamily::P384, KeyFamily::Ed25519];

#[test]
fn pem_and_jwk_give_the_same_kinds() {
    for (key, family) in TestKey::public_kinds().iter().zip(KINDS) {
        for text in [key.pem(), key.jwk(""), jwks(&[key.jwk(r#","use":"sig""#)])] {
            let keys = read(&text).unwrap();
            assert_eq!(families(&keys), [family], "{text}");
            assert_eq!(keys[0].name(), Some("main"));
            assert_eq!(keys[0].only, None);
        }
    }
}

#[test]
fn a_pem_file_may_hold_several_keys() {
    let all: String = TestKey::public_kinds().iter().map(TestKey::pem).collect();
    assert_eq!(families(&read(&all).unwrap()), KINDS);
}

#[test]
fn a_certificate_gives_the_key_of_its_owner() {
    let twice = format!("{CERTIFICATE}{CERTIFICATE}");
    for text in [CERTIFICATE, &twice] {
        let keys = read(text).unwrap();
        assert_eq!(families(&keys), [KeyFamily::P256]);
        let own = keys[0].key.try_get_as_bytes().unwrap();
        assert_eq!(own, read(CERTIFICATE_KEY).unwrap()[0].key.try_get_as_bytes().unwrap());
    }
}

#[test]
fn private_and_unusable_pem_is_refused() {
    let der = TestKey::p256().public_der();
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        assert_eq!(error(&pem(label, &der)), KeyError::PrivateKey, "{label}");
    }
    assert_eq!(error(&pem("PUBLIC KEY", &[])), KeyError::UnusableKey(1));
    assert_eq!(error(&pem("PUBLIC KEY", &[7; 32])), KeyError::UnusableKey(1));
    assert_eq!(error(&pem("PUBLIC KEY", &der[1..])), KeyError::UnusableKey(1));
    assert_eq!(error(&pem("CERTIFICATE", &der)), KeyError::UnusableKey(1));
    let second = format!("{}{}", TestKey::p384().pem(), pem("PUBLIC KEY", &[0x30]));
    assert_eq!(error(&second), KeyError::UnusableKey(2));
    for text in ["", "  ", "key", "-----BEGIN PUBLIC KEY-----\n", "[]", "{", "{}", "\u{feff}{}"] {
        assert_eq!(error(text), KeyError::UnknownForm, "{text:?}");
    }
}

#[test]
fn a_jwk_names_itself_or_takes_the_files_name() {
    let key = TestKey::p256();
    assert_eq!(read(&key.jwk(r#","kid":"a/b""#)).unwrap()[0].name(), Some("a/b"));
    assert_eq!(read(&key.jwk("")).unwrap()[0].name(), Some("main"));
    let keys = read(&jwks(&[key.jwk(r#","kid":"a""#), key.jwk("")])).unwrap();
    assert_eq!(keys.iter().map(VerifyingKey::name).collect::<Vec<_>>(), [Some("a"), Some("main")]);
    let long = format!(r#","kid":"{}""#, "k".repeat(MAX_KID_BYTES + 1));
    assert_eq!(error(&key.jwk(&long)), KeyError::UnusableKey(1));
    assert_eq!(error(&key.jwk(r#","kid":7"#)), KeyError::UnusableKey(1));
    assert_eq!(error(&jwks(&[key.jwk(""), "1".to_owned()])), KeyError::UnusableKey(2));
    assert_eq!(error(&key.jwk(r#","kty":"EC""#)), KeyError::UnknownForm);
}

#[test]
fn a_jwk_with_alg_serves_that_one_only() {
    let keys = read(&TestKey::rsa().jwk(r#","alg":"PS256""#)).unwrap();
    assert!(keys[0].serves(Algorithm::PS256));
    assert!(!keys[0].serves(Algorithm::RS256) && !keys[0].serves(Algorithm::HS256));
    let keys = read(&TestKey::ed25519().jwk(r#","alg":"Ed25519""#)).unwrap();
    assert!(keys[0].serves(Algorithm::EdDSA));
    // An algorithm of another kind of key, HS for a public key above all.
    assert_eq!(error(&TestKey::rsa().jwk(r#","alg":"HS256""#)), KeyError::UnusableKey(1));
    assert_eq!(error(&TestKey::p256().jwk(r#","alg":"ES384""#)), KeyError::UnusableKey(1));
    // Algorithms that verify nothing.
    assert_eq!(error(&TestKey::rsa().jwk(r#","alg":"RSA-OAEP""#)), KeyError::NoKey);
    assert_eq!(error(&TestKey::rsa().jwk(r#","alg":"none""#)), KeyError::NoKey);
}

#[test]
fn keys_for_other_uses_and_remote_secrets_are_left_out() {
    let key = TestKey::p256();
    let left_out = [
        key.jwk(r#","use":"enc""#),
        key.jwk(r#","key_ops":["encrypt"]"#),
        key.jwk(r#","key_ops":[]"#),
        TestKey::secret(1).jwk(r#","kid":"s""#),
        TestKey::secret(1).jwk(r#","alg":"HS256""#),
        TestKey::rsa().jwk(r#","alg":"RSA-OAEP-256""#),
        r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#.to_owned(),
        r#"{"kid":"no type"}"#.to_owned(),
        key.jwk(r#","kid":7"#),
        key.jwk(r#","kid":"a","kid":"b""#),
        "1".to_owned(),
    ];
    assert_eq!(remote(&left_out), []);
    let good = key.jwk(
        r#","kid":"k","key_ops":["verify"],"x5u":"https://evil.example","#.trim_end_matches(','),
    );
    let found = remote(&[left_out.as_slice(), &[good]].concat());
    assert_eq!(found, [(Some("k".to_owned()), KeyFamily::P256)]);
}

#[test]
fn a_secret_in_a_file_is_long_enough() {
    let keys = read(&TestKey::secret(1).jwk(r#","kid":"s""#)).unwrap();
    assert_eq!(families(&keys), [KeyFamily::Secret]);
    assert_eq!(error(&TestKey::Secret(vec![1; 31]).jwk("")), KeyError::UnusableKey(1));
}

#[test]
fn points_off_their_curve_and_odd_rsa_keys_are_broken() {
    for bad in [
        r#"{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA"}"#,
        r#"{"kty":"EC"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"AA=="}"#,
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        r#"{"kty":"RSA","n":"","e":"AQAB"}"#,
    ] {
        assert_eq!(error(bad), KeyError::UnusableKey(1), "{bad}");
    }
    let rsa = TestKey::rsa().jwk("");
    for exponent in ["", "AQ", "Ag", "AQABAQEB", "AA"] {
        let odd = rsa.replace(r#""e":"AQAB""#, &format!(r#""e":"{exponent}""#));
        assert_eq!(error(&odd), KeyError::UnusableKey(1), "{exponent}");
    }
    let padded = rsa.replace(r#""e":"AQAB""#, r#""e":"AAEAAQ""#);
    assert!(read(&padded).is_ok());
}

#[test]
fn a_jwks_is_bounded_and_may_be_empty() {
    assert_eq!(remote(&[]), []);
    let many: Vec<_> = (0..=MAX_JWKS_KEYS).map(|_| TestKey::ed25519().jwk("")).collect();
    assert_eq!(remote(&many[1..]).len(), MAX_JWKS_KEYS);
    assert_eq!(read_jwks(jwks(&many).as_bytes()).unwrap_err(), KeyError::TooManyKeys);
    let long = format!("{}{}", jwks(&[]), " ".repeat(MAX_JWKS_BYTES));
    assert_eq!(read_jwks(long.as_bytes()).unwrap_err(), KeyError::TooLong);
    let single = TestKey::p256().jwk("");
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, &single] {
        assert_eq!(read_jwks(bad.as_bytes()).unwrap_err(), KeyError::UnknownForm, "{bad}");
    }
}

fn names(set: &KeySet, algorithm: Algorithm, kid: Option<&str>) -> Vec<Option<String>> {
    match set.candidates(algorithm, kid) {
        Candidates::Try(keys) => keys.iter().map(|key| key.name().map(str::to_owned)).collect(),
        Candidates::None | Candidates::UnknownName => Vec::new(),
    }
}

#[test]
fn a_kid_chooses_by_name_and_secrets_have_none() {
    let mut configured = read_secrets(&[b's'; 32]).unwrap();
    configured.extend(read(&TestKey::secret(1).jwk(r#","kid":"a""#)).unwrap());
    configured.extend(read(&TestKey::p256().jwk(r#","kid":"a""#)).unwrap());
    configured.extend(read(&TestKey::p256().pem()).unwrap());
    let unnamed = read_jwks(jwks(&[TestKey::p256().jwk("")]).as_bytes()).unwrap();
    let set = KeySet::new(configured, RemoteKeys::Fetched(unnamed));
    let a = || Some("a".to_owned());
    let main = || Some("main".to_owned());
    assert_eq!(names(&set, Algorithm::HS256, Some("a")), [a(), None]);
    assert_eq!(names(&set, Algorithm::HS256, Some("x")), [None]);
    assert_eq!(names(&set, Algorithm::HS256, None), [None, a()]);
    assert_eq!(names(&set, Algorithm::ES256, Some("a")), [a()]);
    assert_eq!(names(&set, Algorithm::ES256, Some("main")), [main()]);
    assert_eq!(names(&set, Algorithm::ES256, None), [a(), main(), None]);
    assert!(matches!(set.candidates(Algorithm::ES256, Some("x")), Candidates::UnknownName));
    assert!(matches!(set.candidates(Algorithm::RS256, Some("a")), Candidates::None));
    assert!(matches!(set.candidates(Algorithm::RS256, None), Candidates::None));
    let local = set.with_remote(RemoteKeys::None);
    assert!(matches!(local.candidates(Algorithm::ES256, Some("x")), Candidates::None));
}

#[test]
fn at_most_eight_keys_are_tried() {
    let keys: Vec<_> = (0..12).map(|_| TestKey::ed25519().jwk(r#","kid":"k""#)).collect();
    let set = KeySet::new(read(&jwks(&keys)).unwrap(), RemoteKeys::None);
    assert_eq!(names(&set, Algorithm::EdDSA, None).len(), MAX_CANDIDATES);
    assert_eq!(names(&set, Algorithm::EdDSA, Some("k")).len(), MAX_CANDIDATES);
}

#[test]
fn a_set_is_configured_by_any_source() {
    assert!(!KeySet::default().is_configured());
    assert!(KeySet::new(Vec::new(), RemoteKeys::Awaited).is_configured());
    assert!(KeySet::new(Vec::new(), RemoteKeys::Fetched([].into())).is_configured());
    assert!(KeySet::new(read_secrets(&[b's'; 32]).unwrap(), RemoteKeys::None).is_configured());
}

#[test]
fn secrets_are_never_shown() {
    let set = KeySet::new(read_secrets(&[b'q'; 32]).unwrap(), RemoteKeys::None);
    let shown = format!("{set:?}");
    assert!(!shown.contains("qqqq") && !shown.contains("113, 113"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes: Vec<u8>) {
        read_key_file("f", &bytes).ok();
        read_jwks(&bytes).ok();
        let text = pem("PUBLIC KEY", &bytes) + &pem("CERTIFICATE", &bytes);
        read_key_file("f", text.as_bytes()).ok();
    }

    /// Members of a JWK in any combination.
    #[test]
    fn no_jwk_is_too_odd(
        kty in "(RSA|EC|OKP|oct|X)", crv in "(P-256|P-384|Ed25519|X)",
        numbers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 5),
    ) {
        let member = |name: &str, at: usize| {
            use base64::Engine;
            let text = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&numbers[at]);
            format!(r#","{name}":"{text}""#)
        };
        let members: String =
            ["n", "e", "x", "y", "k"].iter().enumerate().map(|(at, name)| member(name, at)).collect();
        let jwk = format!(r#"{{"kty":"{kty}","crv":"{crv}"{members}}}"#);
        read(&jwk).ok();
        prop_assert!(read_jwks(jwks(&[jwk]).as_bytes()).is_ok());
    }
}
