//! The server's side of a world: the hub, its engine, its methods and its back end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::value::RawValue;
use tautline_engine::Retention;
use tautline_hub::{
    Access, CallRequest, ChannelRule, Hub, HubConfig, Identity, LoginRefused, NodeLimits, PresenceMode,
    PublishOptions, RulePattern,
};
use tautline_netem::Rng;
use tautline_protocol::{
    ChannelName, Now, UserId,
    packet::{Auth, ErrorBody, server::Published},
};

use crate::{
    app::payload_of,
    back_end::BackEnd,
    engine::{EnginePlan, SimEngine},
    event_log::EventSink,
};

/// The hub and what surrounds it.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) engine: Arc<SimEngine>,
    pub(crate) back_end: BackEnd,
    /// How often each call was executed, by its payload.
    pub(crate) executed: BTreeMap<String, u32>,
    config: HubConfig,
    seed: u64,
    /// How often the process was started.
    pub(crate) incarnations: u64,
    method_ms: Option<u64>,
    calls: Vec<(u64, CallRequest)>,
    next_tick: u64,
    rng: Rng,
    pushed: Arc<Mutex<BTreeMap<String, Pushed>>>,
}

/// What a server is configured with.
pub(crate) struct ServerConfig {
    pub(crate) limits: NodeLimits,
    pub(crate) retention: Retention,
    /// Channels tell who is there.
    pub(crate) presence: bool,
    /// Channels keep how far everybody got.
    pub(crate) ack: bool,
    /// The back end is asked for every permission, and is unreliable.
    pub(crate) asks: bool,
}

/// What became of what the back end published.
pub type Pushed = Result<Published, ErrorBody>;

impl Server {
    pub(crate) fn new(
        now: Now,
        seed: u64,
        config: ServerConfig,
        method_ms: Option<u64>,
        (plan, event_sink): (EnginePlan, Option<EventSink>),
    ) -> Self {
        let ServerConfig { limits, retention, presence, ack, asks } = config;
        let access = if asks { Access::Backend } else { Access::Any };
        let rule = |pattern: &str| ChannelRule {
            subscribe: access,
            publish: access,
            presence: if presence { PresenceMode::Events } else { PresenceMode::Off },
            retention,
            ack,
            ..ChannelRule::closed(RulePattern::parse(pattern).expect("valid"))
        };
        let engine = SimEngine::new(plan, seed, &limits, event_sink);
        let config = HubConfig {
            limits,
            rules: vec![rule("user:*"), rule("*")],
            node: "sim".into(),
            ticket_keys: vec![[7; 32]],
            login_sources: vec![0],
            idempotent_methods: Default::default(),
        };
        Self {
            hub: make_hub(config.clone(), &engine, seed, 0),
            engine,
            back_end: BackEnd::new(seed, asks),
            executed: BTreeMap::new(),
            config,
            seed,
            incarnations: 0,
            method_ms,
            calls: Vec::new(),
            next_tick: now.mono_ms + 1000,
            rng: Rng::stream(seed, 77),
            pushed: Arc::default(),
        }
    }

    pub(crate) fn next_timeout(&self) -> u64 {
        let call = self.calls.iter().map(|(due, _)| *due).min().unwrap_or(u64::MAX);
        call.min(self.next_tick).min(self.engine.next_timeout()).min(self.back_end.next_timeout())
    }

    /// The process is killed, and a new one takes its place: what the engine stored, the keys of tickets and the configuration
    /// are all that it inherits. `commits`: so many appends that wait are still done. Returns how many publications are lost.
    pub(crate) fn restart(&mut self, commits: u64) -> usize {
        self.incarnations += 1;
        self.calls.clear();
        let lost = self.engine.crash(commits);
        self.hub = make_hub(self.config.clone(), &self.engine, self.seed, self.incarnations);
        lost
    }

