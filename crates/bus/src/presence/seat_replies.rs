//! Those who wait until a seat at the desk is written. Pure.

/// What is answered when a seat is written. While a room cannot be written, a member may go on showing
/// itself: only the newest of these waits.
#[derive(Debug)]
pub(super) struct SeatReplies<R> {
    /// Of enters: each belongs to a join, or to a change of the settings.
    enters: Vec<R>,
    show: Option<R>,
}

impl<R> SeatReplies<R> {
    pub(super) fn new() -> Self {
        Self { enters: Vec::new(), show: None }
    }

    /// Adds one. Returns one that waits no more.
    pub(super) fn add(&mut self, word: SeatWord<R>) -> Option<R> {
        match word {
            SeatWord::Enter(reply) => {
                self.enters.push(reply);
                None
            }
            SeatWord::Show(reply) => self.show.replace(reply),
        }
    }

    /// Adds those of a call that was lost. Returns one that waits no more.
    pub(super) fn restore(&mut self, mut older: Self) -> Option<R> {
        older.enters.append(&mut self.enters);
        self.enters = older.enters;
        match self.show {
            Some(_) => older.show,
            None => {
                self.show = older.show;
                None
            }
        }
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = R> {
        self.enters.into_iter().chain(self.show)
    }
}

/// What a connection says of itself, with what is answered when it is written.
#[derive(Debug)]
pub(super) enum SeatWord<R> {
    Enter(R),
    Show(R),
}
