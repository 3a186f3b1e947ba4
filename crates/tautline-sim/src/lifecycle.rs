//! What happens to the devices, the server and the engine of a world: apps that are destroyed, clocks that jump, processes that are killed,
//! disks that fail.

use std::collections::BTreeMap;

use tautline_engine::{Answer, Retention, StatRequest, budget::Holder};
use tautline_netem::{Direction, Ending, Fault, Way};
use tautline_protocol::{ChannelName, client::Input};

use crate::{
    device::{CrashPoint, SurvivingState},
    engine::EngineKind,
    world::World,
};

/// What the numbers of a dead app's sockets are raised by, so that the next app can count from 1 again.
const STALE_SOCKETS: u64 = 1 << 32;

impl World {
    /// A phone's app gets storage, as its first fact of all.
    pub fn give_storage(&mut self, phone: usize) {
        self.phones[phone].device.give_storage();
        self.tell(phone, Input::Restore(None));
    }

    /// The host destroys a phone's app; nothing of it lives on but what is stored.
    pub fn destroy(&mut self, phone: usize, moment: CrashPoint) {
        self.phones[phone].device.destroy(moment);
        if !self.phones[phone].device.is_alive() {
            self.abandon_sockets(phone);
        }
    }

    /// True while a phone has an app that runs or may run.
    #[must_use]
    pub fn is_alive(&self, phone: usize) -> bool {
        self.phones[phone].device.is_alive()
    }

    /// The user starts a phone's app again; it wants what it wanted before.
    pub fn launch(&mut self, phone: usize, surviving: SurvivingState) {
        self.destroy(phone, CrashPoint::Now);
        let marks = self.server.engine.lock().plan.kind != EngineKind::Remote;
        let seed = u32::try_from(self.rng.below(1 << 32)).expect("32 bits");
        let now_ms = self.now_ms;
        let it = &mut self.phones[phone];
        let stored = it.device.begin_again(surviving);
        let requests: Option<Vec<u64>> =
            stored.as_ref().map(|stored| stored.requests().iter().map(|it| it.request).collect());
        it.app.begin_again(requests.as_deref(), marks);
        let mut options = it.options.clone();
        options.instance = format!("phone{phone}-{now_ms}-");
        it.begin_again(options, seed);
        let has_storage = it.device.has_storage();
        self.log_event(|| {
            format!("phone {phone}: the app begins again, and finds {surviving:?} (storage: {has_storage})")
        });
        if has_storage {
            self.tell(phone, Input::Restore(stored.map(Box::new)));
        }
        for channel in self.phones[phone].wanted.clone() {
            self.subscribe(phone, &channel, self.from.clone());
        }
        self.tell(phone, Input::Connect);
    }

    /// What an app leaves behind at the server: sockets that are reset, or of which nobody hears again.
    pub(crate) fn abandon_sockets(&mut self, phone: usize) {
        self.log_event(|| format!("phone {phone}: the app is destroyed"));
        let at = self.link_now();
        let silent = self.rng.chance(0.3);
        let sockets = std::mem::take(&mut self.phones[phone].sockets);
        for (number, mut socket) in sockets {
            if !socket.client_done {
                if silent {
                    socket.link.apply(at, Fault::HalfOpen { direction: Direction::Both, for_ms: None });
                } else {
                    socket.link.end(at, Way::Up, Ending::Reset);
                }
            }
            (socket.client_done, socket.reported) = (true, true);
            (socket.open, socket.dial, socket.report_close_at) = (false, None, None);
            self.phones[phone].sockets.insert(number + STALE_SOCKETS, socket);
        }
    }

    /// A wall clock jumps: the server's, or a phone's.
    pub fn jump(&mut self, phone: Option<usize>, ms: i64) {
        self.log_event(|| {
            format!(
                "the clock of {} jumps by {ms} ms",
                phone.map_or("the server".to_owned(), |phone| format!("phone {phone}"))
            )
        });
        match phone {
            Some(phone) => self.phones[phone].clock_off_ms += ms,
            None => self.clock_off_ms += ms,
        }
    }

