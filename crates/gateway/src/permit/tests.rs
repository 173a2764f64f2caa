//! Which policy decides about which action.

use roomcast_access::identity::AccessIdentity;
use roomcast_protocol::UserName;

use super::*;
use crate::settings::Settings;
use crate::tests::settings;

fn check(room: &str, action: RoomAction, expected: Result<(), ErrorCode>) {
    let settings = settings(&[
        "namespaces.default.message_bytes=100",
        "namespaces.large.message_bytes=200",
        "namespaces.large.history_size=0",
    ]);
    let room = RoomName::parse(room).unwrap();
    let asker = (Caller::Connection(&AccessIdentity::anonymous()), RoomStanding::Outside);
    let decided = permit(&settings, asker, &room, action);
    assert_eq!(decided.map_err(|denial| denial.code), expected, "{action:?} in {room}");
}

#[test]
fn each_namespace_has_its_own_largest_message() {
    let publish = |data_bytes| RoomAction::Publish { data_bytes };
    check("a", publish(100), Ok(()));
    check("a", publish(101), Err(ErrorCode::TooLarge));
    check("unknown:a", publish(101), Err(ErrorCode::TooLarge));
    check("large:a", publish(200), Ok(()));
    check("large:a", publish(201), Err(ErrorCode::TooLarge));
}

#[test]
fn a_name_may_be_bounded_more_tightly_than_by_the_protocol() {
    let settings = settings(&["limits.room_name_bytes=3"]);
    let decide = |room| {
        let caller = (Caller::Connection(&AccessIdentity::anonymous()), RoomStanding::Outside);
        permit(&settings, caller, &RoomName::parse(room).unwrap(), RoomAction::Leave)
    };
    assert_eq!(decide("abc"), Ok(()));
    assert_eq!(decide("abcd").unwrap_err().code, ErrorCode::BadRoom);
}

#[test]
fn without_authentication_everything_is_allowed() {
    for room in ["a", "large:a"] {
        for action in [joining(5), RoomAction::ReadHistory, RoomAction::Leave] {
            check(room, action, Ok(()));
        }
    }
}

fn guarded() -> Settings {
    settings(&[
        "auth.hs_secret=a-secret-of-thirty-two-bytes-or-more",
        "namespaces.lobby.allow_join=public",
        "namespaces.lobby.allow_publish=user",
        "namespaces.club.allow_publish=member",
        "namespaces.news.allow_publish=server",
    ])
}

fn denied(
    identity: &AccessIdentity,
    standing: RoomStanding,
    room: &str,
    action: RoomAction,
) -> Option<String> {
    let room = RoomName::parse(room).unwrap();
    let asker = (Caller::Connection(identity), standing);
    let denial = permit(&guarded(), asker, &room, action).err()?;
    assert_eq!(denial.code, ErrorCode::Forbidden);
    Some(denial.message)
}

/// The message names the capability that is missing.
#[track_caller]
fn assert_lacks(denied: Option<String>, capability: &str) {
    assert!(denied.as_ref().is_some_and(|message| message.contains(capability)), "{denied:?}");
}

#[test]
fn with_authentication_a_capability_is_needed_unless_a_policy_admits() {
    const PUBLISH: RoomAction = RoomAction::Publish { data_bytes: 1 };
    let nobody = AccessIdentity::anonymous();
    let alice = AccessIdentity::named(UserName::parse("alice").unwrap());
    let inside = RoomStanding::Inside(Capabilities::NONE);
    assert_lacks(denied(&alice, RoomStanding::Outside, "a", joining(0)), "join");
    assert_lacks(denied(&alice, inside, "a", RoomAction::Stay), "join");
    assert_lacks(denied(&alice, inside, "a", PUBLISH), "publish");
    assert_lacks(denied(&alice, inside, "lobby:1", joining(1)), "history");
    assert_lacks(denied(&alice, inside, "lobby:1", RoomAction::ReadHistory), "history");
    assert_lacks(denied(&nobody, inside, "lobby:1", PUBLISH), "publish");
    assert_lacks(denied(&alice, RoomStanding::Outside, "club:1", PUBLISH), "publish");
    assert_lacks(denied(&alice, inside, "news:1", PUBLISH), "publish");
    for (identity, standing, room, action) in [
        (&nobody, RoomStanding::Outside, "lobby:1", joining(0)),
        (&nobody, RoomStanding::Outside, "a", RoomAction::Leave),
        (&alice, RoomStanding::Outside, "lobby:1", PUBLISH),
        (&nobody, inside, "club:1", PUBLISH),
    ] {
        assert_eq!(denied(identity, standing, room, action), None, "{action:?} in {room}");
    }
}

#[test]
fn a_rooms_token_gives_its_capabilities_in_the_room() {
    const PUBLISH: RoomAction = RoomAction::Publish { data_bytes: 1 };
    let alice = AccessIdentity::named(UserName::parse("alice").unwrap());
    let can = Capabilities::from_words(["join", "publish"]);
    let entering = RoomStanding::Entering(can);
    assert_eq!(denied(&alice, entering, "a", joining(0)), None);
    assert_lacks(denied(&alice, entering, "a", joining(1)), "history");
    assert_eq!(denied(&alice, RoomStanding::Inside(can), "a", PUBLISH), None);
    assert_lacks(denied(&alice, RoomStanding::Inside(can), "news:1", PUBLISH), "publish");
}

fn joining(history: u32) -> RoomAction {
    RoomAction::Join { history, listening: ListInterest::No, info_bytes: 0 }
}
