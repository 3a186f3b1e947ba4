//! What mutated apps and hosts do in a recorded storm: inputs that other storms have none of.
//!
//! Start at [`HostMutator::inject`].

use tautline_netem::Rng;
use tautline_protocol::{
    Cursor, ReadFrom,
    client::{Input, Options, OutboxFull, RequestVerb, SocketClosed},
    packet::Auth,
};

use super::common::{CHANNELS, pick, user_of};
use crate::{phone::Ask, world::World};

/// How long a world goes on after the storm, so that what is under way ends.
const AFTERMATH_MS: u64 = 40_000;
/// Channels that a strange app may want: also such as are called like what every object has.
const ODD_CHANNELS: [&str; 6] = ["room:9", "user:u0", "user:u1", "constructor", "__proto__", "größe:😀"];

/// Strange apps and hosts.
pub(super) struct HostMutator {
    rng: Rng,
    asked: u64,
}

/// The options of a strange phone.
pub(super) fn options(rng: &mut Rng, usual: Options) -> Options {
    let mut options = usual;
    let mut now_and_then = |set: &mut dyn FnMut(&mut Rng)| {
        if rng.chance(0.2) {
            set(rng);
        }
    };
    now_and_then(&mut |_| options.background = false);
    now_and_then(&mut |rng| options.background_after_ms = rng.between(0, 4_500));
    now_and_then(&mut |rng| options.probe_ms = rng.between(300, 4_000));
    now_and_then(&mut |rng| options.connect_timeout_ms = rng.between(500, 15_000));
    now_and_then(&mut |rng| options.retry_base_ms = rng.between(1, 2_000));
    now_and_then(&mut |rng| options.retry_max_ms = rng.between(100, 10_000));
    now_and_then(&mut |rng| options.stable_ms = rng.between(0, 20_000));
    now_and_then(&mut |rng| options.report_ms = rng.between(0, 9_000));
    now_and_then(&mut |rng| options.idle_ms = rng.between(500, 5_000));
    now_and_then(&mut |rng| options.request_ttl_ms = rng.between(100, 60_000));
    now_and_then(&mut |rng| options.outbox_count_max = pick(rng, [1, 3, 40]));
    now_and_then(&mut |rng| options.outbox_bytes_max = pick(rng, [300, 1_000]));
    now_and_then(&mut |_| options.outbox_full = OutboxFull::DropOldestVolatile);
    now_and_then(&mut |rng| options.hello_bytes_max = 16_384 + pick(rng, [0, 150, 300]));
    now_and_then(&mut |rng| options.store_ms = rng.between(0, 5_000));
    now_and_then(&mut |rng| options.store_bytes_max = 1_024 + pick(rng, [0, 500, 1_500, 3_000]));
    options
}

