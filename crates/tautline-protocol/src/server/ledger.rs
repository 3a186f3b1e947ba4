//! The request ledger of a session: executes each `publish` and `call` at most once, and keeps its reply
//! until the client has seen it (protocol, section 4).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Limits, RequestId};

/// Bytes that a running request counts: room for a short reply, such as an error saying that there is no
/// room.
pub const REPLY_ROOM: usize = 128;

/// The ledger of one session. Holds no memory while no request is running and all replies are seen.
#[derive(Debug)]
pub struct Ledger {
    seen: RequestId,
    highest: RequestId,
    /// False if the session was opened from a ticket alone: earlier requests are not in this ledger.
    complete: bool,
    running: u32,
    open: Option<Box<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    /// In ascending order of ids.
    entries: VecDeque<(RequestId, Entry)>,
    reply_bytes: usize,
    /// Entries without a reply.
    unreplied: usize,
}

#[derive(Debug)]
enum Entry {
    /// To be answered on this connection.
    Running {
        connection: u64,
    },
    Replied(Box<[u8]>),
}

/// A ledger on its way to another node: the replies that it keeps, and whether it misses anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedLedger {
    seen: RequestId,
    highest: RequestId,
    /// False if a repeated request that is not among the replies may have been executed: it was running when the
    /// ledger was handed over, or is missing here.
    complete: bool,
    replies: Vec<(RequestId, String)>,
}

/// The decision for a received request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    Execute,
    /// Sent before, to a node whose ledger is lost: execute it only if it is known not to have been executed.
    InDoubt,
    /// Executed before: the reply.
    Replay(Box<[u8]>),
    /// Still running; the reply goes to this connection when it completes.
    Wait,
    /// The client has settled it already.
    Ignore,
    /// The client leaves too many replies unseen.
    SlowPeer,
}

