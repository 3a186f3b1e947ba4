//! Claims of sessions: which node has one is decided in Redis, and the one that had it hands over.
//!
//! Start at [`submit`].

use std::sync::{Arc, atomic::Ordering};

use tautline_engine::{ClaimSession, EngineError, NodeId, SessionClaim};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    answers::give,
    fault::Refusal,
    lua,
    messages::Message,
    options::CLAIMS_MAX,
    resp::{Command, Value},
    router::Lane,
    shared::Shared,
    tells,
};

/// Begins a claim.
pub(crate) fn submit(shared: &Arc<Shared>, job: ClaimSession) {
    if shared.claims.count.fetch_add(1, Ordering::AcqRel) >= CLAIMS_MAX {
        shared.claims.count.fetch_sub(1, Ordering::AcqRel);
        let words = "more sessions are resumed than this node can ask for: try again soon";
        return give(job.answer, Err(EngineError::Unavailable(words.to_owned())));
    }
    let open = shared.open();
    shared.runtime.spawn(async move {
        let shared = &open.0;
        let ClaimSession { session, attempt, attempt_max, sealed_by, answer } = job;
        let outcome = claim(shared, session, (attempt, attempt_max), sealed_by).await;
        shared.claims.count.fetch_sub(1, Ordering::AcqRel);
        give(answer, outcome);
    });
}

async fn claim(
    shared: &Arc<Shared>,
    session: u128,
    (attempt, attempt_max): (u64, u64),
    sealed_by: Option<NodeId>,
) -> Result<SessionClaim, EngineError> {
    let (number, process) = (shared.claims.next.fetch_add(1, Ordering::Relaxed), shared.process);
    let (partition, key) = shared.keys.owner(session);
    let command = Command::script(&lua::CLAIM, &[&key]).arg(format!("{process:016x}")).number(number);
    let command = command.number(attempt).number(attempt_max).number(shared.options.remember_ms);
    let replies = shared.router.ask(Lane::Others, partition, &[command], shared.until()).await?;
    if let Some(words) = replies[0].error() {
        return Err(Refusal::of(words).to_error());
    }
    let Some((holds, attempt, before)) = verdict(&replies[0]) else {
        return Err(EngineError::InDoubt("a claim has no verdict".to_owned()));
    };
    if !holds {
        return Ok(SessionClaim::Superseded { attempt });
    }
    match before.or(sealed_by.map(|node| node.0)).filter(|before| *before != process) {
        None => Ok(SessionClaim::Own { attempt }),
        Some(before) => {
            let handed = hand_over(shared, before, Message::Claimed { number, session, attempt });
            Ok(SessionClaim::Moved { attempt, handed: handed.await })
        }
    }
}

/// Whether a claim holds, the attempt that counts, and the process that had the session or has it.
fn verdict(reply: &Value) -> Option<(bool, u64, Option<u64>)> {
    let mut parts = reply.text()?.split(' ');
    let (holds, attempt) = (parts.next()? == "1", parts.next()?.parse().ok()?);
    Some((holds, attempt, parts.next().and_then(|process| u64::from_str_radix(process, 16).ok())))
}

/// Has the node that had a session hand it over. `None`: it is gone, or does not answer in time.
async fn hand_over(shared: &Arc<Shared>, before: u64, message: Message) -> Option<Box<str>> {
    let Message::Claimed { number, .. } = message else { return None };
    let (give, handed) = oneshot::channel();
    shared.claims.lock().insert(number, give);
    let told = Arc::clone(shared);
    tells::tell_one(shared, before, message, move |outcome| {
        if outcome != Ok(true) {
            told.claims.hand(number, None);
        }
    });
    let handed = timeout(shared.options.hand_over_wait, handed).await;
    shared.claims.lock().remove(&number);
    handed.ok()?.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_names_attempt_and_node() {
        let of = |text: &str| verdict(&Value::Text(text.into()));
        assert_eq!(of("1 1763666000000 2a"), Some((true, 1_763_666_000_000, Some(0x2a))));
        assert_eq!(of("1 7 "), Some((true, 7, None)));
        assert_eq!(of("0 7 2a"), Some((false, 7, Some(0x2a))));
        assert_eq!(of(""), None);
    }
}
