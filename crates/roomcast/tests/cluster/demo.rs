//! The demo's figures over several nodes: all publish theirs as soon as someone looks on one of them.

use std::collections::BTreeSet;

use roomcast_protocol::{Encoding, ServerFrame};

use crate::support::Cluster;

#[tokio::test]
async fn all_nodes_show_their_figures_to_a_member_of_one() {
    let cluster = Cluster::start(3, &[]).await;
    let mut watcher = cluster.client(1, Encoding::Json).await;
    watcher.join("board:nodes").await;
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        if let ServerFrame::Message { message, .. } = watcher.frame().await {
            seen.insert(message.state_key.as_ref().unwrap().as_str().to_owned());
        }
    }
    assert_eq!(seen, ["n0", "n1", "n2"].map(str::to_owned).into());
    cluster.stop().await;
}
