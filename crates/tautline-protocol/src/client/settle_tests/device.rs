//! What outlives an app, and what must hold across its lives: see [`super`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{Output, Store, Stored};

/// A device, and what a gateway would remember of its client.
#[derive(Default)]
pub(super) struct Device {
    text: Option<String>,
    /// The `publish` and `call` of the session that is open, by id.
    said: BTreeMap<u64, Value>,
    /// Requests that leave no trace when the app ends: nobody would read the answer.
    mortal: BTreeSet<u64>,
}

impl Device {
    pub(super) fn write(&mut self, store: Store) {
        self.text = match store {
            Store::Write(text) => Some(text),
            Store::Clear => None,
        };
    }

    /// A request that is asked for the sake of its answer.
    pub(super) fn ask_mortal(&mut self, request: u64) {
        self.mortal.insert(request);
    }

    /// Takes account of what leaves the session.
    pub(super) fn note(&mut self, output: &Output) {
        match output {
            Output::Welcome(welcome) if !welcome.resumed => self.said.clear(),
            Output::Send { text, .. } => {
                for line in text.lines() {
                    self.hear(serde_json::from_str(line).expect("every packet is json"));
                }
            }
            _ => {}
        }
    }

    fn hear(&mut self, packet: Value) {
        let Some(id) = packet["id"].as_u64() else { return };
        let body = packet.get("publish").or_else(|| packet.get("call")).cloned().unwrap_or_default();
        if let Some(first) = self.said.get(&id) {
            assert_eq!(*first, body, "id {id} means two things");
            assert_eq!(packet["again"], true, "id {id} is said twice as if it were new");
        } else if !body.is_null() {
            self.said.insert(id, body);
        }
    }

    /// The app has ended. Gives what the next one finds, and what is left of `requests`: those that were stored may settle
    /// once more, and no other may still be waiting.
    pub(super) fn restart(&self, requests: &mut BTreeMap<u64, u32>, forgets: bool) -> Option<Box<Stored>> {
        let stored = self.text.as_ref().map(|text| Stored::parse(text).expect("what was stored can be read"));
        let found: BTreeSet<u64> =
            stored.iter().flat_map(Stored::requests).map(|request| request.request).collect();
        let last = requests.keys().last().copied();
        for (request, times) in requests {
            if found.contains(request) {
                *times = 0;
            } else if *times == 0 {
                let excused = self.mortal.contains(request) || (forgets && Some(*request) == last);
                assert!(excused, "request {request} was neither settled nor stored");
                *times = 1;
            }
        }
        stored.map(Box::new)
    }
}
