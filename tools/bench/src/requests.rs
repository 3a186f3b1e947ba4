//! The requests of one connection: their ids, when they were sent, and up to where all of them are settled.

use std::{collections::VecDeque, time::Instant};

use anyhow::Context as _;

/// Replies that a client leaves unseen at most; the protocol asks for `seen` every 256.
const UNSEEN_MAX: u64 = 64;

#[derive(Default)]
pub(super) struct Requests {
    last_id: u64,
    last_seen: u64,
    /// Those behind the last id up to which all are settled; `None` where one is.
    open: VecDeque<Option<Instant>>,
    pub in_flight: usize,
}

/// The marks of a new request.
pub(super) struct Marks {
    pub id: u64,
    /// Said now and then, as clients do.
    pub seen: Option<u64>,
}

impl Requests {
    pub(super) fn ask(&mut self, at: Instant) -> Marks {
        let settled = self.last_id - self.open.len() as u64;
        self.last_id += 1;
        self.open.push_back(Some(at));
        self.in_flight += 1;
        let is_due = settled >= self.last_seen + UNSEEN_MAX;
        if is_due {
            self.last_seen = settled;
        }
        Marks { id: self.last_id, seen: is_due.then_some(settled) }
    }

    /// When the request was sent that is answered now.
    ///
    /// # Errors
    /// When nobody waited for this answer.
    pub(super) fn settle(&mut self, id: u64) -> anyhow::Result<Instant> {
        let first_open = self.last_id + 1 - self.open.len() as u64;
        let index = id.checked_sub(first_open).and_then(|index| usize::try_from(index).ok());
        let asked = index.and_then(|index| self.open.get_mut(index)).and_then(Option::take);
        let asked = asked.with_context(|| format!("an answer to {id}, which nobody waits for"))?;
        self.in_flight -= 1;
        while self.open.front().is_some_and(Option::is_none) {
            self.open.pop_front();
        }
        Ok(asked)
    }
}

impl std::fmt::Display for Marks {
    /// How a packet with these marks begins, up to its verb.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.seen {
            Some(seen) => write!(f, r#"{{"id":{},"seen":{seen},"#, self.id),
            None => write!(f, r#"{{"id":{},"#, self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_stops_at_the_first_open_request() {
        let now = Instant::now();
        let mut requests = Requests { last_id: 1, ..Requests::default() };
        assert_eq!(requests.ask(now).to_string(), r#"{"id":2,"#);
        for id in 3..100 {
            requests.ask(now);
            requests.settle(id).unwrap();
        }
        assert_eq!((requests.in_flight, requests.ask(now).seen), (1, None));
        requests.settle(2).unwrap();
        assert_eq!(requests.ask(now).to_string(), r#"{"id":101,"seen":99,"#);
        assert!(requests.settle(50).unwrap_err().to_string().contains("nobody waits"));
    }
}
