//! Counts how often calls were executed, because the page promises that none is executed twice.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use serde::Serialize;

/// How many calls are remembered: several minutes of the page's calls.
const REMEMBERED_MAX: usize = 20_000;

/// What was executed. The page gives each of its calls a payload of its own.
#[derive(Default)]
pub(super) struct Tally(Mutex<Book>);

#[derive(Default)]
struct Book {
    figures: Executions,
    times: HashMap<String, u64>,
    oldest_first: VecDeque<String>,
}

/// How often methods ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Executions {
    /// Altogether.
    executed: u64,
    /// For a call that had been executed before.
    executed_twice: u64,
}

impl Tally {
    /// A method ran with this payload for this session.
    pub(super) fn executed(&self, session: &str, data: &str) {
        let mut book = self.0.lock().expect("nothing panics while it holds the tally");
        let call = format!("{session} {data}");
        let times = book.times.entry(call.clone()).or_default();
        *times += 1;
        let first = *times == 1;
        book.figures.executed += 1;
        if first {
            book.remember(call);
        } else {
            book.figures.executed_twice += 1;
        }
    }

    pub(super) fn figures(&self) -> Executions {
        self.0.lock().expect("nothing panics while it holds the tally").figures
    }
}

impl Book {
    fn remember(&mut self, call: String) {
        self.oldest_first.push_back(call);
        if self.oldest_first.len() > REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.times.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_runs_again_is_counted() {
        let tally = Tally::default();
        tally.executed("s1", "1");
        tally.executed("s1", "2");
        tally.executed("s2", "1");
        assert_eq!(tally.figures(), Executions { executed: 3, executed_twice: 0 });
        tally.executed("s1", "1");
        assert_eq!(tally.figures(), Executions { executed: 4, executed_twice: 1 });
    }

    #[test]
    fn only_so_many_calls_are_remembered() {
        let tally = Tally::default();
        for call in 0..REMEMBERED_MAX + 10 {
            tally.executed("s", &call.to_string());
        }
        assert_eq!(tally.0.lock().unwrap().times.len(), REMEMBERED_MAX);
    }
}
