//! The Redis engine on a server that the test starts: the engine's promises, and what fails.

mod asking;
mod failures;
mod nodes;
mod rules;
mod server;
mod topologies;

use std::sync::Arc;

use server::Server;
use tautline_engine::{
    Engine,
    suite::{PROMISES, Rig, run_all},
};
use tautline_redis::{RedisEngine, RedisOptions};

/// A part of a server of its own: a prefix that no other rig has.
struct InRedis {
    engine: Option<Arc<RedisEngine>>,
    options: RedisOptions,
}

impl InRedis {
    fn new(url: &str, number: usize) -> Self {
        let mut options = RedisOptions::new(url.parse().expect("a valid URL"));
        options.prefix = format!("t{number}");
        Self { engine: Some(open(&options)), options }
    }
}

fn open(options: &RedisOptions) -> Arc<RedisEngine> {
    Arc::new(RedisEngine::open(options.clone()).expect("Redis is there"))
}

impl Rig for InRedis {
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
fn redis_engine_keeps_every_promise() {
    let Some(server) = Server::start(&[]) else { return };
    let mut number = 0;
    run_all(&mut || {
        number += 1;
        Box::new(InRedis::new(&server.url(), number))
    });
}

#[test]
fn engine_keeps_rules_of_rented_servers() {
    if !topologies::is_long() {
        return;
    }
    let Some(server) = Server::start(&[]) else { return };
    let (url, rules) = rules::proxy(server.port());
    for (number, (name, promise)) in PROMISES.iter().enumerate() {
        println!("promise: {name}");
        promise(&mut InRedis::new(&url, number));
    }
    let refused = rules.refused.lock().expect("no thread panics");
    assert!(refused.is_empty(), "{refused:?}");
}
