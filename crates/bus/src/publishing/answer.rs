//! Reads the answer of the publish script: one result per item, in the items' order.

use std::time::Duration;

use roomcast_protocol::{Epoch, Position, Seq};

use crate::api::{PublishAck, PublishError};

/// The script's answer to a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GroupAnswer {
    /// One result per item.
    Results(Vec<Result<PublishAck, PublishError>>),
    /// A later group of this node was stored already: this one was not stored, or was answered
    /// before.
    Stale,
}

/// Reads `group epoch time first results`; `None` if the text has another form.
pub(crate) fn read(answer: &str) -> Option<GroupAnswer> {
    if answer == "stale" {
        return Some(GroupAnswer::Stale);
    }
    let mut words = answer.split(' ').skip(1);
    let epoch = Epoch::parse(words.next()?)?;
    let time = words.next()?.parse().ok()?;
    let mut seq: Seq = words.next()?.parse().ok()?;
    let mut results = Vec::new();
    for word in words.next()?.split(',') {
        results.push(match word.split_at_checked(1)? {
            ("a", count) => {
                // The number of messages in a row; at most as many as a group has items.
                for _ in 0..count.parse::<u16>().ok()? {
                    results.push(Ok(PublishAck { position: Position { epoch, seq }, time }));
                    seq += 1;
                }
                continue;
            }
            // Messages of the script's own: they remove what has expired.
            ("j", count) => {
                seq += count.parse::<u32>().map(Seq::from).ok()?;
                continue;
            }
            ("m", "") => Err(PublishError::StateFull),
            ("v", at) => Err(PublishError::KeySeqConflict(at.parse().ok()?)),
            ("k", known) => Ok(read_known(known)?),
            ("c", "") => Err(PublishError::KeyConflict),
            ("o", "") => Err(PublishError::TooManyKeys),
            ("r", wait) => Err(PublishError::RoomRate(Duration::from_millis(wait.parse().ok()?))),
            ("s", at) => Err(PublishError::SeqConflict(Position { epoch, seq: at.parse().ok()? })),
            _ => return None,
        });
    }
    Some(GroupAnswer::Results(results))
}

/// Reads `epoch:seq:time`.
fn read_known(known: &str) -> Option<PublishAck> {
    let mut words = known.split(':');
    let epoch = Epoch::parse(words.next()?)?;
    let seq = words.next()?.parse().ok()?;
    Some(PublishAck { position: Position { epoch, seq }, time: words.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_gets_its_own_result() {
        let epoch = Epoch(7);
        let at = |seq| Position { epoch, seq };
        let answer =
            "12 0000000000000007 1700 5 a1,k0000000000000009:3:1600,c,s5,o,r250,a1,v4,m,j3,a1";
        assert_eq!(
            read(answer),
            Some(GroupAnswer::Results(vec![
                Ok(PublishAck { position: at(5), time: 1700 }),
                Ok(PublishAck { position: Position { epoch: Epoch(9), seq: 3 }, time: 1600 }),
                Err(PublishError::KeyConflict),
                Err(PublishError::SeqConflict(at(5))),
                Err(PublishError::TooManyKeys),
                Err(PublishError::RoomRate(Duration::from_millis(250))),
                Ok(PublishAck { position: at(6), time: 1700 }),
                Err(PublishError::KeySeqConflict(4)),
                Err(PublishError::StateFull),
                Ok(PublishAck { position: at(10), time: 1700 }),
            ]))
        );
        assert_eq!(read("stale"), Some(GroupAnswer::Stale));
        let bad = ["", "12", "12 failed", "12 x 1 1 a1"].map(str::to_owned);
        let results = ["z", "", "a", "a1x", "a65536", "o1", "r", "r-1"];
        let more = results.map(|result| format!("12 0000000000000007 1 1 {result}"));
        for bad in bad.iter().chain(&more) {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
