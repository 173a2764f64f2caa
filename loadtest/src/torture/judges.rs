//! Where everything that clients saw goes: to the checker, the clock of repairs, the timeline, and a
//! diary for whoever must find out what happened.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::checker::{Checker, MemberId};
use super::journal::Entry;
use super::repair::Repairs;
use super::timeline::{Timeline, seconds};

/// All of them.
pub(super) struct Judges {
    pub(super) checker: Checker,
    pub(super) repairs: Repairs,
    pub(super) timeline: Timeline,
    diary: BufWriter<File>,
}

impl Judges {
    /// With a diary in this folder.
    pub(super) fn new(
        (checker, repairs, timeline): (Checker, Repairs, Timeline),
        folder: &Path,
    ) -> Result<Self> {
        let path = folder.join("diary.log");
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { checker, repairs, timeline, diary: BufWriter::new(file) })
    }

    /// A member noted something.
    pub(super) fn note(&mut self, member: MemberId, entry: Entry, now: Duration) {
        self.checker.note(member, entry, now);
        if let Entry::Message { content, .. } = entry {
            self.timeline.delivered(now);
            self.repairs.heard(member, self.checker.room_of(member), content, now);
        } else {
            let name = self.checker.name(member);
            self.write(now, &format!("{name}: {}", entry.text()));
        }
    }

    /// Something for the diary.
    pub(super) fn write(&mut self, now: Duration, line: &str) {
        // A full disk spoils the diary, not the run.
        let _ = writeln!(self.diary, "{} {line}", seconds(now));
    }
}
