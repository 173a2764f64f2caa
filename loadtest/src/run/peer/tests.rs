//! Cases of how clients talk to each server.

use roomcast_protocol::Epoch;

use super::*;
use crate::run::stamp::Stamp;
use crate::wire::{Header, unmask};

const STAMP: Stamp = Stamp { stream: 5, number: 7, intended: 99 };

/// What a frame of the load holds.
fn text(mut frame: Vec<u8>) -> String {
    let header = Header::parse(&frame).unwrap();
    assert_eq!((header.opcode, header.total()), (wire::TEXT, frame.len()));
    unmask(&mut frame[header.size..], header.mask.unwrap());
    String::from_utf8(frame.split_off(header.size)).unwrap()
}

fn published(peer: Peer) -> String {
    let stamp = STAMP.text();
    text(peer.publish(&Outgoing { room: 3, id: 8, text: &stamp, bytes: 64 }).unwrap())
}

#[test]
fn every_peer_is_given_the_same_data() {
    let data = format!("\"{:x<62}\"", STAMP.text());
    assert_eq!(data.len(), 64);
    for peer in Peer::ALL {
        let frame = published(peer);
        assert!(frame.contains(&data), "{peer:?}: {frame}");
        assert_eq!(Stamp::find(frame.as_bytes()), Some(STAMP));
    }
    assert_eq!(published(Peer::Nchan), data);
    assert_eq!(published(Peer::Socketio), format!("42[\"publish\",\"load-3\",{data}]"));
}

#[test]
fn every_peer_is_asked_for_the_room() {
    let to = SocketAddr::from(([127, 0, 0, 1], 80));
    let mark = Bookmark { position: None, last_id: b"17:4".to_vec() };
    let first_line = |peer: Peer| {
        let request = String::from_utf8(peer.request(to, 3, &mark).to_vec()).unwrap();
        request.lines().next().unwrap().to_owned()
    };
    assert_eq!(first_line(Peer::Nchan), "GET /sub/load-3?last_event_id=17:4 HTTP/1.1");
    assert_eq!(first_line(Peer::Socketio), "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1");
    for peer in [Peer::Roomcast, Peer::Ws] {
        assert!(text(peer.join(3, &mark).unwrap()).contains("\"load-3\""));
    }
    let position = Some(Position { epoch: Epoch(5), seq: 6 });
    let resume = text(Peer::Roomcast.join(3, &Bookmark { position, ..mark }).unwrap());
    assert!(resume.contains("\"since\""), "{resume}");
}

#[test]
fn roomcast_is_read_by_the_short_way_and_the_long() {
    let read = |text: &'static str| Peer::Roomcast.read(text.as_bytes()).unwrap();
    let seq = |heard| match heard {
        Heard::Message { seq, data, .. } => (seq, Stamp::find(data)),
        other => panic!("{other:?}"),
    };
    let short = r#"{"type":"message","room":"load-3","seq":42,"time":1,"data":"@5.7.99@xx"}"#;
    let long = r#"{"seq":42,"type":"message","time":1,"room":"load-3","data":"@5.7.99@xx"}"#;
    assert_eq!(seq(read(short)), (Some(42), Some(STAMP)));
    assert_eq!(seq(read(long)), (Some(42), Some(STAMP)));
    assert_eq!(read(r#"{"type":"gap","room":"a","from":2,"to":4}"#), Heard::Gap { from: 2, to: 4 });
    let moved = read(r#"{"type":"reconnect","after_ms":1500,"reason":"drain"}"#);
    assert_eq!(moved, Heard::Move(Duration::from_millis(1500)));
    let refused = r#"{"type":"error","id":4,"code":"overloaded","message":"x","retry_after_ms":9}"#;
    let pause = Duration::from_millis(9);
    assert_eq!(read(refused), Heard::Refused { id: Some(4), pause });
    let broken = r#"{"type":"error","code":"bad_frame","message":"x"}"#;
    assert!(Peer::Roomcast.read(broken.as_bytes()).is_err());
}

#[test]
fn the_others_are_read() {
    let message = |peer: Peer, text: &'static str| match peer.read(text.as_bytes()).unwrap() {
        Heard::Message { seq: None, id, data } => (id, Stamp::find(data)),
        other => panic!("{other:?}"),
    };
    let empty: &[u8] = b"";
    let ws = r#"{"type":"message","room":"r","data":"@5.7.99@"}"#;
    assert_eq!(message(Peer::Ws, ws), (empty, Some(STAMP)));
    let socketio = r#"42["message","r","@5.7.99@"]"#;
    assert_eq!(message(Peer::Socketio, socketio), (empty, Some(STAMP)));
    let nchan = "id: 1795657934:0\n\n\"@5.7.99@\"";
    assert_eq!(message(Peer::Nchan, nchan), (&b"1795657934:0"[..], Some(STAMP)));
    let joined = Heard::Joined { at: None, recovered: None };
    assert_eq!(Peer::Ws.read(br#"{"type":"joined","room":"r"}"#).unwrap(), joined);
    assert_eq!(Peer::Socketio.read(br#"42["joined","r"]"#).unwrap(), joined);
    assert_eq!(Peer::Socketio.read(br#"0{"sid":"x"}"#).unwrap(), Heard::Answer(b"40"));
    assert_eq!(Peer::Socketio.read(br#"40{"sid":"x"}"#).unwrap(), Heard::Greeted { by: None });
    assert_eq!(Peer::Socketio.read(b"2").unwrap(), Heard::Answer(b"3"));
    assert_eq!(Peer::Nchan.read(b"queued messages: 1").unwrap(), Heard::Nothing);
}
