//! What is kept beside the logs: incarnation, revocations, bans.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use tautline_engine::{Ban, EngineError, Revocation, RevokedLogins};

use crate::{
    content::NUMBER_MAX,
    fault::Refusal,
    keys::Keys,
    messages::{member, subject},
    options::SCAN_PAGE,
    partition::Partition,
    reads::Reader,
    resp::{Command, Value},
    router::Lane,
    shared::Shared,
};

/// Learns the incarnation; in a Redis without, begins one.
pub(crate) async fn begin(shared: &Arc<Shared>) -> Result<(), EngineError> {
    let reader = Reader { shared, until: shared.until() };
    let (_, incarnation) = reader.begin(Partition::FIRST).await?;
    shared.incarnation.store(incarnation, Ordering::Release);
    begin_others(shared).await?;
    shared.next_incarnation.store(incarnation.wrapping_add(0x9e37_79b9).max(1), Ordering::Release);
    Ok(())
}

/// Gives partitions without an incarnation that of the first one.
pub(crate) async fn begin_others(shared: &Arc<Shared>) -> Result<(), EngineError> {
    let reader = Reader { shared, until: shared.until() };
    shared.next_incarnation.store(shared.incarnation.load(Ordering::Acquire), Ordering::Release);
    for partition in Partition::all().skip(1) {
        reader.begin(partition).await?;
    }
    Ok(())
}

async fn ask(shared: &Arc<Shared>, commands: &[Command]) -> Result<Vec<Value>, EngineError> {
    let replies = shared.router.ask(Lane::Others, Partition::FIRST, commands, shared.until()).await?;
    match replies.iter().find_map(Value::error) {
        Some(words) => Err(Refusal::of(words).to_error()),
        None => Ok(replies),
    }
}

/// All members or fields of a key and their scores or values, by the command that scans such a key. In pages: one
/// reply with all of them would hold up everybody else, and may take longer than a reply may. By cursor, not by
/// rank, so that another node's removals make it skip nothing.
async fn scan(
    shared: &Arc<Shared>,
    command: &str,
    key: &str,
) -> Result<BTreeMap<String, Value>, EngineError> {
    let (mut found, mut cursor) = (BTreeMap::new(), 0);
    loop {
        let page = Command::new(command).arg(key).number(cursor).arg("COUNT").number(SCAN_PAGE);
        let replies = ask(shared, &[page]).await?;
        let Some([next, pairs]) = replies[0].array() else { return Ok(found) };
        for pair in pairs.array().unwrap_or_default().chunks(2) {
            let [name, value] = pair else { continue };
            found.extend(name.text().map(|name| (name.to_owned(), value.clone())));
        }
        cursor = next.number().unwrap_or_default();
        if cursor == 0 {
            return Ok(found);
        }
    }
}

/// The revocations that are kept, in order of expiry.
pub(crate) async fn revocations(shared: &Arc<Shared>) -> Result<Vec<Revocation>, EngineError> {
    let mut found: Vec<Revocation> = Vec::new();
    let mut latest = std::collections::HashMap::new();
    for (member, until) in scan(shared, "ZSCAN", &shared.keys.revocations()).await? {
        let Some(subject) = subject(&member) else { continue };
        let until = time(&until);
        match subject {
            // Each later moment is a member of its own: the latest one holds.
            RevokedLogins::User { user, before } => {
                let of = latest.entry(user).or_insert((before, until));
                *of = (of.0.max(before), of.1.max(until));
            }
            _ => found.push(Revocation { subject, until }),
        }
    }
    let users = latest
        .into_iter()
        .map(|(user, (before, until))| Revocation { subject: RevokedLogins::User { user, before }, until });
    found.extend(users);
    found.sort_by_key(|revocation| revocation.until);
    Ok(found)
}

/// Saves a revocation.
pub(crate) fn revoke(keys: &Keys, revocation: &Revocation, max: usize) -> Vec<Command> {
    let (until, member) = (score(revocation.until), member(&revocation.subject));
    let add = Command::new("ZADD").arg(keys.revocations()).arg(until).arg(member);
    // Beyond the ceiling the one that ends first is forgotten.
    let cut = Command::new("ZREMRANGEBYRANK").arg(keys.revocations()).arg("0").arg(format!("-{}", max + 1));
    vec![add, cut]
}

/// What expires at a time, as Redis sorts it.
fn score(until: u64) -> String {
    if until > NUMBER_MAX { "+inf".to_owned() } else { until.to_string() }
}

fn time(score: &Value) -> u64 {
    score.number().unwrap_or(Revocation::FOREVER)
}

/// The bans that are kept, by subject.
pub(crate) async fn bans(shared: &Arc<Shared>) -> Result<Vec<Ban>, EngineError> {
    let [bans, reasons] = shared.keys.bans();
    let bans = scan(shared, "ZSCAN", &bans).await?;
    let reasons = scan(shared, "HSCAN", &reasons).await?;
    let ban = |(text, until): (String, Value)| {
        let reason = reasons.get(&text).and_then(Value::text).unwrap_or_default().into();
        Some(Ban { subject: text.parse().ok()?, until: time(&until), reason })
    };
    Ok(bans.into_iter().filter_map(ban).collect())
}

/// Saves a ban, in the place of an earlier one.
pub(crate) fn ban(keys: &Keys, ban: &Ban) -> Vec<Command> {
    let ([bans, reasons], subject) = (keys.bans(), ban.subject.to_string());
    let add = Command::new("ZADD").arg(bans).arg(score(ban.until)).arg(&subject);
    vec![add, Command::new("HSET").arg(reasons).arg(subject).arg(ban.reason.as_bytes())]
}

/// Ends bans.
pub(crate) fn lift(keys: &Keys, subjects: &[impl AsRef<str>]) -> Vec<Command> {
    let [bans, reasons] = keys.bans();
    let all =
        |command| subjects.iter().fold(command, |command: Command, subject| command.arg(subject.as_ref()));
    vec![all(Command::new("ZREM").arg(bans)), all(Command::new("HDEL").arg(reasons))]
}

/// Forgets expired revocations, and asks for expired bans.
pub(crate) fn expired(keys: &Keys, wall_ms: u64) -> (Command, Command) {
    let before = format!("({wall_ms}");
    let [bans, _] = keys.bans();
    let revocations = Command::new("ZREMRANGEBYSCORE").arg(keys.revocations()).arg("-inf").arg(&before);
    let over = Command::new("ZRANGEBYSCORE").arg(bans).arg("-inf").arg(before);
    (revocations, over.arg("LIMIT").arg("0").arg("1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocation_without_end_is_never_expired() {
        assert_eq!(score(Revocation::FOREVER), "+inf");
        assert_eq!(time(&Value::Text("inf".into())), Revocation::FOREVER);
        assert_eq!(time(&Value::Text("1700000000000".into())), 1_700_000_000_000);
    }

    #[test]
    fn foreign_members_are_no_revocations() {
        for member in
            ["", "s", "sxyz", "x00000000000000000000000000000001", "u00000000000000000000000000000001"]
        {
            assert_eq!(subject(member), None, "{member}");
        }
    }
}
