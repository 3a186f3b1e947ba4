//! The rules of bad networks as people write them: what is refused is refused in words, what is taken makes a network that
//! keeps its promises.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tautline_netem::{Arrival, Fault, Link, Now, Rules, RulesPatch, Storm, StormPlan, Way};

/// Deadlines in a row, at most: a link whose time stands still never comes to an end.
const ROUNDS_MAX: usize = 10_000;
/// A line that never passes anything within a day may still hold what it holds.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lines of json, each a patch of the rules, a fault or a storm.
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut rules = Rules::default();
    let mut line = Line::new(rules.clone());
    for (seed, text) in (0..).zip(text.lines()) {
        if let Some(patch) = read::<RulesPatch>(text) {
            if let Ok(patched) = patch.over(&rules) {
                check_patch(&patch, &rules, &patched);
                rules = patched;
                line.link.set_rules(line.now, rules.clone());
            }
        } else if let Some(fault) = read::<Fault>(text) {
            if fault.validate().is_ok() {
                line.link.apply(line.now, fault);
            }
        } else if let Some(plan) = read::<StormPlan>(text) {
            line.weather(seed, plan);
        }
        line.talk();
    }
    line.link.heal(line.now);
    line.run_dry();
}

/// Reads it, and sees to it that it comes out as it went in.
fn read<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&value).expect("rules serialise");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, value, "from {text}");
    Some(value)
}

fn check_patch(patch: &RulesPatch, before: &Rules, after: &Rules) {
    assert_eq!(after.validate(), Ok(()), "a patch that was taken");
    assert_eq!(patch.over(after).as_ref(), Ok(after), "a patch twice is a patch once");
    assert_eq!(patch.then(patch).over(before).as_ref(), Ok(after), "and so is the sum of it and itself");
}

/// A connection on which numbers go both ways.
struct Line {
    link: Link<Vec<u8>>,
    now: Now,
    sent: [u32; 2],
    arrived: [u32; 2],
}

impl Line {
    fn new(rules: Rules) -> Self {
        Self { link: Link::new(rules, 1), now: Duration::from_secs(1), sent: [0; 2], arrived: [0; 2] }
    }

    /// Some faults of a storm, in their order.
    fn weather(&mut self, seed: u64, plan: StormPlan) {
        let Ok(storm) = Storm::new(seed, plan) else { return };
        let mut last = Duration::ZERO;
        for scheduled in storm.take(20) {
            assert!(scheduled.at > last, "two scheduled at once");
            last = scheduled.at;
            assert_eq!(scheduled.fault.validate(), Ok(()), "a storm keeps the bounds of faults");
            self.link.apply(self.now, scheduled.fault);
            self.talk();
        }
    }

    /// A word each way, and a little time.
    fn talk(&mut self) {
        for (way, sent) in Way::BOTH.into_iter().zip(0..) {
            let number: &mut u32 = &mut self.sent[sent];
            if self.link.push(self.now, way, number.to_be_bytes().to_vec()).is_ok() {
                *number += 1;
            } else {
                assert!(!self.link.has_room(way), "a pipe with room is never full");
            }
        }
        self.now += Duration::from_millis(30);
        self.take();
    }

    /// Takes what has arrived. What was lost leaves no hole in front of what arrives.
    fn take(&mut self) {
        for (way, index) in Way::BOTH.into_iter().zip(0..) {
            while let Some(arrival) = self.link.poll(self.now, way) {
                if let Arrival::Segment(bytes) = arrival {
                    let number = u32::from_be_bytes(bytes.try_into().expect("four bytes were sent"));
                    let next: &mut u32 = &mut self.arrived[index];
                    assert_eq!(number, *next, "a stream with a hole, or out of order");
                    *next += 1;
                }
            }
        }
    }

    /// Waits until nothing is on its way any more.
    fn run_dry(&mut self) {
        self.take();
        for _ in 0..ROUNDS_MAX {
            let Some(due) = self.link.poll_timeout() else {
                assert!(self.link.is_empty(), "nothing is due and something is on its way");
                return;
            };
            assert!(due > self.now, "due in the past: a shell would turn in circles");
            if due - self.now > PATIENCE {
                return;
            }
            self.now = due;
            self.take();
        }
        panic!("a link without an end");
    }
}
