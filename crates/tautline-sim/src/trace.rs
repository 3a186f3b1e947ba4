//! What a client's session was told in a storm, and what it did about each: a trace, in the form of the vectors.
//!
//! Phones of a recorded world write down every input. [`Life::replayed`] feeds them, from their json, to a new session, which
//! must do what the one in the storm did; `cargo run --example traces` prints them, and TypeScript has to do the same.

#[path = "../../tautline-protocol/tests/vectors/forms.rs"]
mod forms;
mod words;

use serde_json::{Map, Value, json};
use tautline_protocol::{
    Now,
    client::{Input, Options, Output, Session, Store},
};

use crate::clock::BEGIN_WALL_MS;

/// Everything that happened to the sessions of one phone: one life for each app that began on it.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) lives: Vec<Life>,
}

/// What happened to one session.
#[derive(Debug)]
pub(crate) struct Life {
    options: Options,
    seed: u32,
    inputs: Vec<(Now, Value)>,
    /// What the session was seen to do, until the app ended.
    outputs: Vec<Value>,
    stores: Vec<Value>,
}

impl Recorder {
    /// An app begins.
    pub(crate) fn begin(&mut self, options: Options, seed: u32) {
        let (inputs, outputs, stores) = (Vec::new(), Vec::new(), Vec::new());
        self.lives.push(Life { options, seed, inputs, outputs, stores });
    }

    pub(crate) fn note_input(&mut self, now: Now, input: &Input<'_>) {
        let written = words::input(input);
        self.life().inputs.push((now, written));
    }

    pub(crate) fn note_output(&mut self, output: &Output) {
        let written = forms::output(output);
        self.life().outputs.push(written);
    }

    pub(crate) fn note_store(&mut self, store: &Store) {
        let written = forms::store(store);
        self.life().stores.push(written);
    }

    fn life(&mut self) -> &mut Life {
        self.lives.last_mut().expect("an app has begun")
    }
}

impl Life {
    /// The trace: each input with what a new session does about it.
    ///
    /// # Panics
    /// When the new session does anything else than the one in the storm did.
    pub(crate) fn replayed(&self, name: &str) -> Value {
        let written = words::options(&self.options);
        let options = forms::options(&written);
        assert_eq!(options, self.options, "{name}: the options are not what was written");
        let mut session = Session::new(options, self.seed);
        let (mut outputs, mut stores) = (self.outputs.iter(), self.stores.iter());
        let steps: Vec<Value> =
            self.inputs.iter().map(|(now, input)| step(&mut session, *now, input)).collect();
        // The app may have been destroyed in the middle of what its session had to say: it saw the beginning.
        for step in &steps {
            for output in step["out"].as_array().into_iter().flatten() {
                assert!(outputs.next().is_none_or(|seen| seen == output), "{name}: {output} in {step}");
            }
            if let Some(store) = step.get("store") {
                assert!(stores.next().is_none_or(|seen| seen == store), "{name}: {store} in {step}");
            }
        }
        assert_eq!(
            (outputs.next(), stores.next()),
            (None, None),
            "{name}: the session in the storm did more"
        );
        json!({"name": name, "options": written, "seed": self.seed, "steps": steps})
    }
}

/// One step of a vector, which says what `wall_ms` is where the clock had jumped.
fn step(session: &mut Session, now: Now, input: &Value) -> Value {
    let message = forms::message_text(input);
    session.handle_input(now, forms::input(input, &message));
    let mut step = Map::new();
    step.insert("at".into(), json!(now.mono_ms));
    if now.wall_ms != BEGIN_WALL_MS + now.mono_ms {
        step.insert("wall".into(), json!(now.wall_ms));
    }
    step.insert("in".into(), input.clone());
    if let Some(store) = session.poll_store() {
        step.insert("store".into(), forms::store(&store));
    }
    let outputs = std::iter::from_fn(|| session.poll_output()).map(|output| forms::output(&output));
    step.insert("out".into(), outputs.collect());
    step.insert("next".into(), json!(session.poll_timeout()));
    Value::Object(step)
}
