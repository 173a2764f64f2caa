//! Payload rules, applied to a backend's message before the bus, as they are to a client's.

use roomcast_protocol::{ErrorCode, Publish};
use roomcast_schema::{BadData, JudgingCost};

use super::ApiError;
use crate::settings::Settings;

/// Refuses what the rules of the room's namespace do not take. A large payload is judged on another
/// thread, so that the connections of this one do not wait.
pub(super) async fn judge(settings: &Settings, publish: &Publish) -> Result<(), ApiError> {
    let namespace = settings.namespace_of(&publish.room);
    let Some(rules) = settings.rules.of(&namespace.rules_name) else { return Ok(()) };
    let (event, data) = (publish.event.clone(), publish.data.clone());
    let judged = match rules.cost(event.as_ref(), &data) {
        JudgingCost::Inline => {
            let judged = rules.judge(event.as_ref(), &data);
            // A batch has a thousand of them.
            tokio::task::yield_now().await;
            judged
        }
        JudgingCost::Large => {
            let rules = rules.clone();
            let judging = move || rules.judge(event.as_ref(), &data);
            tokio::task::spawn_blocking(judging).await.map_err(|error| {
                tracing::error!("judging a payload failed: {error}");
                ApiError::new(ErrorCode::BadData.as_str(), "/data: it cannot be judged")
            })?
        }
    };
    judged.map_err(|bad: BadData| ApiError::new(ErrorCode::BadData.as_str(), bad.to_string()))
}
