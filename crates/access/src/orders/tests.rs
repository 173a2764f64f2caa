//! What orders judge, and that books agree in any order of what they hear.

use super::*;
use proptest::prelude::*;

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn ban(id: u64, target: BanTarget, end: u64) -> AccessOrder {
    let (kind, state) = (OrderKind::Ban(target), OrderState::InForce);
    AccessOrder { id: OrderId(id), kind, end, reason: None, state }
}

fn disconnect(id: u64, target: DisconnectTarget, before: u64, renewal: Renewal) -> AccessOrder {
    let kind = OrderKind::Disconnect { target, before, renewal };
    let (end, state) = (1_000, OrderState::InForce);
    AccessOrder { id: OrderId(id), kind, end, reason: None, state }
}

const STRANGER: OrderSubject<'static> =
    OrderSubject { user: None, token_id: None, address: None, connection: None };

fn book(orders: impl IntoIterator<Item = AccessOrder>) -> OrderBook {
    let mut book = OrderBook::default();
    for order in orders {
        book.merge(order, 0);
    }
    book
}

#[test]
fn a_ban_judges_user_token_and_address() {
    let token_id = TokenId::parse("t1").unwrap();
    let network = BanNetwork::parse("192.0.2.0/24").unwrap();
    let book = book([
        ban(1, BanTarget::User(user("alice")), 100),
        ban(2, BanTarget::TokenId(token_id.clone()), 100),
        ban(3, BanTarget::Network(network), 100),
    ]);
    let banned = |subject, now| match book.judge(subject, now) {
        Some(OrderVerdict::Banned(order)) => Some(order.id.0),
        _ => None,
    };
    let (alice, bob, other) = (user("alice"), user("bob"), TokenId::parse("t2").unwrap());
    let address = |text: &str| Some(text.parse().unwrap());
    assert_eq!(banned(OrderSubject { user: Some(&alice), ..STRANGER }, 99), Some(1));
    assert_eq!(banned(OrderSubject { user: Some(&alice), ..STRANGER }, 100), None);
    assert_eq!(banned(OrderSubject { user: Some(&bob), ..STRANGER }, 0), None);
    assert_eq!(banned(OrderSubject { token_id: Some(&token_id), ..STRANGER }, 0), Some(2));
    assert_eq!(banned(OrderSubject { token_id: Some(&other), ..STRANGER }, 0), None);
    let inside = address("::ffff:192.0.2.7");
    assert_eq!(banned(OrderSubject { address: inside, ..STRANGER }, 0), Some(3));
    assert_eq!(banned(OrderSubject { address: address("192.0.3.7"), ..STRANGER }, 0), None);
    assert_eq!(banned(STRANGER, 0), None);
    assert_eq!(book.ban_of_token(&token_id, 99).map(|order| order.id.0), Some(2));
    assert!(book.ban_of_token(&token_id, 100).is_none());
    assert_eq!(book.bans(0).count(), 3);
}

#[test]
fn a_disconnect_ends_older_connections_only() {
    let alice = user("alice");
    let book = book([disconnect(1, DisconnectTarget::User(alice.clone()), 50, Renewal::Yes)]);
    let at = |begun| OrderSubject {
        user: Some(&alice),
        connection: Some((ConnectionId(7), begun)),
        ..STRANGER
    };
    assert_eq!(book.judge(at(49), 60), Some(OrderVerdict::Disconnect(Renewal::Yes)));
    assert_eq!(book.judge(at(50), 60), None);
    assert_eq!(book.judge(at(49), 1_000), None);
    assert_eq!(book.judge(OrderSubject { connection: None, ..at(0) }, 60), None);
    assert_eq!(book.bans(0).count(), 0);
}

#[test]
fn a_disconnect_may_name_a_connection_or_a_token() {
    let token_id = TokenId::parse("t").unwrap();
    let book = book([
        disconnect(1, DisconnectTarget::Connection(ConnectionId(7)), 50, Renewal::Yes),
        disconnect(2, DisconnectTarget::TokenId(token_id.clone()), 50, Renewal::No),
    ]);
    // The clocks do not matter where the connection itself is named.
    let seven = OrderSubject { connection: Some((ConnectionId(7), 9_999)), ..STRANGER };
    let eight = OrderSubject { connection: Some((ConnectionId(8), 1)), ..STRANGER };
    assert_eq!(book.judge(seven, 60), Some(OrderVerdict::Disconnect(Renewal::Yes)));
    assert_eq!(book.judge(eight, 60), None);
    let both = OrderSubject {
        token_id: Some(&token_id),
        connection: Some((ConnectionId(7), 1)),
        ..STRANGER
    };
    assert_eq!(book.judge(both, 60), Some(OrderVerdict::Disconnect(Renewal::No)));
    assert!(book.ban_of_token(&token_id, 60).is_none());
}

#[test]
fn a_lift_wins_over_the_ban_in_any_order() {
    let alice = user("alice");
    let banned = ban(1, BanTarget::User(alice.clone()), 100);
    let lifted = AccessOrder { state: OrderState::Lifted, ..banned.clone() };
    let subject = OrderSubject { user: Some(&alice), ..STRANGER };
    let mut book = OrderBook::default();
    assert_eq!(book.merge(banned.clone(), 0), OrderNews::Judge);
    assert_eq!(book.merge(banned.clone(), 0), OrderNews::Nothing);
    assert_eq!(book.merge(lifted.clone(), 0), OrderNews::Note);
    assert_eq!(book.merge(banned.clone(), 0), OrderNews::Nothing);
    assert_eq!(book.judge(subject, 0), None);
    assert_eq!(book.order(OrderId(1)), Some(&lifted));
    assert_eq!(book.bans(0).count(), 0);
}

