//! What applications ask of members and of state, on the wire.

use roomcast_client::{Client, Event, JoinOptions, StateValues};
use roomcast_protocol::{Data, Encoding, EventName, PresenceStatus};
use serde_json::json;

use crate::node::{EPOCH, Node, join, lobby, soon, told};

#[tokio::test]
async fn members_are_listed_over_all_pages() {
    let node = Node::start().await;
    let client = node.client();
    let mut link = node.accept().await;
    let listing = tokio::spawn({
        let client = client.clone();
        async move { client.all_members(lobby()).await }
    });
    let page = |id: &serde_json::Value, user: &str, more: Option<&str>| {
        let mut page = json!({
            "type": "members", "id": id, "room": "lobby", "members": [{"user": user}],
            "count": 2, "users": 2, "rev": 5, "rev_epoch": EPOCH,
        });
        if let Some(more) = more {
            page["more"] = json!(more);
        }
        page
    };
    let first = link.expect("members").await;
    link.send(page(&first["id"], "ann", Some("p2"))).await;
    let second = link.expect("members").await;
    assert_eq!(second["page"], "p2");
    drop(link);

    // The page was of the lost connection: the list is read from its beginning.
    let mut link = node.accept().await;
    let again = link.expect("members").await;
    assert_eq!(again["page"], "p2");
    link.send(json!({
        "type": "error", "id": again["id"], "room": "lobby", "code": "bad_frame", "message": "old",
    }))
    .await;
    let first = link.expect("members").await;
    assert!(first.get("page").is_none());
    link.send(page(&first["id"], "ann", Some("p3"))).await;
    let last = link.expect("members").await;
    link.send(page(&last["id"], "bob", None)).await;
    let (members, counts) = soon("the list", listing).await.unwrap().unwrap();
    let users: Vec<_> = members.iter().filter_map(|member| member.user.clone()).collect();
    assert_eq!(users.iter().map(|user| user.as_str()).collect::<Vec<_>>(), ["ann", "bob"]);
    assert_eq!((counts.count, counts.rev), (2, 5));
}

#[tokio::test]
async fn ephemeral_frames_go_both_ways() {
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let node = Node::start().await;
        let mut options = node.options();
        options.encoding = encoding;
        let client = Client::connect(options).unwrap();
        let options = JoinOptions { presence: true, ..JoinOptions::default() };
        client.join(lobby(), options).await.unwrap();
        let mut link = node.accept().await;
        assert_eq!(link.admit(4).await["presence"], true);
        assert_eq!(told(&client).await, "joined 4 None");
        let event = EventName::parse("cursor").unwrap();
        let data = match encoding {
            Encoding::Json => Data::Json("7".into()),
            Encoding::MsgPack => Data::MsgPack(vec![7].into()),
        };
        client.signal(lobby(), event, Some(data)).await.unwrap();
        client.typing(lobby()).await.unwrap();
        let signal = link.expect("signal").await;
        assert_eq!((&signal["event"], &signal["data"]), (&json!("cursor"), &json!(7)));
        link.expect("typing").await;
        let (show, shown) = (client.show(lobby(), None, Some(PresenceStatus::Away)), async {
            let asked = link.expect("presence").await;
            assert_eq!(asked["status"], "away");
            let answer = json!({
                "type": "presence", "id": asked["id"], "room": "lobby", "status": "away", "rev": 3,
            });
            link.send(answer).await;
        });
        tokio::join!(async { show.await.unwrap() }, shown);
        link.send(json!({
            "type": "user_joined", "room": "lobby", "user": "ann", "time": 1, "count": 2,
            "users": 2, "rev": 4,
        }))
        .await;
        link.send(json!({"type": "typing", "room": "lobby", "user": "ann", "active": true})).await;
        let Event::UserJoined(event) = next(&client).await else { panic!("no user_joined") };
        assert_eq!((event.user.as_str(), event.rev), ("ann", 4));
        assert!(matches!(next(&client).await, Event::Typing { active: true, .. }));
    }
}

#[tokio::test]
async fn values_are_those_of_the_last_whole_snapshot_and_what_followed() {
    let node = Node::start().await;
    let client = node.client();
    join(&client).await;
    let mut link = node.accept().await;
    let join = link.expect("join").await;
    link.send(json!({
        "type": "joined", "id": join["id"], "room": "lobby", "epoch": EPOCH, "seq": 4,
        "state": true,
    }))
    .await;
    let entry = |key, data| json!({"key": key, "seq": 4, "time": 1, "data": data});
    for (entries, more) in [(vec![entry("x", 1)], true), (vec![entry("y", 2)], false)] {
        link.send(json!({
            "type": "state", "room": "lobby", "epoch": EPOCH, "seq": 4, "entries": entries,
            "more": more,
        }))
        .await;
    }
    link.send(json!({
        "type": "message", "room": "lobby", "seq": 5, "time": 1, "state_key": "x", "remove": true,
        "data": null,
    }))
    .await;
    let mut values = StateValues::default();
    let mut counts = Vec::new();
    while counts.len() < 4 {
        let event = next(&client).await;
        values.hear(&event);
        counts.push(values.all().count());
    }
    assert_eq!(counts, [0, 0, 2, 1]);
    assert_eq!(values.all().next().unwrap().data, Data::Json("2".into()));
}

/// The next event that is not about the connection alone.
async fn next(client: &Client) -> Event {
    loop {
        match soon("an event", client.next()).await.expect("an event") {
            Event::Connected { .. } | Event::Disconnected { .. } => {}
            event => return event,
        }
    }
}
