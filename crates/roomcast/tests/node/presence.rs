//! Presence on one node: numbers, lists, who is told of whom, the grace.

use std::time::Duration;

use crate::support::auth::{GUARDED, token};
use crate::support::{Incoming, TestClient, TestNode, eventually, plain, room, soon};
use roomcast_protocol::{
    ClientFrame, Data, Encoding, ErrorCode, JoinRoom, Member, PresenceCounts, PresenceStatus,
    ServerFrame, UserEvent,
};
use tokio::time::{Instant, timeout};

const EVENTS: &str = "namespaces.default.presence=events";

fn info(json: &str) -> Option<Data> {
    Some(Data::json(json.as_bytes().to_vec()).unwrap())
}

fn listening(name: &str) -> JoinRoom {
    JoinRoom { presence: true, ..plain(name) }
}

/// Joins; the numbers in `joined`.
async fn join(client: &mut TestClient, join: JoinRoom) -> Option<PresenceCounts> {
    let id = client.next_id();
    match client.ask(&ClientFrame::Join { id: Some(id), rooms: vec![join] }).await {
        ServerFrame::Joined { counts, .. } => counts,
        other => panic!("{other:?}"),
    }
}

/// What comes next of who comes and goes, in short; numbers alone are passed over.
async fn event(client: &mut TestClient) -> String {
    loop {
        return match client.frame().await {
            ServerFrame::Count { .. } => continue,
            ServerFrame::UserJoined(UserEvent { user, count, users, .. }) => {
                format!("+{user} {count}/{users}")
            }
            ServerFrame::UserLeft(UserEvent { user, count, users, .. }) => {
                format!("-{user} {count}/{users}")
            }
            ServerFrame::Presence { id: None, user, status, .. } => {
                format!("{} {}", user.unwrap(), status.unwrap().as_str())
            }
            ServerFrame::PresenceReset { .. } => "reset".to_owned(),
            other => panic!("{other:?}"),
        };
    }
}