    /// Every connection is told to come back, spread over `spread_ms`.
    pub fn drain(&mut self, spread_ms: u64) {
        self.drain_and_stay_closed(spread_ms);
        self.reopen();
    }

    /// The server drains, and stays closed until [`World::reopen`].
    pub fn drain_and_stay_closed(&mut self, spread_ms: u64) {
        self.server.hub.drain(spread_ms);
        self.settle();
    }

    /// Clients may come again.
    pub fn reopen(&mut self) {
        self.server.hub.reopen();
        self.settle();
    }

    /// The server's process is killed, and another begins at once: sessions are gone, tickets stay good, and of the logs there
    /// is what the engine has kept.
    pub fn restart(&mut self) {
        self.crash(0);
    }

    /// The same, and so many of the appends that were on their way are done, though nobody is told.
    pub fn crash(&mut self, commits: u64) {
        let at = self.link_now();
        for socket in self.phones.iter_mut().flat_map(|phone| phone.sockets.values_mut()) {
            if socket.peer.take().is_some() {
                socket.link.end(at, Way::Down, Ending::Reset);
            }
        }
        let lost = self.server.restart(commits);
        self.log_event(|| format!("the server is killed and begins again; {lost} publications are lost"));
        self.settle();
    }

    /// The engine does nothing for a while.
    pub fn stall_engine(&mut self, for_ms: u64) {
        self.log_event(|| format!("the disk stalls for {for_ms} ms"));
        self.server.engine.lock().stall(self.now_ms + for_ms);
    }

    /// The engine has no room for a while.
    pub fn fill_engine(&mut self, for_ms: u64) {
        self.log_event(|| format!("the disk is full for {for_ms} ms"));
        self.server.engine.lock().full_until = self.now_ms + for_ms;
    }

    /// The engine refuses every job for a while.
    pub fn miss_engine(&mut self, for_ms: u64) {
        self.log_event(|| format!("the engine is away for {for_ms} ms"));
        self.server.engine.lock().away_until = self.now_ms + for_ms;
    }

    /// A copy of the engine's logs is made, to which [`World::fail_over`] goes back.
    pub fn copy_engine(&mut self) {
        self.log_event(|| "a copy of the logs is made".to_owned());
        self.server.engine.lock().remember();
    }

    /// The copy takes over while the server runs, and nobody says so. Returns how many publications are gone.
    pub fn fail_over(&mut self) -> usize {
        let gone = self.server.engine.fail_over(false);
        self.log_event(|| format!("the copy takes over: {gone} publications are gone"));
        gone
    }

    /// The same, but the copy knows that it is one, and its logs begin a new epoch.
    pub fn fail_over_aloud(&mut self) -> usize {
        let gone = self.server.engine.fail_over(true);
        self.log_event(|| format!("the copy takes over in a new epoch: {gone} publications are gone"));
        gone
    }

    /// Where the engine says that each log stands.
    pub(crate) fn engine_heads(&self) -> BTreeMap<String, u64> {
        let wall_ms = self.now().wall_ms;
        let mut state = self.server.engine.lock();
        let channels: Vec<String> = state.ground_truth.heads().into_keys().collect();
        let head = |channel: String| {
            let request = StatRequest {
                channel: ChannelName::parse(&channel).expect("it was written to"),
                offset: None,
                user: None,
                holder: Holder::BACK_END,
                retention: Retention::default(),
                wall_ms,
                answer: Answer::new(|_| {}),
            };
            (channel, state.logs.stat(&request).log.head)
        };
        channels.into_iter().map(head).collect()
    }

    /// Every fault of the engine ends.
    pub fn heal_engine(&mut self) {
        self.server.engine.lock().heal();
    }
}
