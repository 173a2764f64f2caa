//! Those that ended make room; of those that last the oldest goes.

use std::future::pending;

use tokio::task::JoinHandle;

use super::*;

async fn is_aborted(task: JoinHandle<()>) -> bool {
    task.await.is_err_and(|error| error.is_cancelled())
}

#[tokio::test]
async fn the_oldest_makes_room() {
    let mut http_tasks = HttpTasks::default();
    let mut tasks: Vec<_> = (0..5).map(|_| tokio::spawn(pending())).collect();
    let ended: Vec<usize> =
        tasks.iter().map(|task| http_tasks.add(task.abort_handle(), 3)).collect();
    assert_eq!(ended, [0, 0, 0, 1, 1]);
    let lasting = tasks.split_off(2);
    for task in tasks {
        assert!(is_aborted(task).await);
    }
    assert!(lasting.iter().all(|task| !task.is_finished()));
    // A lower bound ends more at once.
    let last = tokio::spawn(pending::<()>());
    assert_eq!(http_tasks.add(last.abort_handle(), 1), 3);
}

#[tokio::test]
async fn those_that_ended_do_not_count_and_are_not_kept() {
    let mut http_tasks = HttpTasks::default();
    let lasting = tokio::spawn(pending::<()>());
    assert_eq!(http_tasks.add(lasting.abort_handle(), 10), 0);
    for _ in 0..1000 {
        let task = tokio::spawn(async {});
        assert_eq!(http_tasks.add(task.abort_handle(), 10), 0);
        task.await.unwrap();
        assert!(http_tasks.tasks.len() <= 34, "{} are kept", http_tasks.tasks.len());
    }
    assert!(!lasting.is_finished());
}
