//! Why a backend does not get what it asks for: a code of the documents and a sentence.

use std::time::Duration;

use roomcast_bus::{PublishError, ReadError};
use roomcast_protocol::ErrorCode;

use crate::orders::{MAX_ORDERS, OrderError};
use crate::permit::Denial;
use crate::publication::publish_error_code;

/// A refusal, or a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// One of the codes of `docs/api.md`.
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    /// When to try again, where that is known.
    pub(crate) retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// The body is not what the route takes.
    pub(crate) fn bad_body(detail: impl Into<String>) -> Self {
        Self::new("bad_body", detail)
    }

    /// The query is not what the route takes.
    pub(crate) fn bad_query(detail: impl Into<String>) -> Self {
        Self::new("bad_query", detail)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let retry_after = match error {
            PublishError::RoomRate(wait) => Some(wait),
            _ => None,
        };
        let error = Self::new(publish_error_code(error).as_str(), error.to_string());
        Self { retry_after, ..error }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::new(ErrorCode::BusUnavailable.as_str(), error.to_string())
    }
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Unavailable => {
                let detail = "the bus does not answer; the order may hold or not: give it again";
                Self::new(ErrorCode::BusUnavailable.as_str(), detail)
            }
            OrderError::Full => {
                let detail = format!("there are {MAX_ORDERS} orders already; lift some");
                Self::new(ErrorCode::Overloaded.as_str(), detail)
            }
        }
    }
}

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        Self::new(denial.code.as_str(), denial.message)
    }
}