#[test]
fn what_has_ended_is_forgotten() {
    let mut book = book([
        ban(1, BanTarget::User(user("alice")), 100),
        ban(2, BanTarget::User(user("alice")), 200),
        ban(3, BanTarget::Network(BanNetwork::parse("::/0").unwrap()), 100),
        disconnect(4, DisconnectTarget::Connection(ConnectionId(1)), 1, Renewal::No),
    ]);
    assert_eq!(book.merge(ban(5, BanTarget::User(user("bob")), 7), 7), OrderNews::Nothing);
    book.remove_ended(100);
    assert_eq!(book.orders().map(|order| order.id.0).collect::<Vec<_>>(), [2, 4]);
    let alice = user("alice");
    let subject = OrderSubject { user: Some(&alice), ..STRANGER };
    assert!(matches!(book.judge(subject, 100), Some(OrderVerdict::Banned(_))));
    book.remove_ended(1_000);
    assert!(book.users.is_empty() && book.connections.is_empty() && book.orders.is_empty());
}

#[test]
fn another_order_of_the_same_id_changes_nothing() {
    let mut book = book([ban(1, BanTarget::User(user("alice")), 100)]);
    let other = ban(1, BanTarget::User(user("bob")), 200);
    assert_eq!(book.merge(other, 0), OrderNews::Nothing);
    assert_eq!(book.order(OrderId(1)).unwrap().end, 100);
}

#[test]
fn other_texts_are_no_orders() {
    let id = "0000000000000001";
    for bad in [
        "",
        "{}",
        &format!(r#"{{"id":"{id}","end":1}}"#),
        &format!(r#"{{"id":"{id}","end":1,"user":"a","jti":"b"}}"#),
        &format!(r#"{{"id":"{id}","end":1,"user":""}}"#),
        &format!(r#"{{"id":"{id}","end":-1,"user":"a"}}"#),
        r#"{"id":"1","end":1,"user":"a"}"#,
        &format!(r#"{{"id":"{id}","end":1,"network":"10.0.0.0/8","before":1}}"#),
        &format!(r#"{{"id":"{id}","end":1,"connection":"{id}"}}"#),
        &format!(r#"{{"id":"{id}","end":1,"user":"a","reason":"{}"}}"#, "x".repeat(257)),
    ] {
        assert_eq!(AccessOrder::decode(bad), None, "{bad}");
    }
    let known = format!(r#"{{"id":"{id}","end":5,"user":"a","later":[1]}}"#);
    assert_eq!(AccessOrder::decode(&known), Some(ban(1, BanTarget::User(user("a")), 5)));
}

fn orders() -> impl Strategy<Value = AccessOrder> {
    let name = "[ab]{1,2}";
    let renewal = prop_oneof![Just(Renewal::Yes), Just(Renewal::Replaced), Just(Renewal::No)];
    let target = prop_oneof![
        name.prop_map(|name| DisconnectTarget::User(user(&name))),
        name.prop_map(|name| DisconnectTarget::TokenId(TokenId::parse(&name).unwrap())),
        (0_u64..4).prop_map(|id| DisconnectTarget::Connection(ConnectionId(id))),
    ];
    let kind = prop_oneof![
        name.prop_map(|name| OrderKind::Ban(BanTarget::User(user(&name)))),
        name.prop_map(|name| OrderKind::Ban(BanTarget::TokenId(TokenId::parse(&name).unwrap()))),
        (0_u8..=32).prop_map(|length| {
            let network = BanNetwork::parse(&format!("10.0.0.0/{length}")).unwrap();
            OrderKind::Ban(BanTarget::Network(network))
        }),
        (target, 0_u64..50, renewal).prop_map(|(target, before, renewal)| {
            OrderKind::Disconnect { target, before, renewal }
        }),
    ];
    let state = prop_oneof![Just(OrderState::InForce), Just(OrderState::Lifted)];
    (any::<u64>(), kind, 1_u64..100, prop::option::of("\\PC{0,20}"), state).prop_map(
        |(id, kind, end, reason, state)| AccessOrder { id: OrderId(id), kind, end, reason, state },
    )
}

proptest! {
    #[test]
    fn an_order_survives_its_encoding(order in orders()) {
        prop_assert_eq!(AccessOrder::decode(&order.encode()), Some(order));
    }

    #[test]
    fn no_text_is_too_odd(text in "(\\PC{0,60}|\\{\"id\":\"[0-9a-f]{16}\",\"end\":[0-9]{1,30}\\})") {
        AccessOrder::decode(&text);
    }

    /// Two nodes that hear the same facts in different orders have the same book.
    #[test]
    fn books_agree(
        base in prop::collection::vec(orders(), 1..5),
        facts in prop::collection::vec((0_usize..5, 1_u64..100, any::<bool>()), 1..20),
    ) {
        let facts: Vec<_> = facts.into_iter().map(|(at, end, lifted)| {
            let order = base[at % base.len()].clone();
            let state = if lifted { OrderState::Lifted } else { order.state };
            AccessOrder { end, state, ..order }
        }).collect();
        let forth = book(facts.iter().cloned());
        let back = book(facts.iter().rev().cloned());
        prop_assert!(forth.orders().eq(back.orders()));
    }
}
