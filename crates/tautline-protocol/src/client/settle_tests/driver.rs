//! The random driver: see [`super`].

use std::collections::BTreeMap;

use serde_json::{Value, value::to_raw_value};

use super::super::{
    DropCause, Input, NewRequest, Options, OutboxFull, Output, RequestVerb, Session, Settlement,
    SocketClosed, random::Random,
};
use super::device::Device;
use crate::{Now, ReadFrom, packet::Auth};

const SOCKETS_MAX: usize = 2;

/// A socket as the host sees it.
#[derive(Debug, Default)]
struct HostSocket {
    open: bool,
    /// A hello was sent and no welcome given.
    greets: bool,
    told_to_close: Option<u64>,
    ids_sent: Vec<u64>,
}

/// A session, and a host, a server and an app that do what chance says: mostly what helps, sometimes what does not.
pub(super) struct Driver {
    seed: u32,
    pub(super) session: Session,
    random: Random,
    now: Now,
    sockets: BTreeMap<u64, HostSocket>,
    pub(super) requests: BTreeMap<u64, u32>,
    /// How often each outcome and state was seen.
    pub(super) tally: BTreeMap<&'static str, u32>,
    asked_for_login: bool,
    handed_over: BTreeMap<(String, String), u64>,
    options: Options,
    /// With storage: the app may be destroyed at any moment.
    pub(super) device: Option<Device>,
}

impl Driver {
    pub(super) fn new(seed: u32) -> Self {
        let mut random = Random::new(seed.wrapping_mul(2_654_435_761));
        let options = Options {
            outbox_count_max: 1 + chance(&mut random, 12),
            outbox_full: if random.below(2) == 0 {
                OutboxFull::Reject
            } else {
                OutboxFull::DropOldestVolatile
            },
            idle_ms: random.below(2) * 3_000,
            slots: 1 + chance(&mut random, 2),
            background: random.below(2) == 0,
            ..Options::default()
        };
        Self {
            seed,
            session: Session::new(options.clone(), seed),
            options,
            device: None,
            random,
            now: Now::new(0, 1_763_666_000_000),
            sockets: BTreeMap::new(),
            requests: BTreeMap::new(),
            tally: BTreeMap::new(),
            asked_for_login: false,
            handed_over: BTreeMap::new(),
        }
    }

    fn below(&mut self, ceiling: usize) -> usize {
        chance(&mut self.random, ceiling)
    }

    pub(super) fn step(&mut self) {
        let due_ms = self.session.poll_timeout().map_or(0, |due| due.saturating_sub(self.now.mono_ms));
        let waits_for_timer = self.below(4) == 0;
        let wait_ms = if waits_for_timer { due_ms.min(100_000) } else { self.random.below(700) };
        self.now = self.now.plus_ms(wait_ms);
        let text = self.server_text();
        let input = self.input(waits_for_timer, &text);
        self.feed(input);
    }

    pub(super) fn feed(&mut self, input: Input<'_>) {
        if let Input::SocketClosed(closed) = &input {
            self.sockets.remove(&closed.socket);
        }
        self.session.handle_input(self.now, input);
        // Without a device nothing is drawn, so that old seeds stay what they were.
        let end = if self.device.is_some() { self.below(50) } else { usize::MAX };
        if end == 0 {
            return self.destroy(true);
        }
        self.store();
        if end == 1 {
            return self.destroy(false);
        }
        while let Some(output) = self.session.poll_output() {
            self.check(&output);
            if end == 2 {
                return self.destroy(false);
            }
        }
        if end == 3 {
            self.destroy(false);
        }
    }

    fn store(&mut self) {
        if let (Some(device), Some(store)) = (&mut self.device, self.session.poll_store()) {
            device.write(store);
        }
    }

    /// The host destroys the app; `forgets`: before the last input was written down, which then counts for nothing.
    fn destroy(&mut self, forgets: bool) {
        let Some(device) = &mut self.device else { return };
        // What was stored has happened, also where nobody was told.
        while let Some(output) = self.session.poll_output().filter(|_| !forgets) {
            device.note(&output);
            if let Output::Settled { request, .. } = output {
                self.requests.insert(request, 1);
            }
        }
        let stored = device.restart(&mut self.requests, forgets);
        self.count("destroyed");
        self.sockets.clear();
        self.asked_for_login = false;
        self.session = Session::new(self.options.clone(), self.random.bits());
        self.session.handle_input(self.now, Input::Restore(stored));
        self.store();
        while let Some(output) = self.session.poll_output() {
            self.check(&output);
        }
    }