async fn members(client: &mut TestClient, name: &str) -> (Vec<Member>, PresenceCounts) {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let id = client.next_id();
        let frame = ClientFrame::Members { id: Some(id), room: room(name), page };
        match client.ask(&frame).await {
            ServerFrame::Members { members, counts, more, .. } => {
                all.extend(members);
                page = more;
                if page.is_none() {
                    return (all, counts);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn names(members: &[Member]) -> Vec<String> {
    let name = |member: &Member| match (&member.user, member.connection) {
        (Some(user), Some(_)) => user.to_string(),
        (Some(user), None) => format!("({user})"),
        (None, _) => "?".to_owned(),
    };
    members.iter().map(name).collect()
}

async fn hears_nothing(client: &mut TestClient) {
    let heard = timeout(Duration::from_millis(300), client.frame()).await;
    assert!(
        !matches!(heard, Ok(ServerFrame::UserJoined(_) | ServerFrame::UserLeft(_))),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_user_joins_with_its_first_connection_and_leaves_with_its_last() {
    let node = TestNode::start(&[EVENTS, "namespaces.default.presence_grace=1s"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    let counts = join(&mut ann, listening("a")).await.unwrap();
    assert_eq!((counts.count, counts.users), (1, 1));
    let mut bob = node.user(Encoding::MsgPack, "bob").await;
    let join_bob = JoinRoom { info: info(r#"{"name":"Bob"}"#), ..listening("a") };
    let at_join = join(&mut bob, join_bob).await.unwrap();
    assert_eq!((at_join.count, at_join.users), (2, 2));
    assert_eq!(event(&mut ann).await, "+bob 2/2");
    let mut tab = node.user(Encoding::Json, "bob").await;
    let counts = join(&mut tab, plain("a")).await.unwrap();
    assert_eq!((counts.count, counts.users, counts.rev), (3, 2, at_join.rev));
    let mut anonymous = node.json().await;
    assert_eq!(join(&mut anonymous, plain("a")).await.unwrap().count, 4);

    let (list, counts) = members(&mut ann, "a").await;
    assert_eq!(names(&list), ["?", "ann", "bob", "bob"]);
    assert!(list[2..].iter().all(|member| member.info == info(r#"{"name":"Bob"}"#)));
    assert_eq!((counts.count, counts.users), (4, 2));

    // The first of two connections: nobody hears of it.
    tab.leave("a").await;
    drop(bob);
    // The last one ended: after the grace.
    let ended = Instant::now();
    assert_eq!(event(&mut ann).await, "-bob 2/1");
    assert!(ended.elapsed() >= Duration::from_millis(900), "{:?}", ended.elapsed());
    // At once where it left.
    let mut bob = node.user(Encoding::Json, "bob").await;
    join(&mut bob, listening("a")).await;
    assert_eq!(event(&mut ann).await, "+bob 3/2");
    bob.leave("a").await;
    let left = Instant::now();
    assert_eq!(event(&mut ann).await, "-bob 2/1");
    assert!(left.elapsed() < Duration::from_millis(900));
    node.stop().await;
}

#[tokio::test]
async fn a_reload_is_no_leave_and_keeps_the_list() {
    let node = TestNode::start(&[EVENTS]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, listening("a")).await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    let before = join(&mut bob, listening("a")).await.unwrap();
    assert_eq!(event(&mut ann).await, "+bob 2/2");
    drop(bob);
    // While the grace runs the user is listed without a connection.
    soon("an entry without a connection", async {
        while names(&members(&mut ann, "a").await.0) != ["ann", "(bob)"] {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let (_, counts) = members(&mut ann, "a").await;
    assert_eq!((counts.count, counts.users), (1, 2));
    let mut bob = node.user(Encoding::Json, "bob").await;
    let after = join(&mut bob, listening("a")).await.unwrap();
    assert_eq!((after.rev, after.rev_epoch), (before.rev, before.rev_epoch));
    hears_nothing(&mut ann).await;
    node.stop().await;
}

#[tokio::test]
async fn what_a_member_shows_goes_to_the_others() {
    let node = TestNode::start(&[EVENTS]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, listening("a")).await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    join(&mut bob, listening("a")).await;
    let mut tab = node.user(Encoding::Json, "bob").await;
    join(&mut tab, listening("a")).await;
    assert_eq!(event(&mut ann).await, "+bob 2/2");
    let show =
        |id, info, status| ClientFrame::Presence { id: Some(id), room: room("a"), info, status };
    let away = Some(PresenceStatus::Away);
    match bob.ask(&show(70, None, away)).await {
        ServerFrame::Presence { user, connection: None, status, rev: Some(_), .. } => {
            assert_eq!((user.unwrap().as_str(), status), ("bob", away));
        }
        other => panic!("{other:?}"),
    }
    // A user is away if all its connections are.
    tab.ask(&show(71, info("1"), away)).await;
    assert_eq!(event(&mut ann).await, "bob away");
    let (list, _) = members(&mut ann, "a").await;
    assert!(list[1..].iter().all(|member| member.info == info("1") && member.status == away));
    for (id, info, code) in [(72, info(&format!("\"{}\"", "x".repeat(2_000))), ErrorCode::TooLarge)]
    {
        let answer = bob.ask(&show(id, info, None)).await;
        assert!(matches!(answer, ServerFrame::Error { code: it, .. } if it == code), "{answer:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_refresh_shows_the_info_of_the_new_token() {
    let author_info = "namespaces.default.author_info=true";
    let node = TestNode::start(&[GUARDED[0], GUARDED[1], EVENTS, author_info]).await;
    let rooms = r#","rooms":{"*":["join","publish","presence"]}"#;
    let named = |name: &str| token("ann", &format!(r#"{rooms},"info":{{"name":"{name}"}}"#));
    let mut bob = node.with_token(Encoding::Json, &token("bob", rooms)).await;
    let mut ann = node.with_token(Encoding::MsgPack, &named("Ann")).await;
    join(&mut ann, plain("a")).await;
    let own = JoinRoom { info: info("7"), ..plain("own") };
    join(&mut ann, own).await;
    for name in ["a", "own"] {
        join(&mut bob, listening(name)).await;
    }
    let refresh = async |ann: &mut TestClient, token: String| {
        let id = Some(ann.next_id());
        let answer = ann.ask(&ClientFrame::Refresh { id, token: token.into() }).await;
        assert!(matches!(answer, ServerFrame::Refreshed { .. }), "{answer:?}");
    };
    for (token, expected) in [
        (named("Anna"), info(r#"{"name":"Anna"}"#)),
        // The old token's info is replaced, also by none.
        (token("ann", rooms), None),
        (named("A."), info(r#"{"name":"A."}"#)),
    ] {
        refresh(&mut ann, token).await;
        loop {
            match bob.frame().await {
                ServerFrame::Presence { room, user, info: shown, .. } => {
                    assert_eq!((room.as_str(), user.unwrap().as_str()), ("a", "ann"));
                    assert_eq!(shown, expected);
                    break;
                }
                ServerFrame::Count { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(members(&mut bob, "a").await.0[0].info, expected);
        assert_eq!(members(&mut bob, "own").await.0[0].info, info("7"));
        for name in ["a", "own"] {
            ann.publish(name, "1").await;
            let shown = loop {
                match bob.frame().await {
                    ServerFrame::Message { room, message } if room.as_str() == name => {
                        break message.info.clone();
                    }
                    ServerFrame::Count { .. } => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(shown, if name == "a" { expected.clone() } else { info("7") });
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_namespace_without_presence_has_none() {
    let node = TestNode::start(&["namespaces.counts.presence=counts"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    assert_eq!(join(&mut ann, listening("a")).await, None);
    for frame in [
        ClientFrame::Members { id: Some(80), room: room("a"), page: None },
        ClientFrame::Presence {
            id: Some(80),
            room: room("a"),
            info: None,
            status: Some(PresenceStatus::Away),
        },
    ] {
        let answer = ann.ask(&frame).await;
        assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::Unsupported, .. }));
    }
    // Numbers alone, a second apart, and the list.
    assert_eq!(join(&mut ann, listening("counts:a")).await.unwrap().count, 1);
    let mut others = Vec::new();
    for number in 0..5 {
        let mut other = node.user(Encoding::Json, &format!("user-{number}")).await;
        join(&mut other, plain("counts:a")).await.unwrap();
        others.push(other);
    }
    let mut heard = 0;
    loop {
        heard += 1;
        match ann.frame().await {
            ServerFrame::Count { count: 6, users: 6, list: false, .. } => break,
            ServerFrame::Count { list: false, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(heard <= 4, "{heard}");
    assert_eq!(members(&mut ann, "counts:a").await.0.len(), 6);
    node.stop().await;
}

#[tokio::test]
async fn a_large_room_is_told_numbers_and_events_return_below_80_percent() {
    let node = TestNode::start(&[
        EVENTS,
        "namespaces.default.presence_events_max=10",
        "namespaces.default.presence_grace=0",
    ])
    .await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, listening("a")).await;
    let mut crowd = Vec::new();
    for number in 0..15 {
        let mut other = node.user(Encoding::Json, &format!("user-{number}")).await;
        join(&mut other, plain("a")).await;
        crowd.push(other);
    }
    let (mut joins, mut counts) = (0, 0);
    loop {
        match ann.frame().await {
            ServerFrame::UserJoined(_) => joins += 1,
            ServerFrame::Count { count, list, .. } => {
                counts += u32::from(!list);
                if count == 16 {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(joins, 9, "as many as the bound takes");
    assert!((1..=4).contains(&counts), "{counts}");
    crowd.truncate(6);
    loop {
        match ann.frame().await {
            ServerFrame::PresenceReset { after_ms, .. } => {
                assert!(after_ms <= 10_000);
                break;
            }
            ServerFrame::Count { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let mut other = node.user(Encoding::Json, "late").await;
    join(&mut other, plain("a")).await;
    loop {
        match event(&mut ann).await.as_str() {
            "+late 8/8" => break,
            word if word.starts_with('-') => {}
            other => panic!("{other}"),
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn lists_are_paged_and_pages_belong_to_their_connection() {
    let node = TestNode::start(&[EVENTS, "limits.exempt_networks=127.0.0.0/8"]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, plain("a")).await;
    let large = format!("\"{}\"", "x".repeat(1_000));
    let mut crowd = Vec::new();
    for number in 0..150 {
        let mut other = node.user(Encoding::Json, &format!("user-{number:03}")).await;
        join(&mut other, JoinRoom { info: info(&large), ..plain("a") }).await;
        crowd.push(other);
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let ask = |id, page: Option<&str>| ClientFrame::Members {
        id: Some(id),
        room: room("a"),
        page: page.map(Into::into),
    };
    let ServerFrame::Members { members: first, more: Some(more), .. } =
        ann.ask(&ask(60, None)).await
    else {
        panic!("a page with others after it");
    };
    assert!(first.len() < 100);
    let (all, counts) = members(&mut ann, "a").await;
    assert_eq!((all.len() as u64, counts.count), (151, 151));
    let mut sorted = names(&all);
    sorted.dedup();
    assert_eq!(sorted.len(), 151);
    for bad in [ask(61, Some("MTI4"))] {
        let answer = ann.ask(&bad).await;
        assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::BadFrame, .. }));
    }
    let answer = crowd[0].ask(&ask(62, Some(&more))).await;
    assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::BadFrame, .. }), "{answer:?}");
    node.stop().await;
}

#[tokio::test]
async fn who_may_not_see_members_sees_nothing_of_them() {
    let node = TestNode::start(&[GUARDED[0], GUARDED[1], EVENTS]).await;
    let connect = async |rooms: &str| {
        let claims = format!(r#","rooms":{{"a":[{rooms}]}}"#);
        let query = format!("token={}", token("ann", &claims));
        TestClient::connect(node.address(), Encoding::Json, &query).await
    };
    let mut blind = connect(r#""join""#).await;
    assert_eq!(join(&mut blind, plain("a")).await, None);
    let answer =
        blind.ask(&ClientFrame::Members { id: Some(50), room: room("a"), page: None }).await;
    assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::Forbidden, .. }), "{answer:?}");
    let mut other = connect(r#""join""#).await;
    let rooms = vec![listening("a")];
    let answer = other.ask(&ClientFrame::Join { id: Some(51), rooms }).await;
    assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::Forbidden, .. }), "{answer:?}");
    let mut seeing = connect(r#""join","presence""#).await;
    assert_eq!(join(&mut seeing, listening("a")).await.unwrap().count, 2);
    // An info above the bound opens no connection.
    let claims = format!(r#","info":"{}""#, "x".repeat(2_000));
    let path = format!("/ws?token={}", token("ann", &claims));
    let refusal = crate::support::get(node.address(), &path).await;
    assert_eq!(refusal.status, 401);
    assert!(
        refusal.body.contains("info") && refusal.body.contains("bad_token"),
        "{}",
        refusal.body
    );
    node.stop().await;
}

#[tokio::test]
async fn the_end_of_a_ban_is_a_leave_and_a_close_is_not() {
    let node = TestNode::start(&[EVENTS]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, listening("a")).await;
    // A Close from the client is an end, not a `leave`.
    let mut bob = node.user(Encoding::Json, "bob").await;
    join(&mut bob, plain("a")).await;
    assert_eq!(event(&mut ann).await, "+bob 2/2");
    bob.socket.close(None).await.unwrap();
    while !matches!(bob.incoming().await, Incoming::Closed(..) | Incoming::Gone) {}
    hears_nothing(&mut ann).await;
    node.stop().await;
}

/// The bus asks for the policy at each change; a reload is one by itself.
#[tokio::test]
async fn a_reload_changes_how_a_room_that_runs_is_told() {
    let (counts, off) = ("namespaces.default.presence=counts", "namespaces.default.presence=off");
    let mut node = TestNode::start(&["node.id=n", EVENTS]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, listening("a")).await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    join(&mut bob, listening("a")).await;
    assert_eq!(event(&mut ann).await, "+bob 2/2");

    node.node.reload(&TestNode::config(&["node.id=n", counts])).await;
    // The next change after that ends lists.
    let mut eve = node.user(Encoding::Json, "eve").await;
    loop {
        join(&mut eve, plain("a")).await;
        match ann.frame().await {
            ServerFrame::Count { count: 3, users: 3, list: false, .. } => break,
            ServerFrame::UserJoined(_) => eve.leave("a").await,
            other => panic!("{other:?}"),
        }
        assert_eq!(event(&mut ann).await, "-eve 2/2");
    }
    node.node.reload(&TestNode::config(&["node.id=n", EVENTS])).await;
    assert_eq!(event(&mut ann).await, "reset");
    assert_eq!(names(&members(&mut ann, "a").await.0), ["ann", "bob", "eve"]);

    // Presence is switched off: members see no `user_left`.
    node.node.reload(&TestNode::config(&["node.id=n", off])).await;
    let id = ann.next_id();
    let ask = ClientFrame::Members { id: Some(id), room: room("a"), page: None };
    eventually("presence is off", async || {
        matches!(ann.ask(&ask).await, ServerFrame::Error { code: ErrorCode::Unsupported, .. })
    })
    .await;
    hears_nothing(&mut ann).await;
    node.stop().await;
}

/// Numbers come where the room's own token, or the policy for members, gives the right to see them.
#[tokio::test]
async fn a_rooms_token_and_the_policy_for_members_give_the_numbers() {
    let settings = [
        EVENTS,
        "namespaces.mem.presence=events",
        "namespaces.mem.allow_join=public",
        "namespaces.mem.allow_presence=member",
    ];
    let node = TestNode::start(&[&GUARDED[..], &settings].concat()).await;
    let mut ann = node.with_token(Encoding::Json, &token("ann", r#","rooms":{}"#)).await;
    let pass = token("ann", r#","room":"a","can":["join","presence"]"#);
    let with_pass = JoinRoom { token: Some(pass.into()), ..listening("a") };
    assert_eq!(join(&mut ann, with_pass).await.map(|counts| counts.count), Some(1));
    assert_eq!(join(&mut ann, listening("mem:a")).await.map(|counts| counts.count), Some(1));
    let pass = token("ann", r#","room":"b","can":["join"]"#);
    let with_less = JoinRoom { token: Some(pass.into()), ..plain("b") };
    assert_eq!(join(&mut ann, with_less).await, None);
    node.stop().await;
}

#[tokio::test]
async fn a_strict_join_that_is_refused_is_told_to_nobody() {
    let node = TestNode::start(&[EVENTS]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    join(&mut ann, listening("a")).await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    let since = Some(crate::support::foreign(9).into());
    let strict = JoinRoom { since, strict: true, ..listening("a") };
    let id = bob.next_id();
    match bob.ask(&ClientFrame::Join { id: Some(id), rooms: vec![strict] }).await {
        ServerFrame::Error { code, .. } => assert_eq!(code, ErrorCode::Unrecoverable),
        other => panic!("{other:?}"),
    }
    let mut eve = node.user(Encoding::Json, "eve").await;
    let counts = join(&mut eve, JoinRoom { strict: true, ..listening("a") }).await.unwrap();
    assert_eq!((counts.count, counts.users), (2, 2));
    assert_eq!(event(&mut ann).await, "+eve 2/2");
    node.stop().await;
}
