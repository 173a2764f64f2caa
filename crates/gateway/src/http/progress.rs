//! How far a socket that speaks HTTP has come with its requests, and how long each stage may take.
//! Pure but for one timer; it reads and writes nothing.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What a socket is doing. Each stage follows the one before it, the first the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpStage {
    /// A request's head is arriving; for a new socket, awaited.
    Head,
    /// A request is being answered; its body may be arriving.
    Answer,
    /// The answer is being written.
    Write,
    /// Nothing is under way.
    Idle,
}

const STAGES: [HttpStage; 4] =
    [HttpStage::Head, HttpStage::Answer, HttpStage::Write, HttpStage::Idle];

/// The longest that a socket may stay in a stage. There is no bound on all of them together.
#[derive(Debug, Clone, Copy)]
pub(super) struct StageLimits {
    pub(super) head: Duration,
    pub(super) answer: Duration,
    pub(super) write: Duration,
    pub(super) idle: Duration,
}

impl StageLimits {
    fn of(&self, stage: HttpStage) -> Duration {
        match stage {
            HttpStage::Head => self.head,
            HttpStage::Answer => self.answer,
            HttpStage::Write => self.write,
            HttpStage::Idle => self.idle,
        }
    }
}

/// The number of stages that a socket has gone through. The socket, the service and the timer
/// share it; atomic only because hyper wants a socket that may be sent to another thread.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpProgress(Arc<AtomicU64>);

impl HttpProgress {
    /// The counter itself: it grows with each stage.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.0.clone()
    }

    /// Bytes were read.
    pub(super) fn note_read(&self) {
        if self.stage() == HttpStage::Idle {
            self.go_on_to(HttpStage::Head);
        }
    }

    /// A request's head is complete. It may have come in one piece with the request before.
    pub(super) fn note_request(&self) {
        self.go_on_to(HttpStage::Answer);
    }

    /// The answer is made.
    pub(super) fn note_answer(&self) {
        self.go_on_to(HttpStage::Write);
    }

    /// Everything there was to write is written.
    pub(super) fn note_written(&self) {
        if self.stage() == HttpStage::Write {
            self.go_on_to(HttpStage::Idle);
        }
    }

    fn stage(&self) -> HttpStage {
        STAGES[(self.count() % STAGES.len() as u64) as usize]
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn go_on_to(&self, stage: HttpStage) {
        let mut count = self.count();
        while STAGES[(count % STAGES.len() as u64) as usize] != stage {
            count += 1;
        }
        self.0.store(count, Ordering::Relaxed);
    }
}

/// Runs what serves a socket; ends it with the stage that took too long, if one does. The first
/// stage runs since `begun`. Stages change only while `serving` is polled. It is pinned by the caller:
/// it is large, and each move of it would cost a handshake a copy.
pub(super) async fn within<S: Future>(
    limits: StageLimits,
    progress: &HttpProgress,
    begun: Instant,
    mut serving: Pin<&mut S>,
) -> Result<S::Output, HttpStage> {
    let mut seen = progress.count();
    let mut timer = pin!(sleep_until(begun + limits.of(progress.stage())));
    poll_fn(|context| {
        if let Poll::Ready(output) = serving.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        let count = progress.count();
        if count != seen {
            seen = count;
            timer.as_mut().reset(Instant::now() + limits.of(progress.stage()));
        }
        timer.as_mut().poll(context).map(|()| Err(progress.stage()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    #[test]
    fn stages_follow_one_another() {
        let progress = HttpProgress::default();
        let note = |note: fn(&HttpProgress)| {
            note(&progress);
            (progress.stage(), progress.count())
        };
        // Two requests, of which the second came with the first.
        for (event, stage, count) in [
            (HttpProgress::note_read as fn(&HttpProgress), HttpStage::Head, 0),
            (HttpProgress::note_written, HttpStage::Head, 0),
            (HttpProgress::note_request, HttpStage::Answer, 1),
            // Parts of a body, and of an answer before.
            (HttpProgress::note_read, HttpStage::Answer, 1),
            (HttpProgress::note_written, HttpStage::Answer, 1),
            (HttpProgress::note_answer, HttpStage::Write, 2),
            (HttpProgress::note_read, HttpStage::Write, 2),
            (HttpProgress::note_written, HttpStage::Idle, 3),
            (HttpProgress::note_request, HttpStage::Answer, 5),
            (HttpProgress::note_answer, HttpStage::Write, 6),
            (HttpProgress::note_written, HttpStage::Idle, 7),
            (HttpProgress::note_read, HttpStage::Head, 8),
            (HttpProgress::note_read, HttpStage::Head, 8),
        ] {
            assert_eq!(note(event), (stage, count));
        }
    }

    const LIMITS: StageLimits = StageLimits {
        head: Duration::from_secs(10),
        answer: Duration::from_secs(20),
        write: Duration::from_secs(30),
        idle: Duration::from_secs(40),
    };

    /// Stays in each stage for a little less than it may, for many requests; then for ever.
    async fn go_through(progress: &HttpProgress, stages: usize) {
        for stage in STAGES.into_iter().cycle().take(stages) {
            progress.go_on_to(stage);
            sleep(LIMITS.of(stage) - Duration::from_millis(5)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_has_no_bound_on_its_whole_life() {
        let progress = HttpProgress::default();
        let begun = Instant::now();
        let outcome = within(LIMITS, &progress, begun, pin!(go_through(&progress, 400))).await;
        assert_eq!(outcome, Ok(()));
        assert!(begun.elapsed() > 99 * Duration::from_secs(100), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_stage_that_takes_too_long_is_named() {
        for (stages, last) in (1..=8).zip(STAGES.into_iter().cycle()) {
            let progress = HttpProgress::default();
            let serving = async {
                go_through(&progress, stages).await;
                pending::<()>().await;
            };
            let outcome = within(LIMITS, &progress, Instant::now(), pin!(serving)).await;
            assert_eq!(outcome, Err(last), "{stages}");
        }
    }

    /// Bytes that keep coming do not prolong the time that a head has.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_has_its_time_once() {
        let progress = HttpProgress::default();
        go_through(&progress, STAGES.len()).await;
        let begun = Instant::now();
        let serving = async {
            loop {
                progress.note_read();
                sleep(LIMITS.head / 7).await;
            }
        };
        let ended: Result<(), _> = within(LIMITS, &progress, begun, pin!(serving)).await;
        assert_eq!(ended, Err(HttpStage::Head));
        assert!(begun.elapsed() < LIMITS.head + Duration::from_millis(10));
    }
}