    fn input<'a>(&mut self, waits_for_timer: bool, text: &'a str) -> Input<'a> {
        if waits_for_timer {
            return Input::Timeout;
        }
        if self.asked_for_login && self.below(4) > 0 {
            self.asked_for_login = false;
            return Input::Auth(Auth::Guest { guest: true });
        }
        let socket = self.live_socket();
        let opens = self.sockets.get(&socket).is_some_and(|it| !it.open);
        if opens && self.below(4) > 0 {
            self.sockets.entry(socket).and_modify(|it| it.open = true);
            return Input::SocketOpen { socket };
        }
        match self.below(30) {
            0 => Input::Connect,
            1 if self.below(6) == 0 => Input::AuthFailed { message: None },
            2..=14 => Input::SocketMessage { socket, text },
            15 => {
                let socket = self.sockets.keys().next().copied().unwrap_or(0);
                let cause = Some(DropCause::Refused).filter(|_| self.random.below(2) == 0);
                Input::SocketClosed(SocketClosed { socket, cause, ..SocketClosed::default() })
            }
            16..=22 => self.request(),
            23 => Input::Cancel { request: self.random.below(1 + self.requests.len() as u64) },
            24 | 25 => Input::Subscribe { channel: self.channel(), from: ReadFrom::Start },
            26 => Input::Unsubscribe { channel: self.channel() },
            27 => {
                if self.below(2) == 0 {
                    Input::Hide
                } else {
                    Input::Show
                }
            }
            _ => Input::Network { online: self.below(3) > 0, kind: None, weak: self.below(2) > 0 },
        }
    }

    fn request(&mut self) -> Input<'static> {
        let request = self.requests.len() as u64 + 1;
        self.requests.insert(request, 0);
        let verbs = [RequestVerb::Publish, RequestVerb::Call, RequestVerb::History, RequestVerb::Presence];
        let verb = verbs[self.below(4)];
        if let (Some(device), RequestVerb::History | RequestVerb::Presence) = (&mut self.device, verb) {
            device.ask_mortal(request);
        }
        Input::Request(NewRequest {
            request,
            verb,
            body: to_raw_value(&request).expect("json"),
            ttl_ms: Some(self.random.below(20_000)),
            idempotent: self.below(3) == 0,
            volatile: self.below(3) == 0,
        })
    }

    fn live_socket(&self) -> u64 {
        self.sockets.keys().last().copied().unwrap_or(0)
    }

    fn channel(&mut self) -> String {
        format!("room:{}", self.below(3))
    }

    /// Something a server might say, at a good moment or a bad one, sane or not.
    fn server_text(&mut self) -> String {
        let (small, channel) = (self.random.below(6), self.channel());
        let resumed = self.below(3) > 0;
        let seen = [
            format!(",\"requests_seen\":{small}"),
            String::new(),
            format!(",\"requests_seen\":{}", u64::MAX),
        ];
        let seen = &seen[self.below(40).saturating_sub(37)];
        let byes = [
            "server_restart",
            "overloaded",
            "peer_silent",
            "token_expired",
            "unauthorized",
            "taken_over",
            "bad_packet",
        ];
        let bye = byes[self.below(byes.len())];
        let reconnects = ["now", "later", "later", "now", "never"];
        let reconnect = reconnects[self.below(reconnects.len())];
        let socket = self.live_socket();
        let (greets, ids) =
            self.sockets.get(&socket).map_or((false, Vec::new()), |it| (it.greets, it.ids_sent.clone()));
        let id = if ids.is_empty() { small } else { ids[self.below(ids.len())] };
        let epoch = "e".to_owned();
        let next = self.handed_over.get(&(channel.clone(), epoch)).map_or(1, |last| last.saturating_add(1));
        let topic = if greets && self.below(3) > 0 { 0 } else { self.below(18) };
        match topic {
            0 => {
                self.sockets.entry(socket).and_modify(|it| it.greets = false);
                format!(
                    r#"{{"welcome":{{"session":"s","ticket":"t","ticket_expires_at":1,"resumed":{resumed}{seen},"ping_ms":25000,"pong_ms":8000,"park_ms":1,"max_message_bytes":65536,"now":1,"node":"n","user":"u1","channels":{{"user:u1":{{"epoch":"e","offset":{small},"at":1,"recovering":0}}}}}}}}"#
                )
            }
            1..=6 => {
                format!(r#"{{"id":{id},"ok":{{"epoch":"e","offset":{small},"at":1,"recovering":{small}}}}}"#)
            }
            7 => format!(r#"{{"pub":{{"channel":"{channel}","offset":{next},"at":1,"data":1}}}}"#),
            8 => format!(r#"{{"id":{id},"error":{{"code":"internal","message":""}}}}"#),
            9..=11 => format!(r#"{{"pub":{{"channel":"{channel}","offset":{small},"at":1,"data":1}}}}"#),
            12 => format!(
                r#"{{"gap":{{"channel":"{channel}","reason":"new_epoch","after":1,"cursor":{{"epoch":"e{}","offset":{}}}}}}}"#,
                self.now.mono_ms,
                u64::MAX - small
            ),
            13 => r#"{"challenge":{"code":"ticket_expired","message":""}}"#.to_owned(),
            14 if self.below(4) == 0 => {
                let huge = u64::MAX;
                format!(
                    r#"{{"bye":{{"code":"{bye}","reconnect":"{reconnect}","retry_after_ms":{huge},"attempt":{huge}}}}}"#
                )
            }
            14 if self.below(3) == 0 => {
                format!(r#"{{"id":{small},"bye":{{"code":"{bye}","reconnect":"{reconnect}"}}}}"#)
            }
            15 if self.below(4) == 0 => "{\"pong\":{}}\n\n{\"id\":3".to_owned(),
            _ => "{\"pong\":{}}\n".to_owned(),
        }
    }

    fn check(&mut self, output: &Output) {
        if let Some(device) = &mut self.device {
            device.note(output);
        }
        match output {
            Output::FetchAuth { .. } => self.asked_for_login = true,
            Output::Dial { socket } => {
                let now_ms = self.now.mono_ms;
                self.sockets.retain(|_, it| it.told_to_close.is_none_or(|until| until > now_ms));
                self.sockets.insert(*socket, HostSocket::default());
                assert!(self.sockets.len() <= SOCKETS_MAX, "too many sockets: {:?}", self.sockets);
            }
            Output::Send { socket, text } => self.check_sent(*socket, text),
            Output::CloseSocket { socket } => {
                let until = self.now.mono_ms + Options::default().close_wait_ms;
                let it = self.sockets.get_mut(socket).expect("only a socket that is there is closed");
                assert!(it.told_to_close.replace(until).is_none(), "closed twice");
            }
            Output::Settled { request, result } => {
                self.count(match result {
                    Settlement::Ok(_) => "ok",
                    Settlement::Refused(_) => "refused",
                    Settlement::Local(error) => error.as_str(),
                });
                let times = self.requests.get_mut(request).expect("only what was asked is settled");
                *times += 1;
                assert_eq!(*times, 1, "request {request} settled twice");
            }
            Output::Publication(it) => {
                self.count("publication");
                let last = self.handed_over.insert((it.channel.clone(), it.epoch.clone()), it.offset);
                // A new subscription from the start may read again; within one the offsets rise by one.
                assert!(
                    last.is_none_or(|last| it.offset <= last || it.offset == last + 1),
                    "a hole was handed over"
                );
            }
            Output::State(state) => self.count(state.as_str()),
            _ => {}
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn check_sent(&mut self, socket: u64, text: &str) {
        let it = self.sockets.get_mut(&socket).expect("only a socket that is there is written to");
        assert!(it.open && it.told_to_close.is_none(), "written to a socket that is not open");
        for line in text.lines() {
            let packet: Value = serde_json::from_str(line).expect("every packet is json");
            it.greets |= packet["hello"].is_object();
            if let Some(id) = packet["id"].as_u64().filter(|id| *id < u64::MAX) {
                assert!(it.ids_sent.last().is_none_or(|last| id > *last), "ids do not rise: {id} in {text}");
                it.ids_sent.push(id);
                assert!(
                    packet["seen"].as_u64().is_none_or(|seen| seen < id),
                    "a request that is its own past: {line}"
                );
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the driver's seed was {}", self.seed);
        }
    }
}

fn chance(random: &mut Random, ceiling: usize) -> usize {
    usize::try_from(random.below(ceiling as u64)).expect("a small number")
}
