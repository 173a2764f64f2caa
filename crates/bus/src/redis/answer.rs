//! What the publish script answers, read: one result per item, in the items' order.

use roomcast_protocol::{Epoch, Position, Seq};

use crate::api::{Ack, PublishError};

/// The script's answer to a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One result per item.
    Results(Vec<Result<Ack, PublishError>>),
    /// A later group of this node was stored already; this one surely was not, or was answered.
    Stale,
}

/// Reads `group epoch time first results`; `None` if it is nothing of the kind.
pub(crate) fn read(answer: &str) -> Option<Answer> {
    if answer == "stale" {
        return Some(Answer::Stale);
    }
    let mut words = answer.split(' ').skip(1);
    let epoch = Epoch::parse(words.next()?)?;
    let time = words.next()?.parse().ok()?;
    let mut seq: Seq = words.next()?.parse().ok()?;
    let mut results = Vec::new();
    for word in words.next()?.split(',') {
        results.push(match word.split_at_checked(1)? {
            ("a", "") => {
                seq += 1;
                Ok(Ack { position: Position { epoch, seq: seq - 1 }, time })
            }
            ("k", known) => Ok(read_known(known)?),
            ("c", "") => Err(PublishError::KeyConflict),
            ("s", at) => Err(PublishError::SeqConflict(Position { epoch, seq: at.parse().ok()? })),
            _ => return None,
        });
    }
    Some(Answer::Results(results))
}

/// Reads `epoch:seq:time`.
fn read_known(known: &str) -> Option<Ack> {
    let mut words = known.split(':');
    let epoch = Epoch::parse(words.next()?)?;
    let seq = words.next()?.parse().ok()?;
    Some(Ack { position: Position { epoch, seq }, time: words.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_gets_its_own_result() {
        let epoch = Epoch(7);
        let at = |seq| Position { epoch, seq };
        let answer = "12 0000000000000007 1700 5 a,k0000000000000009:3:1600,c,s5,a";
        assert_eq!(
            read(answer),
            Some(Answer::Results(vec![
                Ok(Ack { position: at(5), time: 1700 }),
                Ok(Ack { position: Position { epoch: Epoch(9), seq: 3 }, time: 1600 }),
                Err(PublishError::KeyConflict),
                Err(PublishError::SeqConflict(at(5))),
                Ok(Ack { position: at(6), time: 1700 }),
            ]))
        );
        assert_eq!(read("stale"), Some(Answer::Stale));
        for bad in ["", "12", "12 x 1 1 a", "12 0000000000000007 1 1 z", "12 0000000000000007 1 1 "]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
