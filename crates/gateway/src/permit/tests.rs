//! Which policy decides about which action.

use super::*;
use crate::tests::settings;

fn check(room: &str, action: RoomAction, expected: Result<(), ErrorCode>) {
    let settings = settings(&[
        "namespaces.default.message_bytes=100",
        "namespaces.large.message_bytes=200",
        "namespaces.large.history_size=0",
    ]);
    let room = RoomName::parse(room).unwrap();
    let decided = permit(&settings, &room, action);
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
    let decide = |room| permit(&settings, &RoomName::parse(room).unwrap(), RoomAction::Leave);
    assert_eq!(decide("abc"), Ok(()));
    assert_eq!(decide("abcd").unwrap_err().code, ErrorCode::BadRoom);
}

#[test]
fn joining_reading_and_leaving_need_no_policy() {
    for room in ["a", "large:a"] {
        for action in [RoomAction::Join, RoomAction::ReadHistory, RoomAction::Leave] {
            check(room, action, Ok(()));
        }
    }
}
