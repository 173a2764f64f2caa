//! P1: every member of a room sees its messages in ascending seq, with the same content; only the
//! author sees its own ones differently.

mod support;

use support::{TestNode, text};

#[tokio::test]
async fn members_in_both_encodings_see_the_same() {
    let node = TestNode::start(&[]).await;
    let (mut a, mut b) = (node.json().await, node.msgpack().await);
    a.join("lobby").await;
    b.join("lobby").await;
    for n in 0..50 {
        let ack = if n % 2 == 0 {
            a.publish("lobby", &n.to_string()).await
        } else {
            b.publish("lobby", &n.to_string()).await
        };
        assert_eq!(ack.seq, n + 1);
    }
    for client in [&mut a, &mut b] {
        for (n, message) in client.messages("lobby", 50).await.into_iter().enumerate() {
            assert_eq!((message.seq, text(&message.data)), (n as u64 + 1, n.to_string()));
        }
    }
    node.stop().await;
}