impl HostMutator {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::stream(seed, 12), asked: 0 }
    }

    /// A phone does something that others do not.
    pub(super) fn inject(&mut self, world: &mut World) {
        let phone = usize::try_from(self.rng.below(world.phones.len() as u64)).expect("small");
        let channel = self.channel();
        if world.phones[phone].is_frozen(world.now().mono_ms) {
            return;
        }
        let rng = &mut self.rng;
        match rng.below(22) {
            0 | 1 => {
                let (online, weak) = (rng.chance(0.8), rng.chance(0.5));
                let kind = pick(rng, [None, Some("wifi"), Some("4g")]).map(str::to_owned);
                world.tell(phone, Input::Network { online, kind, weak });
            }
            2 => world.tell(phone, Input::Network { online: true, kind: None, weak: true }),
            3 => {
                let request = rng.between(1, 1 + self.asked);
                world.tell(phone, Input::Cancel { request });
            }
            4..=8 => self.ask(world, phone, channel),
            9 | 10 => {
                let from = self.place(world, phone, channel);
                world.tell(phone, Input::Subscribe { channel: channel.to_owned(), from });
            }
            11 if rng.chance(0.2) => {
                // A line that nobody needs may hang up.
                for channel in CHANNELS.iter().chain(&ODD_CHANNELS) {
                    world.tell(phone, Input::Unsubscribe { channel: (*channel).to_owned() });
                }
            }
            11 => world.tell(phone, Input::Unsubscribe { channel: channel.to_owned() }),
            12 | 13 => world.phones[phone].auth = login(rng, phone),
            14 => world.tell(phone, Input::Connect),
            15 => world.tell(phone, Input::Timeout),
            16 => {
                let (epoch, offset) = (pick(rng, ["e", ""]).to_owned(), rng.below(9));
                world.tell(phone, Input::Handled { channel: channel.to_owned(), epoch, offset });
            }
            17 => {
                let socket = 1000 + rng.below(9);
                world.tell(phone, Input::SocketOpen { socket });
                world.tell(phone, Input::SocketMessage { socket, text: r#"{"pong":{"now":1}}"# });
                world.tell(phone, Input::SocketClosed(SocketClosed { socket, ..SocketClosed::default() }));
            }
            18 => world.tell(phone, Input::AuthFailed { message: Some("not now".into()) }),
            19 => world.tell(phone, Input::Auth(Auth::Guest { guest: true })),
            20 if rng.chance(0.2) && world.phones[phone].device.has_storage() => {
                world.tell(phone, Input::StoreFailed);
            }
            20 if world.phones[phone].device.has_storage() => world.tell(phone, Input::Restore(None)),
            21 if rng.chance(0.03) => world.tell(phone, Input::Close),
            _ => {}
        }
    }

    /// The storm is over: what is under way ends, and some close their line.
    pub(super) fn end(&mut self, world: &mut World) {
        world.heal_engine();
        for phone in 0..world.phones.len() {
            world.heal(phone);
            world.show(phone);
        }
        world.advance(AFTERMATH_MS);
        for phone in 0..world.phones.len() {
            self.ask(world, phone, "room:1");
            if self.rng.chance(0.5) {
                world.tell(phone, Input::Close);
                self.ask(world, phone, "room:1");
            }
        }
        world.advance(AFTERMATH_MS);
    }

    fn ask(&mut self, world: &mut World, phone: usize, channel: &str) {
        self.asked += 1;
        let payload = format!("w{}", self.asked);
        let rng = &mut self.rng;
        let long = if rng.chance(0.03) { 70_000 } else { rng.below(600) };
        let filler =
            pick(rng, ["x", "é", "字", "😀", "\\n"]).repeat(usize::try_from(long).expect("small") / 3);
        let (verb, body) = match rng.below(5) {
            0 => {
                (RequestVerb::History, format!(r#"{{"channel":"{channel}","limit":{}}}"#, rng.between(1, 9)))
            }
            1 => (RequestVerb::Presence, format!(r#"{{"channel":"{channel}"}}"#)),
            2 => (
                RequestVerb::Call,
                format!(r#"{{"method":"echo","data":["{payload}",1.5,null,"{filler}"]}}"#),
            ),
            3 => (RequestVerb::Call, format!(r#"{{"method":"echo","data":"{payload}","timeout_ms":900}}"#)),
            _ => (RequestVerb::Publish, format!(r#"{{"channel":"{channel}","data":"{payload}{filler}"}}"#)),
        };
        let ttl_ms = pick(rng, [None, Some(0), Some(300), Some(5_000), Some(60_000)]);
        let (idempotent, volatile) = (rng.chance(0.3), rng.chance(0.3));
        world.ask(phone, Ask { verb, body: &body, payload: &payload, ttl_ms, idempotent, volatile });
    }

    fn place(&mut self, world: &World, phone: usize, channel: &str) -> ReadFrom {
        let rng = &mut self.rng;
        let made_up = Cursor { epoch: "e".into(), offset: rng.below(9), at: rng.chance(0.5).then_some(7) };
        let stood = world.phones[phone].app.standing.get(channel).cloned();
        pick(
            rng,
            [ReadFrom::Now, ReadFrom::Start, ReadFrom::Acked, ReadFrom::Cursor(stood.unwrap_or(made_up))],
        )
    }

    fn channel(&mut self) -> &'static str {
        let odd = self.rng.chance(0.4);
        if odd { pick(&mut self.rng, ODD_CHANNELS) } else { pick(&mut self.rng, CHANNELS) }
    }
}

fn login(rng: &mut Rng, phone: usize) -> Option<Auth> {
    let token = |token: &str| Some(Auth::Token { token: token.to_owned() });
    match rng.below(6) {
        0 => None,
        1 => token("expired"),
        2 => token(&format!("user:{}", user_of(phone))),
        3 => Some(Auth::Code { code: "c".into(), provider: "wechat".into() }),
        _ => Some(Auth::Guest { guest: true }),
    }
}
