//! What a token's claims must say, and what a node makes of them.

use super::*;

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