impl Ledger {
    /// The ledger of a new session.
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: 0, highest: 0, complete: true, running: 0, open: None }
    }

    /// The ledger of a session that another node, or this one long ago, has opened.
    #[must_use]
    pub fn incomplete() -> Self {
        Self { complete: false, ..Self::new() }
    }

    /// The ledger for another node, which has the session from now on. Replies beyond so many bytes are left out:
    /// their requests are in doubt there, and so are those that are running here.
    #[must_use]
    pub fn hand_over(&self, bytes_max: usize) -> HandedLedger {
        let mut handed = HandedLedger {
            seen: self.seen,
            highest: self.highest,
            complete: self.complete && self.running == 0,
            replies: Vec::new(),
        };
        let mut room = bytes_max;
        for (id, entry) in self.open.iter().flat_map(|open| &open.entries) {
            let Entry::Replied(reply) = entry else { continue };
            match (room.checked_sub(reply.len()), std::str::from_utf8(reply)) {
                (Some(left), Ok(text)) => {
                    room = left;
                    handed.replies.push((*id, text.to_owned()));
                }
                _ => handed.complete = false,
            }
        }
        handed
    }

    /// The highest id received or settled. The client numbers new requests above it, so that this ledger does
    /// not ignore them even where it lacks the earlier ones.
    #[must_use]
    pub const fn requests_seen(&self) -> RequestId {
        self.highest
    }

    /// The number of running requests.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// True if `id` must not be executed: it is running, executed or settled.
    #[must_use]
    pub fn knows(&self, id: RequestId) -> bool {
        let entries = self.open.as_ref().map(|open| &open.entries);
        id <= self.seen
            || entries.is_some_and(|entries| entries.binary_search_by_key(&id, |(id, _)| *id).is_ok())
    }

    /// Bytes of kept replies.
    #[must_use]
    pub fn reply_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.reply_bytes)
    }

    /// Bytes that the ledger counts: kept replies, and [`REPLY_ROOM`] for each running request.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.reply_bytes + open.unreplied * REPLY_ROOM)
    }

    /// Whether a reply of this size may be kept beside the others. A short reply, or a single one, always
    /// may.
    #[must_use]
    pub fn may_keep(&self, bytes: usize, limits: &Limits) -> bool {
        let kept = self.reply_bytes();
        bytes <= REPLY_ROOM || kept == 0 || kept + bytes <= limits.replies_unseen_bytes_max
    }

    /// Drops all replies: repeated requests are in doubt from now on, as on a node without this ledger.
    pub fn drop_replies(&mut self) {
        self.complete = false;
        let Some(open) = &mut self.open else { return };
        open.entries.retain(|(_, entry)| matches!(entry, Entry::Running { .. }));
        open.reply_bytes = 0;
        if open.entries.is_empty() {
            self.open = None;
        }
    }

    /// The client has settled everything up to `id`.
    pub fn handle_seen(&mut self, id: RequestId) {
        self.seen = self.seen.max(id);
        self.highest = self.highest.max(self.seen);
        let Some(open) = &mut self.open else { return };
        while let Some((_, entry)) = open.entries.pop_front_if(|(id, _)| *id <= self.seen) {
            match entry {
                Entry::Replied(reply) => open.reply_bytes -= reply.len(),
                Entry::Running { .. } => open.unreplied -= 1,
            }
        }
        if open.entries.is_empty() {
            self.open = None;
        }
    }

    /// Records an idempotent request. False if the client has settled it already: drop it.
    pub fn receive_repeatable(&mut self, id: RequestId) -> bool {
        self.highest = self.highest.max(id);
        id > self.seen
    }

    /// Records a `publish` or `call` received on `connection`. After [`Verdict::Execute`] and
    /// [`Verdict::InDoubt`] it counts as running until [`Ledger::settle`].
    pub fn receive(&mut self, id: RequestId, again: bool, connection: u64, limits: &Limits) -> Verdict {
        if id <= self.seen {
            return Verdict::Ignore;
        }
        let open = self.open.get_or_insert_default();
        let place = match open.entries.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(found) => {
                return match &mut open.entries[found].1 {
                    Entry::Running { connection: asks } => {
                        *asks = connection;
                        Verdict::Wait
                    }
                    Entry::Replied(reply) => Verdict::Replay(reply.clone()),
                };
            }
            Err(place) => place,
        };
        if open.entries.len() >= limits.replies_unseen_max
            || open.reply_bytes >= limits.replies_unseen_bytes_max
        {
            return Verdict::SlowPeer;
        }
        open.entries.insert(place, (id, Entry::Running { connection }));
        open.unreplied += 1;
        self.running += 1;
        self.highest = self.highest.max(id);
        if again && !self.complete { Verdict::InDoubt } else { Verdict::Execute }
    }

    /// Settles a running request with this reply, which is kept until it is seen. Returns the connection that
    /// asked last; `None` if the client did not wait for it.
    pub fn settle(&mut self, id: RequestId, reply: &[u8]) -> Option<u64> {
        self.running = self.running.checked_sub(1).expect("receive() counted this request as running");
        let open = self.open.as_mut()?;
        let found = open.entries.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let entry = &mut open.entries[found].1;
        let Entry::Running { connection } = *entry else { panic!("request {id} settled twice") };
        *entry = Entry::Replied(reply.into());
        open.unreplied -= 1;
        open.reply_bytes += reply.len();
        Some(connection)
    }

    /// Removes a running request that was never started: it counts as not received, and may be sent again.
    /// False if another connection has asked for it since and waits for its reply.
    #[must_use]
    pub fn take_back(&mut self, id: RequestId, connection: u64) -> bool {
        if let Some(open) = &mut self.open
            && let Ok(found) = open.entries.binary_search_by_key(&id, |(id, _)| *id)
        {
            if !matches!(open.entries[found].1, Entry::Running { connection: asks } if asks == connection) {
                return false;
            }
            open.entries.remove(found);
            open.unreplied -= 1;
            if open.entries.is_empty() {
                self.open = None;
            }
        }
        self.running = self.running.checked_sub(1).expect("receive() counted this request as running");
        true
    }
}

