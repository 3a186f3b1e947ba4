//! A server whose clients are elsewhere, in another language: it is told a line at a time what has come and what time it is,
//! and answers with what leaves.
//!
//! Every order is an object with `at`, the time in virtual milliseconds, and `do`. The answer has `out`, what each connection
//! is sent, and `due`, the time of the next order where nothing comes before. Start at [`Remote::obey`].

use std::{collections::BTreeMap, sync::Arc, task::Waker};

use serde_json::{Value, json};
use tautline_engine::{Answer, Retention, StatRequest, budget::Holder};
use tautline_hub::{HubLimits, NodeLimits, Output, Peer};
use tautline_protocol::{ChannelName, Limits, Now, UserId};

use crate::{
    clock::BEGIN_WALL_MS,
    engine::{EngineKind, EnginePlan},
    server::{Server, ServerConfig},
    socket::Woken,
};

/// The server, and its ends of the connections.
pub struct Remote {
    server: Server,
    peers: BTreeMap<u64, (Peer, Arc<Woken>)>,
}

impl Remote {
    /// A server for the world that an order of `begin` describes.
    fn begin(order: &Value) -> Self {
        let number = |name: &str| order[name].as_u64();
        let (usual, usual_hub) = (Limits::default(), HubLimits::default());
        let protocol = Limits {
            park_ms: number("park_ms").unwrap_or(usual.park_ms),
            ticket_ms: number("ticket_ms").unwrap_or(usual.ticket_ms),
            batch_bytes_max: number("batch_bytes_max").map_or(usual.batch_bytes_max, size),
            ..usual
        };
        let hub = HubLimits {
            tail_entries_max: number("tail_entries_max").map_or(usual_hub.tail_entries_max, size),
            ..usual_hub
        };
        let limits = NodeLimits { protocol, hub, ..NodeLimits::default() };
        let retention = Retention { count: number("keep").map_or(10_000, size), ..Retention::default() };
        let house = ServerConfig { limits, retention, presence: true, ack: true, asks: false };
        let kind = if order["disk"] == true { EngineKind::Disk } else { EngineKind::Memory };
        let plan = EnginePlan { kind, slow_ms: number("slow_ms").unwrap_or(0), drops: 0.0 };
        let seed = number("seed").unwrap_or(0);
        Self { server: Server::new(at(0), seed, house, None, (plan, None)), peers: BTreeMap::new() }
    }

    /// Obeys one order, of the server that is there or of a new one. Gives the answer, as one line.
    ///
    /// # Panics
    /// Where the order is none.
    pub fn obey(there: &mut Option<Self>, order: &str) -> String {
        let order: Value = serde_json::from_str(order).expect("an order is JSON");
        let what = order["do"].as_str().expect("an order says what to do");
        if what == "begin" {
            *there = Some(Self::begin(&order));
        }
        let remote = there.as_mut().expect("the first order is `begin`");
        remote.carry_out(what, &order).to_string()
    }

    fn carry_out(&mut self, what: &str, order: &Value) -> Value {
        let now = at(order["at"].as_u64().unwrap_or(0));
        let connection = order["connection"].as_u64().unwrap_or(0);
        let text = |name: &str| order[name].as_str().unwrap_or_default();
        // What was due meanwhile comes first.
        let mut out = self.settle(now);
        let mut told = Value::Null;
        match what {
            "open" => {
                let woken = Arc::new(Woken::default());
                let peer = self.server.hub.peer(now, Waker::from(Arc::clone(&woken)));
                self.peers.insert(connection, (peer, woken));
            }
            "message" => {
                if let Some((peer, woken)) = self.peers.get_mut(&connection) {
                    peer.handle_message(now, text("text"));
                    woken.wake_now();
                }
            }
            "lost" => {
                if let Some((mut peer, _)) = self.peers.remove(&connection) {
                    peer.handle_lost(now);
                }
            }
            "push" => self.server.publish(now, text("channel"), text("payload"), None),
            "kill" => {
                self.peers.clear();
                told = json!(self.server.restart(0));
            }
            "drain" => self.server.hub.drain(order["spread_ms"].as_u64().unwrap_or(0)),
            "reopen" => self.server.hub.reopen(),
            "truth" => told = self.truth(now, order),
            _ => {}
        }
        out.extend(self.settle(now));
        json!({"out": out, "due": self.due(), "told": told})
    }

    fn due(&self) -> u64 {
        let peers = self.peers.values().map(|(peer, _)| peer.poll_timeout());
        peers.min().unwrap_or(u64::MAX).min(self.server.next_timeout())
    }

    /// Does what is due, until nothing is.
    fn settle(&mut self, now: Now) -> Vec<Value> {
        let mut out = Vec::new();
        let mut is_busy = true;
        while is_busy {
            is_busy = false;
            self.server.advance(now);
            let mut ended = Vec::new();
            for (connection, (peer, woken)) in &mut self.peers {
                let is_due = peer.poll_timeout() <= now.mono_ms;
                if is_due {
                    peer.handle_timeout(now);
                }
                if !woken.take() && !is_due {
                    continue;
                }
                is_busy = true;
                while let Some(output) = peer.poll_output(now) {
                    match output {
                        Output::Message(bytes) => {
                            let text = String::from_utf8_lossy(&bytes);
                            out.push(json!({"connection": connection, "text": text}));
                        }
                        Output::Authenticate(question, reply) => {
                            reply.answer(Server::check(now, &question.auth));
                        }
                        Output::Authorize(question, reply) => {
                            self.server.back_end.authorize(now, &question, reply);
                        }
                        Output::Call(call) => self.server.run_call(now, call),
                        Output::Close { code, reason } => {
                            out.push(json!({"connection": connection, "code": code, "reason": reason}));
                            peer.handle_lost(now);
                            ended.push(*connection);
                            break;
                        }
                    }
                }
            }
            for connection in ended {
                self.peers.remove(&connection);
            }
        }
        out
    }

    /// What really happened: every log, what calls ran, and how far each user has taken a channel.
    fn truth(&mut self, now: Now, order: &Value) -> Value {
        let mut state = self.server.engine.lock();
        let logs: Vec<Value> = state
            .ground_truth
            .logs()
            .into_iter()
            .map(|((channel, epoch), payloads)| json!({"channel": channel, "epoch": epoch, "payloads": payloads}))
            .collect();
        let asked = order["acked"].as_array().into_iter().flatten();
        let acked: Vec<Value> = asked
            .map(|asked| {
                let name = |field: &str| asked[field].as_str().expect("a name");
                let request = StatRequest {
                    channel: ChannelName::parse(name("channel")).expect("a channel's name"),
                    offset: None,
                    user: Some(UserId::parse(name("user")).expect("a user's name")),
                    retention: Retention::default(),
                    holder: Holder::BACK_END,
                    wall_ms: now.wall_ms,
                    answer: Answer::new(|_| {}),
                };
                let looked = state.logs.stat(&request);
                let place = looked.acknowledged.map(|it| json!({"epoch": *it.epoch, "offset": it.offset}));
                json!({"head": looked.log.head, "epoch": *looked.log.epoch, "place": place})
            })
            .collect();
        json!({"logs": logs, "executed": self.server.executed, "acked": acked})
    }
}

fn at(ms: u64) -> Now {
    Now::new(ms, BEGIN_WALL_MS + ms)
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
