//! A user that was shut out does not come back by another node, another way, or with another token.

use roomcast_protocol::{CloseCode, Encoding};
use serde_json::json;

use crate::support::auth::{GUARDED, token};
use crate::support::{Backend, Cluster, TestClient, eventually, get};

async fn status(cluster: &Cluster, node: usize, token: &str) -> u16 {
    get(cluster.nodes[node].address(), &format!("/ws?token={token}")).await.status
}

#[tokio::test]
async fn a_revoked_user_does_not_return_through_another_node() {
    let shop = Backend::new("shop");
    let keys = shop.settings("admin");
    let settings = [&GUARDED[..], &keys.each_ref().map(String::as_str)].concat();
    let cluster = Cluster::start(2, &settings).await;
    cluster.all_ready().await;
    let [stolen, fresh, other] =
        [r#","jti":"stolen""#, r#","jti":"fresh""#, ""].map(|more| token("eve", more));
    let by_token = format!("token={stolen}");
    let address = cluster.nodes[1].address();
    let mut eve = TestClient::connect(address, Encoding::Json, &by_token).await;

    // One token is revoked: its connection ends, on whichever node, and it opens none.
    let ban = json!({"jti": "stolen", "seconds": 600});
    assert_eq!(shop.post(cluster.nodes[0].address(), "/v1/bans", ban).await.0, 200);
    assert_eq!(eve.closed().await, CloseCode::Banned.code());
    for node in 0..2 {
        eventually("the ban", async || status(&cluster, node, &stolen).await == 403).await;
        assert_eq!(status(&cluster, node, &fresh).await, 426, "another token of the same user");
    }

    // The user is: every token of hers is refused on every node.
    let mut eve = TestClient::connect(address, Encoding::MsgPack, &format!("token={fresh}")).await;
    let ban = json!({"user": "eve", "seconds": 600});
    assert_eq!(shop.post(cluster.nodes[0].address(), "/v1/bans", ban).await.0, 200);
    assert_eq!(eve.closed().await, CloseCode::Banned.code());
    for node in 0..2 {
        for token in [&stolen, &fresh, &other] {
            eventually("the ban", async || status(&cluster, node, token).await == 403).await;
        }
        assert_eq!(status(&cluster, node, &token("bob", "")).await, 426, "others come in");
    }
    cluster.stop().await;
}
