//! P4 and P5: who comes back with its position receives what it missed, once, as far as history
//! reaches; else it is told what is missing, or that the room began anew.

use crate::support::{
    Cluster, Follow, Incoming, SHORT_LOG, TestClient, TestNode, foreign, plain, room, seqs, soon,
    text,
};
use futures_util::future::join_all;
use roomcast_protocol::{
    ClientFrame, Encoding, Epoch, HistoryQuery, JoinRoom, Position, ServerFrame, Since,
};

/// Half a kilobyte of JSON.
fn payload(n: u64) -> String {
    format!("\"{n:>510}\"")
}

/// Publishes in step with the publisher's own reading: nobody becomes slow, and the room stays.
async fn fill(publisher: &mut TestClient, name: &str, payload: &str, count: usize) {
    for _ in 0..count {
        publisher.publish(name, payload).await;
        publisher.message(name).await;
    }
}

/// A member that comes back whenever its connection ends, as clients do.
struct Returning<'a> {
    node: &'a TestNode,
    encoding: Encoding,
    client: TestClient,
    follow: Follow,
}

impl Returning<'_> {
    /// A new connection takes up where the old one stood; nothing may be missing.
    async fn come_back(&mut self) {
        self.client = self.node.user(self.encoding, "ann").await;
        let joined = self.client.resume(&self.follow.room, self.follow.at).await;
        assert_eq!((joined.at, joined.recovered), (self.follow.at, Some(true)));
    }

    /// Reads up to `last`. On a busy machine it may be too slow for a short log now and then.
    async fn until(&mut self, last: u64) {
        while self.follow.at.seq < last {
            match self.client.incoming().await {
                Incoming::Frame(frame) => self.follow.take(&frame),
                Incoming::Ping => {}
                Incoming::Closed(4000, _) | Incoming::Gone => self.come_back().await,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A member whose TCP connection is cut in mid-burst, five times, misses nothing and sees nothing
/// twice. With a log of 64 KiB it comes back behind the log, and reads pages of history.
async fn cut_in_mid_burst(encoding: Encoding, settings: &[&str]) {
    let node = TestNode::start(settings).await;
    let mut client = node.user(encoding, "ann").await;
    let follow = Follow::new("burst", client.join("burst").await);
    let mut member = Returning { node: &node, encoding, client, follow };
    let mut publisher = node.json().await;
    let burst = tokio::spawn(async move {
        for n in 0..1500 {
            let publish = publisher.publication("burst", &payload(n));
            publisher.send(&ClientFrame::Publish(publish)).await;
            if n % 20 == 0 {
                publisher.ping().await;
            }
        }
        publisher.publish("burst", "0").await.seq
    });
    for cut in 1..=5 {
        member.until(cut * 100).await;
        // What the kernel and the node still hold for it is lost with the connection.
        member.come_back().await;
    }
    let last = soon("the burst", burst).await.unwrap();
    // Once more after all has gone by: everything since lies in the log or in history.
    member.come_back().await;
    member.until(last).await;
    assert_eq!(member.follow.gaps, []);
    assert_eq!(member.follow.messages, (1..=last).collect::<Vec<_>>());
    assert_eq!(member.client.publish("burst", "1").await.seq, last + 1);
    assert_eq!(member.client.message("burst").await.seq, last + 1, "nothing came between");
    let scrape = node.scrape().await;
    let outcome = |word| scrape.with("roomcast_resumes_total", &format!("outcome=\"{word}\""));
    assert!(outcome("recovered") >= 6.0);
    assert_eq!((outcome("gap"), outcome("reset"), outcome("failed")), (0.0, 0.0, 0.0));
    drop(member);
    node.stop().await;
}

#[tokio::test]
async fn a_cut_member_resumes_from_the_log() {
    for encoding in Encoding::ALL {
        cut_in_mid_burst(encoding, &["limits.lag_bytes=16MiB"]).await;
    }
}

#[tokio::test]
async fn a_cut_member_resumes_from_history() {
    let settings = [&SHORT_LOG[..], &["namespaces.default.history_size=5000"]].concat();
    for encoding in Encoding::ALL {
        cut_in_mid_burst(encoding, &settings).await;
    }
}

/// The gap names exactly what history no longer has.
#[tokio::test]
async fn an_absence_longer_than_history_is_a_gap() {
    let short = ["namespaces.default.history_size=20", "namespaces.default.repair_window=16"];
    let settings = [&SHORT_LOG[..], &short].concat();
    let node = TestNode::start(&settings).await;
    let mut publisher = node.json().await;
    // Keeps the room; its log reaches back some 7 of these messages.
    let start = publisher.join("short").await.at;
    let big = format!("\"{:>8190}\"", 1);
    fill(&mut publisher, "short", &big, 100).await;
    for encoding in Encoding::ALL {
        let mut member = node.user(encoding, "ann").await;
        let joined = member.resume("short", Position { seq: 5, ..start }).await;
        assert_eq!((joined.at.seq, joined.recovered), (5, Some(false)));
        let mut follow = Follow::new("short", joined);
        follow.until(&mut member, 100).await;
        assert_eq!(follow.gaps, [(6, 80)]);
        assert_eq!(follow.messages, (81..=100).collect::<Vec<_>>());
        assert_eq!(member.ping().await, []);

        // One that was away for less misses nothing.
        let mut member = node.user(encoding, "bob").await;
        let joined = member.resume("short", Position { seq: 80, ..start }).await;
        assert_eq!((joined.at.seq, joined.recovered), (80, Some(true)));
        let mut follow = Follow::new("short", joined);
        follow.until(&mut member, 100).await;
        assert_eq!(follow.gaps, []);

        // One that missed nothing waits for the next.
        let mut member = node.user(encoding, "eve").await;
        let joined = member.resume("short", Position { seq: 100, ..start }).await;
        assert_eq!((joined.at.seq, joined.recovered), (100, Some(true)));
        assert_eq!(member.ping().await, []);
    }
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_gaps_total", "cause=\"history\""), 2.0);
    assert_eq!(scrape.with("roomcast_resumes_total", "outcome=\"gap\""), 2.0);
    assert_eq!(scrape.with("roomcast_resumes_total", "outcome=\"recovered\""), 4.0);
    drop(publisher);
    node.stop().await;
}

/// A room without history: everything missed is named, and live goes on.
#[tokio::test]
async fn without_history_all_that_was_missed_is_named() {
    let short = ["namespaces.default.history_size=0", "namespaces.default.repair_window=16"];
    let settings = [&SHORT_LOG[..], &short].concat();
    let node = TestNode::start(&settings).await;
    let mut publisher = node.json().await;
    let start = publisher.join("none").await.at;
    let big = format!("\"{:>8190}\"", 1);
    fill(&mut publisher, "none", &big, 30).await;
    let mut member = node.msgpack().await;
    let joined = member.resume("none", Position { seq: 3, ..start }).await;
    assert_eq!((joined.at.seq, joined.recovered), (3, Some(false)));
    publisher.publish("none", "1").await;
    let mut follow = Follow::new("none", joined);
    follow.until(&mut member, 31).await;
    assert_eq!(follow.gaps.first().unwrap().0, 4);
    assert_eq!(follow.messages.last(), Some(&31));
    drop((publisher, member));
    node.stop().await;
}

#[tokio::test]
async fn positions_that_are_not_good_are_reset() {
    let node = TestNode::start(&[]).await;
    let mut publisher = node.json().await;
    let start = publisher.join("anew").await.at;
    for n in 0..5 {
        publisher.publish("anew", &payload(n)).await;
    }
    let end = Position { seq: 5, ..start };
    for encoding in Encoding::ALL {
        // Of an unknown epoch all is lost; beyond the end, what lies beyond.
        for (since, expected) in [(foreign(7), 7), (Position { seq: 99, ..start }, 94)] {
            let mut member = node.user(encoding, "ann").await;
            let joined = member.resume("anew", since).await;
            assert_eq!((joined.at, joined.recovered), (end, Some(false)), "{since:?}");
            match member.frame().await {
                ServerFrame::Reset { room, epoch, seq, lost, .. } => {
                    assert_eq!(room.as_str(), "anew");
                    assert_eq!(Position { epoch, seq }, end);
                    assert_eq!(lost, expected, "{since:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(member.ping().await, []);
        }
    }
    let outcome = "outcome=\"reset\"";
    assert_eq!(node.scrape().await.with("roomcast_resumes_total", outcome), 4.0);
    drop(publisher);
    node.stop().await;
}

/// `history` of a room that does not exist creates nothing, and answers a position that stands
/// before the first message of whatever life the room has later.
async fn read_before_it_exists(node: &TestNode, name: &str, is_short: bool) {
    for encoding in Encoding::ALL {
        let name = &format!("{name}-{}", encoding.as_str());
        let mut client = node.user(encoding, "ann").await;
        let id = Some(client.next_id());
        let query = HistoryQuery { id, room: room(name), after: None, before: None, limit: 5 };
        match client.ask(&ClientFrame::History(query)).await {
            ServerFrame::History { epoch, messages, more, .. } => {
                assert_eq!((epoch, messages.len(), more), (Epoch::NONE, 0, false));
            }
            other => panic!("{other:?}"),
        }
        let mut publisher = node.json().await;
        let start = publisher.join(name).await.at;
        assert_ne!(start.epoch, Epoch::NONE);
        let joined = client.resume(name, Position::START).await;
        assert_eq!((joined.at, joined.recovered), (start, Some(true)), "it begins with nothing");
        fill(&mut publisher, name, &payload(1), 100).await;
        assert_eq!(seqs(&client.messages(name, 100).await), (1..=100).collect::<Vec<_>>());
        let mut late = node.user(encoding, "bob").await;
        let joined = late.resume(name, Position::START).await;
        assert_eq!((joined.at, joined.recovered), (start, Some(true)), "history has it all");
        assert_eq!(seqs(&late.messages(name, 100).await), (1..=100).collect::<Vec<_>>());
        fill(&mut publisher, name, &payload(1), 300).await;
        let mut later = node.user(encoding, "cid").await;
        let joined = later.resume(name, Position::START).await;
        assert_eq!(joined.at.epoch, start.epoch);
        let mut follow = Follow::new(name, joined);
        follow.until(&mut later, 400).await;
        // The log, or a page that was read a moment ago, may hold more than history does; what
        // none of them has is named, and at once where the first message is missing.
        let missing: u64 = follow.gaps.iter().map(|(from, to)| to - from + 1).sum();
        assert_eq!(follow.messages.len() as u64 + missing, 400);
        assert!(follow.messages.ends_with(&(301..=400).collect::<Vec<_>>()));
        assert_eq!(joined.recovered, Some(follow.messages[0] == 1));
        assert_eq!(missing > 0, is_short, "{:?}", follow.gaps);
    }
}

#[tokio::test]
async fn what_is_read_of_a_room_that_does_not_exist_is_a_position_in_its_later_life() {
    for settings in [&[][..], &SHORT_LOG] {
        let node = TestNode::start(settings).await;
        read_before_it_exists(&node, "later", !settings.is_empty()).await;
        node.stop().await;
    }
    // A cluster's nodes keep a long history here, and read what their logs have not from Redis.
    let cluster = Cluster::start(1, &SHORT_LOG).await;
    read_before_it_exists(&cluster.nodes[0], "later", false).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_join_may_begin_with_history() {
    for settings in [&[][..], &SHORT_LOG] {
        let node = TestNode::start(settings).await;
        let mut publisher = node.json().await;
        publisher.join("past").await;
        fill(&mut publisher, "past", &payload(1), 150).await;
        for encoding in Encoding::ALL {
            // History holds 100: who asks for more gets those.
            for (asked, from) in [(10, 140), (0, 150), (100, 50), (1000, 50)] {
                let mut member = node.user(encoding, "ann").await;
                let join = JoinRoom { history: Some(asked), ..plain("past") };
                let joined = member.join_with(join).await;
                assert_eq!((joined.at.seq, joined.recovered), (from, None), "{asked}");
                let mut follow = Follow::new("past", joined);
                follow.until(&mut member, 150).await;
                assert_eq!(follow.gaps, []);
                assert_eq!(member.ping().await, []);
            }
            // `since` goes before `history`.
            let mut member = node.user(encoding, "ann").await;
            let at = member.join("past").await.at;
            let since = Some(Since::Position(Position { seq: 148, ..at }));
            member.leave("past").await;
            let join = JoinRoom { since, history: Some(50), ..plain("past") };
            let joined = member.join_with(join).await;
            assert_eq!((joined.at.seq, joined.recovered), (148, Some(true)));
            Follow::new("past", joined).until(&mut member, 150).await;
        }
        drop(publisher);
        node.stop().await;
    }
}

#[tokio::test]
async fn history_is_read_in_pages() {
    let node = TestNode::start(&[]).await;
    let mut publisher = node.json().await;
    for n in 1..=30 {
        publisher.publish("book", &n.to_string()).await;
    }
    for encoding in Encoding::ALL {
        let mut reader = node.user(encoding, "ann").await;
        for (after, before, limit, expected, has_more) in [
            (None, None, 50, 1..=30, false),
            (None, None, 5, 26..=30, true),
            (Some(10), None, 5, 11..=15, true),
            (Some(25), None, 50, 26..=30, false),
            (None, Some(10), 4, 6..=9, true),
            (None, Some(4), 50, 1..=3, false),
        ] {
            let id = Some(reader.next_id());
            let query = HistoryQuery { id, room: room("book"), after, before, limit };
            match reader.ask(&ClientFrame::History(query)).await {
                ServerFrame::History { messages, more, .. } => {
                    let expected: Vec<_> = expected.map(|n: u64| (n, n.to_string())).collect();
                    let got = messages.iter().map(|m| (m.seq, text(&m.data)));
                    assert_eq!(got.collect::<Vec<_>>(), expected, "{after:?} {before:?}");
                    assert_eq!(more, has_more, "{after:?} {before:?} {limit}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reader.ping().await, []);
    }
    drop(publisher);
    node.stop().await;
}

/// Two hundred clients that come back at once cost the bus a few reads.
#[tokio::test]
async fn a_storm_of_resumes_costs_a_few_reads() {
    let settings = [&SHORT_LOG[..], &["namespaces.default.history_size=1000"]].concat();
    let node = TestNode::start(&settings).await;
    let mut publisher = node.json().await;
    let start = publisher.join("storm").await.at;
    fill(&mut publisher, "storm", &payload(1), 400).await;
    let connect = async |n: usize| {
        let encoding = Encoding::ALL[n % 2];
        (n, TestClient::connect(node.address(), encoding, "").await)
    };
    let clients = join_all((0..200).map(connect)).await;
    let before = node.scrape().await.sum("roomcast_catchup_reads_total");
    let resumed = clients.into_iter().map(|(n, mut client)| async move {
        let since = Position { seq: 10 + n as u64 % 5, ..start };
        let joined = client.resume("storm", since).await;
        assert_eq!((joined.at, joined.recovered), (since, Some(true)));
        let mut follow = Follow::new("storm", joined);
        follow.until(&mut client, 400).await;
        assert_eq!(follow.gaps, []);
    });
    join_all(resumed).await;
    let reads = node.scrape().await.sum("roomcast_catchup_reads_total") - before;
    // Three pages lie before the log: each client for itself would read 600.
    assert!((1.0..=150.0).contains(&reads), "{reads} reads for 200 clients");
    drop(publisher);
    node.stop().await;
}
