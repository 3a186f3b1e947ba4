//! Reads messages of other nodes, and says that this one runs.
//!
//! Start at [`run`]. Messages are in streams, which a node that was cut off reads on afterwards; what is published
//! beside them only makes it read at once.

use std::sync::Arc;

use tautline_engine::{EngineError, NodeEvent};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    fault::Refusal,
    messages::{Cursor, Message, Missed, Taken},
    options::{
        LEASE_EVERY, LEASE_MS, LOOK_WAIT, MESSAGES_EVERY, MESSAGES_EVERY_WITHOUT_HINTS, MESSAGES_PAGE, Wake,
    },
    partition::Partition,
    resp::{Command, Value},
    router::Lane,
    saved,
    shared::Shared,
    tells,
};

/// How far the streams were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursors {
    control: Cursor,
    inbox: Cursor,
}

/// Begins behind what was said to all nodes before, and says that this one runs.
pub(crate) async fn begin(shared: &Arc<Shared>) -> Result<Cursors, EngineError> {
    let [_, counter] = shared.keys.control();
    let replies = ask(shared, &[question(&counter), lease(shared)], shared.until()).await?;
    Ok(Cursors { control: Cursor::at_end(&replies[0]), inbox: Cursor::default() })
}

/// Reads, for ever.
pub(crate) async fn run(shared: Arc<Shared>, mut cursors: Cursors) {
    let every = match shared.options.wake {
        Wake::Hints => MESSAGES_EVERY,
        Wake::Looks => MESSAGES_EVERY_WITHOUT_HINTS,
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leased_at: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.messages.notified() => {}
        }
        loop {
            let leases = leased_at.is_none_or(|at| at.elapsed() >= LEASE_EVERY);
            match read(&shared, &mut cursors, leases).await {
                Ok(more) => {
                    leased_at = leased_at.filter(|_| !leases).or_else(|| Some(Instant::now()));
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "messages of other nodes cannot be read for now");
                    break;
                }
            }
        }
    }
}

/// This node ends: nobody is to wait for it.
pub(crate) async fn end(shared: &Arc<Shared>) {
    let delete = Command::new("DEL").arg(shared.keys.lease(shared.process));
    // It expires in any case.
    let _ = ask(shared, &[delete], Instant::now()).await;
}

async fn ask(shared: &Arc<Shared>, commands: &[Command], until: Instant) -> Result<Vec<Value>, EngineError> {
    let replies = shared.router.ask(Lane::Others, Partition::FIRST, commands, until).await?;
    match replies.iter().find_map(Value::error) {
        Some(words) => Err(Refusal::of(words).to_error()),
        None => Ok(replies),
    }
}

fn question(counter: &str) -> Command {
    Command::new("HMGET").arg(counter).arg("n").arg("t")
}

fn lease(shared: &Shared) -> Command {
    Command::new("SET").arg(shared.keys.lease(shared.process)).arg("1").arg("PX").number(LEASE_MS)
}

fn page(stream: &str, cursor: Cursor) -> Command {
    Command::new("XRANGE").arg(stream).arg(cursor.after()).arg("+").arg("COUNT").number(MESSAGES_PAGE)
}

/// Reads a page of each stream. True: there may be more.
async fn read(shared: &Arc<Shared>, cursors: &mut Cursors, leases: bool) -> Result<bool, EngineError> {
    let ([control, control_counter], [inbox, inbox_counter]) =
        (shared.keys.control(), shared.keys.inbox(shared.process));
    let mut commands = vec![
        question(&control_counter),
        page(&control, cursors.control),
        question(&inbox_counter),
        page(&inbox, cursors.inbox),
    ];
    if leases {
        commands.push(lease(shared));
    }
    let replies = ask(shared, &commands, Instant::now() + LOOK_WAIT).await?;
    let [control_counter, control_page, inbox_counter, inbox_page, ..] = &replies[..] else {
        return Ok(false);
    };
    let (before, inbox_before) = (*cursors, cursors.inbox);
    let for_all = cursors.control.take(control_counter, control_page);
    if let Some(missed) = for_all.missed {
        // Before the cursor moves on: where it cannot be read now, it is tried again.
        catch_up(shared, missed).await.inspect_err(|_| *cursors = before)?;
    }
    let for_this = cursors.inbox.take(inbox_counter, inbox_page);
    if for_this.missed == Some(Missed::Dropped) {
        shared.node_event(NodeEvent::ClaimsMissed);
    }
    let more = [&for_all, &for_this].iter().any(|taken| taken.entries as u64 >= MESSAGES_PAGE);
    deliver(shared, for_all);
    deliver(shared, for_this);
    if cursors.inbox != inbox_before {
        let trim = Command::new("XTRIM").arg(&inbox).arg("MINID").arg(cursors.inbox.next_id());
        // What is left is read no more in any case.
        let _ = ask(shared, &[trim], Instant::now()).await;
    }
    Ok(more)
}

/// Tells the hub all that is kept, after messages were missed.
async fn catch_up(shared: &Arc<Shared>, missed: Missed) -> Result<(), EngineError> {
    let (revocations, bans) = (saved::revocations(shared).await?, saved::bans(shared).await?);
    tracing::warn!(
        event = "redis_messages_missed",
        "messages of other nodes were missed; revocations and bans are read again"
    );
    shared.node_event(NodeEvent::Missed { revocations, bans, are_all: missed == Missed::Dropped });
    Ok(())
}

fn deliver(shared: &Arc<Shared>, taken: Taken) {
    for (sender, message) in taken.messages {
        // Bans are taken in the order of Redis, own ones included, so that all nodes end with the same.
        let is_own = sender == shared.process && !matches!(message, Message::Ban(_));
        match message {
            _ if is_own => {}
            Message::Revoked(revocation) => drop(shared.node_event(NodeEvent::Revoked(revocation))),
            Message::Ban(change) => drop(shared.node_event(NodeEvent::BanChanged(change))),
            Message::Told(text) => drop(shared.node_event(NodeEvent::Told(text))),
            Message::Claimed { number, session, attempt } => {
                let handed = shared.node_event(NodeEvent::SessionClaimed { session, attempt });
                tells::tell_one(shared, sender, Message::Handed { number, handed }, |_| ());
            }
            Message::Handed { number, handed } => shared.claims.hand(number, handed),
        }
    }
}
