//! The disk engine keeps the engine's promises.

mod common;

use std::sync::Arc;

use common::Dir;
use tautline_disk::{DiskEngine, DiskOptions, Durability};
use tautline_engine::{
    Engine,
    suite::{Rig, run_all},
};

struct OnDisk {
    engine: Option<Arc<DiskEngine>>,
    options: DiskOptions,
    _dir: Dir,
}

impl OnDisk {
    fn new(durability: Durability) -> Self {
        let dir = Dir::new();
        let options = DiskOptions { durability, ..dir.options() };
        let engine = open(&options);
        Self { engine: Some(engine), options, _dir: dir }
    }
}

fn open(options: &DiskOptions) -> Arc<DiskEngine> {
    Arc::new(DiskEngine::open(options.clone()).expect("the store opens").0)
}

impl Rig for OnDisk {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().expect("it is open")
    }

    fn reopen(&mut self) -> bool {
        self.engine.take().expect("it is open").close();
        self.engine = Some(open(&self.options));
        true
    }
}

#[test]
fn the_strict_disk_engine_keeps_every_promise() {
    run_all(&mut || Box::new(OnDisk::new(Durability::Strict)));
}

#[test]
fn the_relaxed_disk_engine_keeps_every_promise() {
    run_all(&mut || Box::new(OnDisk::new(Durability::Relaxed)));
}
