//! Those that ended make room; of those that last, the oldest without progress goes.

use std::future::pending;

use tokio::task::JoinHandle;

use super::*;

async fn is_aborted(task: JoinHandle<()>) -> bool {
    task.await.is_err_and(|error| error.is_cancelled())
}

fn still() -> Arc<AtomicU64> {
    Arc::default()
}

#[tokio::test]
async fn the_oldest_makes_room() {
    let mut tasks = HttpTasks::default();
    let mut all: Vec<_> = (0..5).map(|_| tokio::spawn(pending())).collect();
    let ended: Vec<usize> =
        all.iter().map(|task| tasks.add(task.abort_handle(), still(), 3)).collect();
    assert_eq!(ended, [0, 0, 0, 1, 1]);
    let lasting = all.split_off(2);
    for task in all {
        assert!(is_aborted(task).await);
    }
    assert!(lasting.iter().all(|task| !task.is_finished()));
    // A lower bound ends more at once.
    let last = tokio::spawn(pending::<()>());
    assert_eq!(tasks.add(last.abort_handle(), still(), 1), 3);
}

/// A socket whose requests go on outlives any number of others that do nothing.
#[tokio::test]
async fn one_that_goes_on_is_spared() {
    let mut tasks = HttpTasks::default();
    let progress = still();
    let active = tokio::spawn(pending::<()>());
    assert_eq!(tasks.add(active.abort_handle(), progress.clone(), 3), 0);
    let mut idle = Vec::new();
    for number in 0..20 {
        progress.fetch_add(1, Ordering::Relaxed);
        let task = tokio::spawn(pending::<()>());
        let ended = tasks.add(task.abort_handle(), still(), 3);
        assert_eq!(ended, usize::from(number >= 2), "{number}");
        idle.push(task);
    }
    assert!(!active.is_finished());
    assert!(idle[18..].iter().all(|task| !task.is_finished()), "the newest are kept");
    for task in idle.drain(..18) {
        assert!(is_aborted(task).await);
    }
    // Once it does nothing more it is as good as any other.
    for _ in 0..3 {
        tasks.add(tokio::spawn(pending::<()>()).abort_handle(), still(), 3);
    }
    assert!(is_aborted(active).await);
}

#[tokio::test]
async fn those_that_all_go_on_keep_within_the_bound() {
    let mut tasks = HttpTasks::default();
    let all: Vec<_> = (0..6).map(|_| (tokio::spawn(pending::<()>()), still())).collect();
    for (task, progress) in &all {
        all.iter().for_each(|(_, progress)| _ = progress.fetch_add(1, Ordering::Relaxed));
        tasks.add(task.abort_handle(), progress.clone(), 4);
        assert!(tasks.tasks.len() <= 4);
    }
    let lasting = all.iter().filter(|(task, _)| !task.abort_handle().is_finished()).count();
    tokio::task::yield_now().await;
    assert!(lasting >= 4);
    assert!(!all[5].0.is_finished(), "the newest is never the one that is ended");
}

#[tokio::test]
async fn those_that_ended_do_not_count_and_are_not_kept() {
    let mut tasks = HttpTasks::default();
    let lasting = tokio::spawn(pending::<()>());
    assert_eq!(tasks.add(lasting.abort_handle(), still(), 10), 0);
    for _ in 0..1000 {
        let task = tokio::spawn(async {});
        assert_eq!(tasks.add(task.abort_handle(), still(), 10), 0);
        task.await.unwrap();
        assert!(tasks.tasks.len() <= 34, "{} are kept", tasks.tasks.len());
    }
    assert!(!lasting.is_finished());
}
