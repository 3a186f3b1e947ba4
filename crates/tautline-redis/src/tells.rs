//! Sends messages to other nodes, in the order in which they come, with what is saved beside them.
//!
//! Start at [`run`]. A message has a number of this process, so that one that is sent again after a cut is there
//! once.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tautline_engine::{BanChange, EngineError, Revoke, SaveBan};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    answers::give,
    fault::Refusal,
    lua,
    messages::Message,
    options::{CONTROL_MAX, COUNTERS_MS, INBOX_MAX, MESSAGES_MS, TELLS_AT_ONCE, Wake},
    partition::Partition,
    resp::{Command, Value},
    router::Lane,
    saved,
    shared::{Shared, Tell},
};

/// Saves a revocation, and tells all nodes of it.
pub(crate) fn revoke(shared: &Arc<Shared>, job: Revoke) {
    let saving = saved::revoke(&shared.keys, &job.revocation, shared.options.revocations_max);
    let (message, answer) = (Message::Revoked(job.revocation), job.answer);
    submit(shared, (None, message), saving, move |outcome| give(answer, outcome.map(drop)));
}

/// Saves a change of bans, and tells all nodes of it.
pub(crate) fn save_ban(shared: &Arc<Shared>, job: SaveBan) {
    let saving = match &job.change {
        BanChange::Set(ban) => saved::ban(&shared.keys, ban),
        BanChange::Lift(subject) => saved::lift(&shared.keys, &[subject.to_string()]),
    };
    let (message, answer) = (Message::Ban(job.change), job.answer);
    submit(shared, (None, message), saving, move |outcome| give(answer, outcome.map(drop)));
}

/// Sends a message of the hub to all nodes.
pub(crate) fn tell_all(shared: &Arc<Shared>, text: Box<str>) {
    submit(shared, (None, Message::Told(text)), Vec::new(), |outcome| {
        if let Err(error) = outcome {
            tracing::warn!(event = "redis_act_not_told", %error, "an act of control was done on this node alone; repeat it for the others");
        }
    });
}

/// Sends a message to one process, and tells whether it runs.
pub(crate) fn tell_one(
    shared: &Arc<Shared>,
    process: u64,
    message: Message,
    done: impl FnOnce(Result<bool, EngineError>) + Send + 'static,
) {
    submit(shared, (Some(process), message), Vec::new(), done);
}

fn submit(
    shared: &Arc<Shared>,
    (to, message): (Option<u64>, Message),
    saving: Vec<Command>,
    done: impl FnOnce(Result<bool, EngineError>) + Send + 'static,
) {
    let tell =
        Tell { to, message, saving, submitted: Instant::now(), done: Box::new(done), _open: shared.open() };
    if let Err(error) = shared.tells.try_send(tell) {
        let words = "more is saved than Redis takes: try again soon".to_owned();
        (error.into_inner().done)(Err(EngineError::Full(words)));
    }
}

/// Sends what is submitted, those of one moment together.
pub(crate) async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Tell>) {
    let (mut taken, mut number) = (Vec::new(), 0);
    while queue.recv_many(&mut taken, TELLS_AT_ONCE).await > 0 {
        let (mut commands, soonest) = (Vec::new(), Instant::now() + shared.options.reply_wait / 4);
        let mut until = soonest;
        for tell in &taken {
            number += 1;
            commands.extend(tell.saving.iter().cloned());
            commands.push(command(&shared, tell, number));
            // What has waited for long has still a moment, as an append.
            until = until.max(tell.submitted + shared.options.job_wait);
        }
        let asked = shared.router.ask(Lane::Others, Partition::FIRST, &commands, until).await;
        if asked.is_ok() {
            let addressees: HashSet<_> = taken.iter().map(|tell| tell.to).collect();
            wake(&shared, addressees).await;
        }
        let mut replies = asked.as_deref().unwrap_or_default();
        for tell in taken.drain(..) {
            let outcome = match &asked {
                Ok(_) => {
                    let (own, others) = replies.split_at(tell.saving.len() + 1);
                    replies = others;
                    outcome(own)
                }
                Err(error) => Err(error.clone()),
            };
            (tell.done)(outcome);
        }
    }
}

fn command(shared: &Shared, tell: &Tell, number: u64) -> Command {
    let (keys, process) = (&shared.keys, shared.process);
    let ([stream, counter], max) = match tell.to {
        Some(process) => (keys.inbox(process), INBOX_MAX),
        None => (keys.control(), CONTROL_MAX),
    };
    let (last, lease) = (keys.last_message(process), keys.lease(tell.to.unwrap_or(process)));
    let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let command = Command::script(&lua::TELL, &[&stream, &counter, &last, &lease]).number(number);
    let command = command.arg(wall_ms.to_string()).number(max).number(MESSAGES_MS).number(COUNTERS_MS);
    command.arg(format!("{process:016x}")).arg(tell.message.encode())
}

fn outcome(replies: &[Value]) -> Result<bool, EngineError> {
    match replies.iter().find_map(Value::error) {
        Some(words) => Err(Refusal::of(words).to_error()),
        None => Ok(replies.last().and_then(Value::number) == Some(1)),
    }
}

/// Has the addressees read.
async fn wake(shared: &Arc<Shared>, addressees: HashSet<Option<u64>>) {
    if shared.options.wake != Wake::Hints {
        return;
    }
    let publish = |to: Option<u64>| {
        let addressee = to.map_or_else(|| "*".to_owned(), |process| format!("{process:016x}"));
        Command::new("PUBLISH").arg(shared.keys.told()).arg(addressee)
    };
    let publishing: Vec<_> = addressees.into_iter().map(publish).collect();
    // Where it cannot be said now they read in a moment anyway.
    let _ = shared.router.ask(Lane::Others, Partition::FIRST, &publishing, Instant::now()).await;
}
