//! Every rule against every kind of caller, action and place in the room.

use super::*;
use crate::pattern::{PatternText, RoomGrant};
use roomcast_protocol::UserName;

const NONE: Capabilities = Capabilities::NONE;

fn policy(rule: AccessRule) -> AccessPolicy {
    AccessPolicy::new(Authentication::Configured, |_| Some(rule))
}

fn named(words: &[&str]) -> AccessIdentity {
    let rooms = PatternText::parse("chat:*").of_user("u");
    let can = Capabilities::from_words(words.iter().copied());
    AccessIdentity::named(UserName::parse("u").unwrap())
        .with_grants([RoomGrant { rooms, can }].into_iter().collect())
}

/// Every rule, for each action, against identities with and without user and capability.
#[test]
fn rules_and_capabilities_decide_together() {
    for action in Capability::ALL {
        for rule in AccessRule::ALL {
            for (identity, has_user, can) in [
                (AccessIdentity::anonymous(), false, false),
                (named(&[]), true, false),
                (named(&[action.word()]), true, true),
            ] {
                for (standing, inside, extra) in [
                    (RoomStanding::Outside, false, false),
                    (RoomStanding::Entering([action].into_iter().collect()), false, true),
                    (RoomStanding::Inside(NONE), true, false),
                    (RoomStanding::Inside([action].into_iter().collect()), true, true),
                ] {
                    let by_policy = match rule {
                        AccessRule::Public => true,
                        AccessRule::User => has_user,
                        AccessRule::Member => inside && action != Capability::Join,
                        AccessRule::Capability | AccessRule::Server => false,
                    };
                    let expected = match (rule, by_policy, can, extra) {
                        (AccessRule::Server, ..) => Err(AccessDenied::ServerOnly(action)),
                        (_, true, _, _) => Ok(AllowedBy::Policy(rule)),
                        (_, _, true, _) => Ok(AllowedBy::Token),
                        (_, _, _, true) => Ok(AllowedBy::RoomToken),
                        _ => Err(AccessDenied::Capability(action)),
                    };
                    let caller = Caller::Connection(&identity);
                    let decided = decide(caller, &policy(rule), action, "chat:1", standing);
                    assert_eq!(decided, expected, "{action} {rule:?} {standing:?}");
                    if let Err(denied) = decided {
                        assert!(denied.to_string().contains(action.word()), "{denied}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_capability_counts_in_the_rooms_of_its_pattern_only() {
    let identity = named(&["join"]);
    let join = |room: &str| {
        let caller = Caller::Connection(&identity);
        let policy = policy(AccessRule::Capability);
        decide(caller, &policy, Capability::Join, room, RoomStanding::Outside)
    };
    assert_eq!(join("chat:1"), Ok(AllowedBy::Token));
    assert_eq!(join("lobby"), Err(AccessDenied::Capability(Capability::Join)));
}

#[test]
fn an_api_key_needs_its_scope_and_no_policy() {
    for rule in AccessRule::ALL {
        for action in Capability::ALL {
            let right = ApiScope::for_action(action);
            for scope in ApiScope::ALL {
                let scopes = [scope].into_iter().collect();
                let caller = Caller::ApiKey(scopes);
                let decided = decide(caller, &policy(rule), action, "any", RoomStanding::Outside);
                let expected = if scope == right {
                    Ok(AllowedBy::ApiKey)
                } else {
                    Err(AccessDenied::Scope(right))
                };
                assert_eq!(decided, expected);
            }
        }
    }
}

#[test]
fn an_empty_rule_depends_on_authentication() {
    let join_only = |action| (action == Capability::Join).then_some(AccessRule::User);
    let with = AccessPolicy::new(Authentication::Configured, join_only);
    let without = AccessPolicy::new(Authentication::NotConfigured, join_only);
    assert_eq!(with.rule(Capability::Join), AccessRule::User);
    assert_eq!(with.rule(Capability::Publish), AccessRule::Capability);
    assert_eq!(without.rule(Capability::Join), AccessRule::User);
    assert_eq!(without.rule(Capability::History), AccessRule::Public);
}

#[test]
fn rules_are_named_by_their_words() {
    for rule in AccessRule::ALL {
        assert_eq!(AccessRule::parse(rule.word()), Some(rule));
    }
    assert_eq!(AccessRule::parse(""), None);
    assert_eq!(AccessRule::parse("Public"), None);
}
