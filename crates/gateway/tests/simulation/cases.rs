//! Schedules that once broke a promise, as the simulation shortened them.

use super::Climate;
use super::step::Step;

/// What went wrong, in which climate, and how.
pub(super) type Case = (&'static str, Climate, &'static [Step]);

/// A climate in which nothing is scarce.
const MILD: Climate = Climate {
    nodes: 2,
    workers: 1,
    clients: 3,
    queue: 64,
    capacity: 3_000,
    window: 40,
    history: 40,
    page: 3,
    lag: 100_000,
    budget: 1_000_000,
    conflate: false,
    state: 0,
};

pub(super) const CASES: &[Case] = &[
    (
        "a member that waited for a page was reset to the end, and told that nothing was lost",
        Climate {
            workers: 2,
            clients: 4,
            queue: 4,
            capacity: 60,
            window: 4,
            history: 0,
            lag: 2_000,
            budget: 1_500,
            ..MILD
        },
        &[
            Step::Join(1, 0, 2, 1),
            Step::Flow(6),
            Step::FailOver(5),
            Step::Publish(1, 0, 4),
            Step::Execute(1, 0),
            Step::Receive(1, 1),
            Step::Publish(3, 0, 4),
            Step::Ask(1, 1, 3),
            Step::Ask(1, 1, 1),
        ],
    ),
    (
        "a join was reset to before what it keeps, and got a message again",
        Climate { workers: 2, clients: 1, queue: 4, page: 1, ..MILD },
        &[
            Step::Join(1, 0, 2, 1),
            Step::Flow(6),
            Step::FailOver(1),
            Step::Cut(11, 1),
            Step::Publish(0, 0, 4),
            Step::StopOld,
            Step::Pass(11),
            Step::Publish(4, 0, 4),
            Step::Flow(1),
            Step::Publish(0, 0, 4),
            Step::Flow(3),
            Step::Publish(1, 0, 2),
            Step::FailOver(0),
            Step::Cut(8, 1),
            Step::Execute(1, 0),
            Step::Pass(22),
            Step::Cut(2, 0),
            Step::Flow(5),
            Step::Cut(4, 1),
            Step::Pass(6),
        ],
    ),
    (
        "a join waited for a position that a later fork had taken",
        Climate { queue: 4, capacity: 60, window: 12, history: 8, page: 1, lag: 2_000, ..MILD },
        &[
            Step::Join(1, 0, 94, 236),
            Step::Flow(3),
            Step::Flow(3),
            Step::Join(9, 0, 166, 150),
            Step::FailOver(3),
            Step::Flow(5),
            Step::Cut(9, 1),
            Step::Flow(5),
            Step::Flow(5),
            Step::Flow(1),
            Step::Wipe,
        ],
    ),
    (
        "a state was read from a server that was behind the log, and an old value was sent as the newest",
        Climate {
            clients: 2,
            capacity: 20_000,
            page: 1,
            lag: 5_000_000,
            budget: 75_000,
            state: 22_000,
            ..MILD
        },
        &[
            Step::Join(0, 1, 2, 1),
            Step::Join(1, 1, 2, 1),
            Step::Flow(6),
            Step::Ask(9, 0, 3),
            Step::Publish(2, 1, 1),
            Step::Hint(4, 22),
            Step::Flow(5),
            Step::Publish(1, 1, 2),
            Step::Flow(5),
            Step::Flow(5),
            Step::Join(0, 0, 218, 191),
            Step::Publish(2, 1, 4),
            Step::Flow(4),
            Step::Flow(1),
            Step::Flow(5),
            Step::Flow(4),
            Step::Flow(3),
            Step::Publish(3, 1, 2),
            Step::Flow(4),
            Step::FailOver(2),
        ],
    ),
];
