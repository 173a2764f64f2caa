//! A request's body, read within a bound of bytes and of time.

use std::fmt::Display;
use std::pin::{Pin, pin};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use roomcast_metrics::RefusalReason;
use tokio::time::timeout;

use super::answer::HttpProblem;

/// How much of a body a route takes, and how long the body may take to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyLimit {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl BodyLimit {
    /// Of a route that takes no body: an empty one only.
    pub(super) const NO_BODY: Self = Self { bytes: 0, time: Duration::from_secs(10) };
}

/// The rest of a body that is read, and thrown away, after a refusal: a client that is still sending
/// reads its answer only then; and a socket that is closed with bytes unread takes the answer with it.
const DISCARDED_BYTES: usize = 4 << 20;

/// Reads a body to its end. After a problem the connection ends: what follows on it may be the rest.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    limit: BodyLimit,
) -> Result<Vec<u8>, HttpProblem>
where
    B: Body<Data = Bytes, Error: Display>,
{
    if body.is_end_stream() {
        return Ok(Vec::new());
    }
    let mut body = pin!(body);
    // The length that the head names is refused without a look at the body.
    let read = match body.size_hint().lower() > limit.bytes as u64 {
        true => Err(too_large(limit)),
        false => match timeout(limit.time, collect(body.as_mut(), limit)).await {
            Ok(read) => read,
            Err(_late) => return Err(late(limit)),
        },
    };
    // A client that waits to be asked for its body sends none.
    if read.is_err() && !headers.contains_key(EXPECT) {
        let _as_far_as_it_comes = timeout(limit.time, discard(body)).await;
    }
    read
}

/// Reads some of a body to no end.
async fn discard<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) {
    let mut left = DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else { return };
        left = rest;
    }
}

async fn collect<B>(mut body: Pin<&mut B>, limit: BodyLimit) -> Result<Vec<u8>, HttpProblem>
where
    B: Body<Data = Bytes, Error: Display>,
{
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            last(HttpProblem::bad_request("bad_request", format!("the body is broken: {error}")))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit.bytes - read.len() {
            return Err(too_large(limit));
        }
        // A copy: each piece, however small, would keep the buffer that it was read into.
        read.extend_from_slice(&data);
    }
    Ok(read)
}

fn late(limit: BodyLimit) -> HttpProblem {
    let detail = format!("the body was not complete within {:?}", limit.time);
    let problem = HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail);
    last(problem.counted(RefusalReason::Timeout))
}

fn too_large(limit: BodyLimit) -> HttpProblem {
    let detail = match limit.bytes {
        0 => "this path takes no body".to_owned(),
        bytes => format!("this path takes a body of at most {bytes} bytes"),
    };
    let problem = HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail);
    last(problem.counted(RefusalReason::BadRequest))
}

/// The connection ends after this answer.
fn last(problem: HttpProblem) -> HttpProblem {
    problem.with(CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const LIMIT: BodyLimit = BodyLimit { bytes: 5, time: Duration::from_secs(10) };

    /// The bytes read, or the status and whether the connection ends.
    async fn outcome<B>(body: B, limit: BodyLimit) -> Result<Vec<u8>, (u16, bool)>
    where
        B: Body<Data = Bytes, Error: Display>,
    {
        read(&HeaderMap::new(), body, limit)
            .await
            .map_err(|problem| (problem.status.as_u16(), problem.header(CONNECTION).is_some()))
    }

    /// A body in pieces, whose length is not known before.
    fn pieces<E>(
        pieces: impl IntoIterator<Item = Result<&'static [u8], E>>,
    ) -> impl Body<Data = Bytes, Error = E> {
        let pieces: Vec<_> = pieces.into_iter().collect();
        let frame = |bytes| Frame::data(Bytes::from_static(bytes));
        StreamBody::new(stream::iter(pieces.into_iter().map(move |piece| piece.map(frame))))
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_bound() {
        let full = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes()));
        let whole = |text: &str| Ok(text.as_bytes().to_vec());
        assert_eq!(outcome(full(""), LIMIT).await, whole(""));
        assert_eq!(outcome(full(""), BodyLimit::NO_BODY).await, whole(""));
        assert_eq!(outcome(full("12345"), LIMIT).await, whole("12345"));
        assert_eq!(outcome(full("123456"), LIMIT).await, Err((413, true)));
        assert_eq!(outcome(full("1"), BodyLimit::NO_BODY).await, Err((413, true)));
        let ok = |bytes| Ok::<&[u8], Infallible>(bytes);
        assert_eq!(outcome(pieces([ok(b"12"), ok(b""), ok(b"345")]), LIMIT).await, whole("12345"));
        assert_eq!(outcome(pieces([ok(b"12"), ok(b"3456")]), LIMIT).await, Err((413, true)));
        assert_eq!(outcome(pieces([ok(b"")]), BodyLimit::NO_BODY).await, whole(""));
        assert_eq!(outcome(pieces([Ok(&b"1"[..]), Err("cut off")]), LIMIT).await, Err((400, true)));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_in_time_is_refused() {
        let silent = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let limit = BodyLimit { time: Duration::ZERO, ..LIMIT };
        assert_eq!(outcome(StreamBody::new(silent), limit).await, Err((408, true)));
    }
}
