//! A Rust client of Roomcast that reconnects and resumes.
//!
//! A [`Client`] keeps one connection to one of several nodes and the wish to be in some rooms. What
//! happens comes as [`Event`]s, in order; a lost connection is replaced and every room goes on
//! where it stood. The rules live in `session`, without sockets or clocks; `driver` runs them.

mod answer;
mod authorities;
mod backoff;
mod client;
mod driver;
mod event;
mod join;
mod options;
mod outcome;
mod session;
mod socket;
mod token;
mod values;

pub use answer::{ConfirmedMarks, Confirms, MemberPage, RoomFacts, RoomStatePart};
pub use authorities::tls_config;
pub use client::{Client, PendingAck};
pub use event::Event;
pub use join::JoinOptions;
pub use options::{Backoff, FirstTry, Options, OptionsError};
pub use outcome::{Ack, ClientClosed, HistoryPage, PublishFailure, RequestFailure};
pub use token::TokenSource;
pub use values::StateValues;

/// The client's pure part, for the simulation in `gateway`; not for use.
#[doc(hidden)]
pub mod simulation {
    pub use crate::answer::ClientAnswer;
    pub use crate::session::{
        Action, Attempt, ClientRequest, Failure, Input, RetryVerdict, Session, Showing,
    };
}