impl HandedLedger {
    /// The ledger of the node that has the session now.
    #[must_use]
    pub fn into_ledger(self) -> Ledger {
        let Self { seen, highest, complete, mut replies } = self;
        replies.sort_by_key(|(id, _)| *id);
        let entries: VecDeque<_> =
            replies.into_iter().map(|(id, reply)| (id, Entry::Replied(reply.into_bytes().into()))).collect();
        let bytes =
            |(_, entry): &(RequestId, Entry)| if let Entry::Replied(reply) = entry { reply.len() } else { 0 };
        let reply_bytes = entries.iter().map(bytes).sum();
        let open = (!entries.is_empty()).then(|| Box::new(Open { entries, reply_bytes, unreplied: 0 }));
        Ledger { seen, highest, complete, running: 0, open }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { replies_unseen_max: 3, replies_unseen_bytes_max: 100, ..Limits::default() }
    }

    #[test]
    fn request_executes_once_and_replays_until_seen() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.receive(1, false, 7, &limits()), Verdict::Execute);
        assert!(ledger.knows(1) && !ledger.knows(2));
        assert_eq!(ledger.receive(1, true, 8, &limits()), Verdict::Wait);
        assert_eq!(ledger.settle(1, b"ok"), Some(8), "the connection that asked last is answered");
        assert_eq!(ledger.receive(1, true, 9, &limits()), Verdict::Replay((*b"ok").into()));
        ledger.handle_seen(1);
        assert_eq!(ledger.receive(1, true, 9, &limits()), Verdict::Ignore);
        assert_eq!((ledger.reply_bytes(), ledger.running()), (0, 0));
        assert!(ledger.open.is_none(), "an idle ledger holds no memory");
    }

    #[test]
    fn abandoned_request_settles_without_reply() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.receive(1, false, 7, &limits()), Verdict::Execute);
        ledger.handle_seen(1);
        assert_eq!(ledger.settle(1, b"late"), None);
        assert_eq!((ledger.running(), ledger.reply_bytes()), (0, 0));
    }

    #[test]
    fn unstarted_request_may_be_resent_unless_awaited() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.receive(1, false, 7, &limits()), Verdict::Execute);
        assert!(ledger.take_back(1, 7));
        assert_eq!(ledger.receive(1, true, 8, &limits()), Verdict::Execute);
        assert_eq!(ledger.receive(1, true, 9, &limits()), Verdict::Wait);
        assert!(!ledger.take_back(1, 8), "connection 9 waits");
        assert_eq!(ledger.running(), 1);
        ledger.handle_seen(1);
        assert!(ledger.take_back(1, 9), "the client has abandoned it");
        assert_eq!(ledger.running(), 0);
    }

    #[test]
    fn client_without_seen_is_slow_peer() {
        let mut ledger = Ledger::new();
        for id in 1..=3 {
            assert_eq!(ledger.receive(id, false, 7, &limits()), Verdict::Execute);
            ledger.settle(id, b"x");
        }
        assert_eq!(ledger.receive(4, false, 7, &limits()), Verdict::SlowPeer);
        ledger.handle_seen(1);
        assert_eq!(ledger.receive(4, false, 7, &limits()), Verdict::Execute);
        ledger.settle(4, &[b'x'; 200]);
        ledger.handle_seen(2);
        assert_eq!(ledger.receive(5, false, 7, &limits()), Verdict::SlowPeer, "by bytes too");
    }

    #[test]
    fn running_request_reserves_room_for_short_reply() {
        let mut ledger = Ledger::new();
        for id in 1..=3 {
            assert_eq!(ledger.receive(id, false, 7, &limits()), Verdict::Execute);
        }
        assert_eq!(ledger.held_bytes(), 3 * REPLY_ROOM);
        ledger.settle(2, b"ok");
        assert!(ledger.take_back(3, 7));
        assert_eq!(ledger.held_bytes(), REPLY_ROOM + 2);
        ledger.handle_seen(2);
        assert_eq!(ledger.held_bytes(), 0, "also for abandoned requests");
    }

    #[test]
    fn simultaneous_replies_stay_within_limit() {
        let limits = Limits { replies_unseen_bytes_max: 1_000, ..Limits::default() };
        let mut ledger = Ledger::new();
        for id in 1..=3 {
            assert_eq!(ledger.receive(id, false, 7, &limits), Verdict::Execute);
        }
        assert!(ledger.may_keep(2_000, &limits), "alone");
        ledger.settle(1, &[b'x'; 600]);
        assert!(ledger.may_keep(400, &limits) && !ledger.may_keep(401, &limits));
        ledger.settle(2, &[b'x'; 400]);
        assert!(ledger.may_keep(REPLY_ROOM, &limits), "an error always");
    }

    #[test]
    fn dropped_reply_is_in_doubt_when_repeated() {
        let mut ledger = Ledger::new();
        for id in 1..=2 {
            assert_eq!(ledger.receive(id, false, 7, &limits()), Verdict::Execute);
        }
        ledger.settle(1, b"ok");
        ledger.drop_replies();
        assert_eq!((ledger.reply_bytes(), ledger.running()), (0, 1));
        assert_eq!(ledger.receive(1, true, 8, &limits()), Verdict::InDoubt);
        assert_eq!(ledger.receive(2, true, 8, &limits()), Verdict::Wait, "it still runs");
        assert_eq!(ledger.requests_seen(), 2);
    }

    #[test]
    fn repeated_request_in_lost_ledger_is_in_doubt() {
        let mut ledger = Ledger::incomplete();
        assert_eq!(ledger.requests_seen(), 0);
        assert_eq!(ledger.receive(5, true, 7, &limits()), Verdict::InDoubt);
        assert_eq!(ledger.receive(6, false, 7, &limits()), Verdict::Execute);
    }

    #[test]
    fn handed_over_ledger_replays_replies() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.receive(1, false, 7, &limits()), Verdict::Execute);
        ledger.settle(1, b"ok");
        ledger.handle_seen(0);
        let mut handed = ledger.hand_over(100).into_ledger();
        assert_eq!((handed.reply_bytes(), handed.requests_seen()), (2, 1));
        assert_eq!(handed.receive(1, true, 8, &limits()), Verdict::Replay((*b"ok").into()));
        assert_eq!(handed.receive(2, true, 8, &limits()), Verdict::Execute, "the other node had all of them");
    }

    #[test]
    fn request_running_at_hand_over_is_in_doubt() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.receive(1, false, 7, &limits()), Verdict::Execute);
        let mut handed = ledger.hand_over(100).into_ledger();
        assert_eq!(handed.receive(1, true, 8, &limits()), Verdict::InDoubt);
        assert_eq!((handed.running(), handed.held_bytes()), (1, REPLY_ROOM));
    }

    #[test]
    fn reply_without_room_at_hand_over_is_in_doubt() {
        let mut ledger = Ledger::new();
        for id in 1..=2 {
            assert_eq!(ledger.receive(id, false, 7, &limits()), Verdict::Execute);
            ledger.settle(id, &[b'x'; 60]);
        }
        let mut handed = ledger.hand_over(100).into_ledger();
        assert!(matches!(handed.receive(1, true, 8, &limits()), Verdict::Replay(_)));
        assert_eq!(
            handed.receive(2, true, 8, &limits()),
            Verdict::InDoubt,
            "there was no room for its reply"
        );
    }

    #[test]
    fn highest_id_includes_repeatable_and_seen_requests() {
        let mut ledger = Ledger::new();
        assert!(ledger.receive_repeatable(4));
        assert_eq!(ledger.requests_seen(), 4);
        ledger.handle_seen(9);
        assert_eq!(ledger.requests_seen(), 9);
        assert!(!ledger.receive_repeatable(9));
    }

    #[test]
    fn incomplete_ledger_reports_ignored_ids() {
        let mut ledger = Ledger::incomplete();
        ledger.handle_seen(6);
        assert_eq!(ledger.requests_seen(), 6);
        let next = ledger.requests_seen() + 1;
        assert_eq!(ledger.receive(next - 1, false, 7, &limits()), Verdict::Ignore);
        assert_eq!(ledger.receive(next, false, 7, &limits()), Verdict::Execute);
    }

    #[test]
    #[should_panic(expected = "receive() counted")]
    fn settling_what_was_never_received_is_a_broken_promise() {
        Ledger::new().settle(1, b"ok");
    }
}
