//! Histogram buckets, in seconds unless said otherwise. Steps of 1, 2.5, 5 keep an estimated
//! quantile within a factor of 2.5; each scale covers only what can occur, as every bucket is a
//! time series.

/// Work inside the node: handling one frame takes microseconds, a thousand times that is a fault.
pub(crate) const WORK: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.1, 1.0,
];

/// Waiting for a network or a queue: loopback Redis answers in 100 µs, and after 10 s every
/// deadline of ours has passed.
pub(crate) const WAIT: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

/// Differences of two wall clocks in whole milliseconds: finer buckets would only pretend.
pub(crate) const CLOCKS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How long a connection lives: from a page that was left at once to a week.
pub(crate) const LIFETIME: &[f64] =
    &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0];

/// Messages in one group commit: powers of two to beyond the default bound of a group.
pub(crate) const GROUP: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// Attempts of a client.
pub(crate) const ATTEMPTS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0];