    /// The back end publishes; with a key, it may do so again.
    pub(crate) fn publish(&self, now: Now, channel: &str, payload: &str, key: Option<&str>) {
        let name = ChannelName::parse(channel).expect("a valid name");
        let data = RawValue::from_string(format!("\"{payload}\"")).expect("payloads need no escapes");
        let options = PublishOptions { idempotency_key: key, ..PublishOptions::default() };
        let (pushed, payload) = (Arc::clone(&self.pushed), payload.to_owned());
        self.hub.publish(now, &name, &data, options, move |result| {
            pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(payload, result);
        });
    }

    /// What the back end was told of its publications since the last time.
    pub(crate) fn take_pushed(&self) -> BTreeMap<String, Pushed> {
        std::mem::take(&mut *self.pushed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A method begins to run.
    pub(crate) fn run_call(&mut self, now: Now, call: CallRequest) {
        *self.executed.entry(payload_of(&call.data)).or_default() += 1;
        let by_chance_ms = if self.rng.chance(0.7) { 0 } else { self.rng.between(1, 3000) };
        let takes_ms = self.method_ms.unwrap_or(by_chance_ms);
        self.calls.push((now.mono_ms + takes_ms, call));
    }

    /// Does what is due: lets the engine work, ends methods, ticks the hub, pumps notifications.
    pub(crate) fn advance(&mut self, now: Now) {
        self.engine.work(now.mono_ms);
        self.back_end.advance(now);
        self.back_end.meddle(now, &self.hub);
        if now.mono_ms >= self.next_tick {
            self.hub.tick(now);
            self.next_tick = now.mono_ms + 1000;
        }
        if self.calls.iter().any(|(at, _)| *at <= now.mono_ms) {
            self.end_calls(now);
        }
        while self.hub.pump() {}
    }

    fn end_calls(&mut self, now: Now) {
        let (due, waiting) =
            std::mem::take(&mut self.calls).into_iter().partition(|(at, _)| *at <= now.mono_ms);
        self.calls = waiting;
        for (_, call) in due {
            // A method that gives up now and then: its reply is dropped, and must settle all the same.
            if self.method_ms.is_none() && self.rng.chance(0.02) {
                drop(call.reply_to);
                continue;
            }
            self.hub.answer(call.reply_to, Ok(&call.data));
        }
    }

    /// Checks a login: guests come in, the token `good`, and tokens of the form `user:<name>`. Behind a `~` it may say for how
    /// many milliseconds it is good from now on.
    pub(crate) fn check(now: Now, auth: &Auth) -> Result<Identity, LoginRefused> {
        match auth {
            Auth::Guest { guest: true } => Ok(Identity::default()),
            Auth::Token { token } if token == "expired" => Err(LoginRefused::Expired),
            Auth::Token { token } if token == "good" => Ok(Identity::default()),
            Auth::Token { token } => {
                let (token, _) = token.split_once('~').unwrap_or((token, ""));
                let expires_at = life_of_login(auth).map(|life_ms| now.wall_ms + life_ms);
                match token.strip_prefix("user:").map(UserId::parse) {
                    Some(Ok(user)) => Ok(Identity { user: Some(user), expires_at, ..Identity::default() }),
                    _ => Err(LoginRefused::Unauthorized("no".into())),
                }
            }
            _ => Err(LoginRefused::Unauthorized("no".into())),
        }
    }
}

/// For how long a login is good, where it says so, in milliseconds.
pub(crate) fn life_of_login(auth: &Auth) -> Option<u64> {
    let Auth::Token { token } = auth else { return None };
    token.split_once('~')?.1.parse().ok()
}

fn make_hub(config: HubConfig, engine: &Arc<SimEngine>, seed: u64, incarnations: u64) -> Hub {
    let mut hub_seed = [0; 32];
    hub_seed[..8].copy_from_slice(&seed.to_le_bytes());
    hub_seed[8..16].copy_from_slice(&incarnations.to_le_bytes());
    Hub::new(config, Arc::clone(engine) as _, hub_seed)
}
