//! Who is in a room, for backends: a page of its members.

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_protocol::{Encoding, ServerFrame};

use super::rooms::room_named;
use super::{ApiCaller, ApiError, ApiNode};
use crate::auth::wall_ms;
use crate::member_list::{ListMark, ListPage};
use crate::page_token::PageReader;
use crate::permit::{RoomAction, permit};

/// Reads a page of members; `query` is that of the request, undecoded. Answers JSON.
pub(crate) async fn members(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    room: &str,
    query: &str,
) -> Result<String, ApiError> {
    let room = room_named(room)?;
    let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
    permit(node.settings, standing, &room, RoomAction::SeeMembers)?;
    let after = match page_of(query)? {
        None => None,
        Some(page) => {
            let mark = PageReader::Backend.read(&room, page, wall_ms());
            let mark = mark.as_deref().and_then(ListMark::read);
            Some(mark.ok_or_else(|| ApiError::bad_query("page: none of this room, or too old"))?)
        }
    };
    let list = node.bus.presence_list(&room, None).await?;
    let ListPage { members, next } = ListPage::of(&list, after.as_ref());
    let make = |mark: ListMark| PageReader::Backend.make(&room, &mark.to_bytes(), wall_ms());
    let more = next.map(make);
    let counts = list.counts;
    Ok(frame_text(&ServerFrame::Members { id: None, room, members, counts, more }))
}

/// The `page` of a query, if it has one.
pub(super) fn page_of(query: &str) -> Result<Option<&str>, ApiError> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut pages = pairs.filter(|(name, _)| *name == "page").map(|(_, page)| page);
    match (pages.next(), pages.next()) {
        (page, None) => Ok(page),
        (_, Some(_)) => Err(ApiError::bad_query("page comes twice")),
    }
}

/// The fields of a frame without its type, as JSON.
pub(super) fn frame_text(frame: &ServerFrame) -> String {
    let mut bytes = Vec::new();
    frame.encode(Encoding::Json, &mut bytes);
    let text = String::from_utf8(bytes).unwrap_or_default();
    // A frame begins with its type.
    let rest = text.split_once(',').map_or("}", |(_, rest)| rest);
    format!("{{{rest}")
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::{PresenceCounts, RoomName};

    use super::*;

    #[test]
    fn a_frame_without_its_type_is_json() {
        let (room, counts) = (RoomName::parse("a").unwrap(), PresenceCounts::default());
        let frame =
            ServerFrame::Members { id: None, room, members: Vec::new(), counts, more: None };
        assert_eq!(
            frame_text(&frame),
            r#"{"room":"a","members":[],"count":0,"users":0,"rev":0,"rev_epoch":"0000000000000000"}"#
        );
    }

    #[test]
    fn a_query_has_one_page_or_none() {
        assert_eq!(page_of("").unwrap(), None);
        assert_eq!(page_of("a=b&page=xyz").unwrap(), Some("xyz"));
        assert!(page_of("page=a&page=b").is_err());
    }
}
