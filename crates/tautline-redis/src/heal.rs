//! A log that has lost what was seen begins a new epoch, so that every reader is told (ADR 0033).
//!
//! Start at [`heal`].

use std::sync::Arc;

use tautline_engine::EngineError;
use tautline_protocol::ChannelName;

use crate::{
    fault::Refusal, lua, partition::Partition, resp::Command, resp::Value, router::Lane, served::Seen,
    shared::Shared,
};

/// Asks whether a log still has a publication that was seen, and begins a new epoch of a log that has not,
/// unless another node has done so. Its epoch, if it is another one now.
pub(crate) async fn heal(
    shared: &Arc<Shared>,
    channel: &ChannelName,
    seen: &Seen,
) -> Result<Option<Arc<str>>, EngineError> {
    let partition = Partition::of(channel.as_str());
    let epoch = shared.epoch(partition, shared.appends.next_number(partition));
    let keys = shared.keys.channel(channel);
    let heal = Command::script(&lua::HEAL, &[&keys.state, &keys.log]).arg(&*seen.epoch);
    let heal = heal.number(seen.head).number(seen.head_at).arg(&epoch);
    let replies = shared.router.ask(Lane::Others, partition, &[heal], shared.until()).await?;
    if let Value::Error(words) = &replies[0] {
        return Err(Refusal::of(words).to_error());
    }
    let now = replies[0].text().unwrap_or_default();
    if now == &*seen.epoch {
        return Ok(None);
    }
    if now == epoch {
        shared.losses.count(channel);
        shared.router.counts.healed.add(1);
    }
    Ok(Some(now.into()))
}
