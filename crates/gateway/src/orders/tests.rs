//! Orders over several desks of one bus, and what a bus that lost its list gets back.

use roomcast_access::orders::{BanTarget, DisconnectTarget};
use roomcast_bus::{MemoryOptions, OrderPage};

use super::*;

fn desk(bus: &Bus) -> OrderDesk {
    OrderDesk::new(bus.clone(), &Metrics::new())
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

const HOUR: Duration = Duration::from_secs(3_600);

/// How a handshake of this user would be ended.
fn end_of(desk: &OrderDesk, name: &str) -> Option<CloseCode> {
    let user = user(name);
    let client =
        JudgedClient { user: Some(&user), token_id: None, address: None, connection: None };
    desk.judge(client).map(|end| end.code)
}

#[tokio::test]
async fn an_order_holds_on_every_desk_of_a_bus() {
    let bus = Bus::memory(MemoryOptions::default()).0;
    let (one, other) = (desk(&bus), desk(&bus));
    assert!(other.was_read() && other.is_followed(Duration::ZERO), "nobody else gives orders");
    let mut news = other.news();
    let ban = OrderKind::Ban(BanTarget::User(user("eve")));
    let order = one.give(ban, HOUR, Some("spam".into())).await.unwrap();
    assert_eq!(end_of(&one, "eve"), Some(CloseCode::Banned));
    assert_eq!(end_of(&other, "eve"), None);
    other.exchange(&[]).await.unwrap();
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    assert_eq!(end_of(&other, "eve"), Some(CloseCode::Banned));
    assert_eq!(end_of(&other, "ann"), None);
    assert_eq!(other.bans().await.unwrap(), std::slice::from_ref(&order));
    // One that begins later knows it.
    let late = desk(&bus);
    late.exchange(&[]).await.unwrap();
    assert_eq!(end_of(&late, "eve"), Some(CloseCode::Banned));

    assert_eq!(late.lift(OrderId(order.id.0 ^ 1)).await, Ok(false));
    assert_eq!(late.lift(order.id).await, Ok(true));
    assert_eq!(late.lift(order.id).await, Ok(true), "until its end");
    for desk in [&one, &other] {
        desk.exchange(&[]).await.unwrap();
        assert_eq!(end_of(desk, "eve"), None);
    }
    assert!(!news.has_changed().unwrap(), "a lift ends no connection");
    assert_eq!(one.bans().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_bus_that_lost_its_list_gets_it_back() {
    let desk = desk(&Bus::memory(MemoryOptions::default()).0);
    let ban = OrderKind::Ban(BanTarget::User(user("eve")));
    let order = desk.give(ban, HOUR, None).await.unwrap();
    let lifted = AccessOrder { state: OrderState::Lifted, ..order.clone() };
    let page = |texts: &[&AccessOrder]| OrderPage {
        time: desk.now(),
        revision: OrderRevision::default(),
        is_whole: true,
        texts: texts.iter().map(|order| order.encode()).collect(),
    };
    assert_eq!(desk.lost_by(&page(&[])), std::slice::from_ref(&order));
    assert_eq!(desk.lost_by(&page(&[&order])), []);
    desk.merge(&page(&[&lifted]), &[]);
    assert_eq!(desk.lost_by(&page(&[&order])), [lifted], "the lift was lost");
}

#[tokio::test]
async fn a_disconnect_ends_what_began_before_it() {
    let desk = desk(&Bus::memory(MemoryOptions::default()).0);
    desk.exchange(&[]).await.unwrap();
    let eve = user("eve");
    let before = desk.now();
    let kind = |renewal| OrderKind::Disconnect {
        target: DisconnectTarget::User(eve.clone()),
        before,
        renewal,
    };
    let end = |begun| {
        let connection = Some((ConnectionId(1), begun));
        desk.judge(JudgedClient { user: Some(&eve), token_id: None, address: None, connection })
            .map(|end| end.code)
    };
    desk.give(kind(Renewal::Yes), HOUR, None).await.unwrap();
    assert_eq!(end(before - 1), Some(CloseCode::Expired));
    assert_eq!(end(before), None);
    desk.give(kind(Renewal::No), HOUR, None).await.unwrap();
    assert_eq!(end(before - 1), Some(CloseCode::Disconnected));
    assert_eq!(end_of(&desk, "eve"), None, "handshakes go on");
    assert!(desk.bans().await.unwrap().is_empty());
}
