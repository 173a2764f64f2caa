//! What users confirmed of one room in memory. Its seqs are of the room's epoch, which never
//! changes as long as the room lasts.

use std::collections::BTreeMap;

use roomcast_protocol::{Lineage, Seq, UserName};

use crate::api::{ReceiptError, ReceiptKind, ReceiptMarks, ReceiptMove, ReceiptRules};

/// The positions of a room's users: received and read.
#[derive(Default)]
pub(crate) struct MemoryReceipts(BTreeMap<UserName, (Seq, Seq)>);

impl MemoryReceipts {
    /// Moves a user's position in a room of this lineage, whose last seq is `last`. The second value
    /// tells whether it moved.
    pub(crate) fn advance(
        &mut self,
        (lineage, last): (&Lineage, Seq),
        ReceiptMove { user, at, kind, .. }: &ReceiptMove,
        rules: ReceiptRules,
    ) -> Result<(ReceiptMarks, bool), ReceiptError> {
        let kept = lineage.kept_of(at.epoch, last).ok_or(ReceiptError::Stranger)?;
        let seq = at.seq.min(kept);
        let before = self.of(user);
        let received = before.0.max(seq);
        let read = match kind {
            ReceiptKind::Received => before.1,
            ReceiptKind::Read => before.1.max(seq),
        };
        let is_moved = (received, read) != before;
        if is_moved {
            if before.0 == 0 && self.0.len() >= rules.users as usize {
                return Err(ReceiptError::TooManyUsers);
            }
            self.0.insert(user.clone(), (received, read));
        }
        Ok((ReceiptMarks { epoch: lineage.epoch, received, read }, is_moved))
    }

    /// What a user received and read.
    pub(crate) fn of(&self, user: &UserName) -> (Seq, Seq) {
        self.0.get(user).copied().unwrap_or_default()
    }

    /// How many users received a message, and how many read it.
    pub(crate) fn count(&self, seq: Seq) -> (u64, u64) {
        let all = self.0.values();
        all.fold((0, 0), |(received, read), marks| {
            (received + u64::from(marks.0 >= seq), read + u64::from(marks.1 >= seq))
        })
    }
}
