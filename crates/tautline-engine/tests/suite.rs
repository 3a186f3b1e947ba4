//! The memory engine keeps the engine's promises.

use std::sync::Arc;

use tautline_engine::{
    Engine, EngineLimits, MemoryEngine,
    suite::{Rig, run_all},
};
use tautline_protocol::Limits;

struct InMemory(Arc<MemoryEngine>);

impl Rig for InMemory {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.0) as Arc<dyn Engine>
    }
}

#[test]
fn memory_engine_keeps_every_promise() {
    run_all(&mut || {
        Box::new(InMemory(Arc::new(MemoryEngine::new(
            7,
            &EngineLimits::default(),
            Limits::default().ticket_ms,
        ))))
    });
}
