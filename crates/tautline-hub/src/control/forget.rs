//! Forgets a user, for a person who asks for it.
//!
//! Start at [`Control::forget_user`].

use tautline_engine::{Answer, EngineError, ForgetUser, Job};
use tautline_protocol::{ByeCode, ChannelName, Now, UserId, packet::ErrorBody, packet::server::Bye};

use super::{Control, ControlMessage, Target};

impl Control {
    /// Forgets a user: its sessions end (`bye{kicked}`) and leave all rosters, its inbox is emptied, its acknowledged
    /// positions and the moment when it was last seen are forgotten. `done` is called once, from any thread, when the
    /// engine can no longer bring it back, and gives how many sessions ended. Repeating it is harmless; a login of
    /// the user afterwards begins anew.
    ///
    /// What remains: publications of the user in other channels, with its id in `from`; the name of its inbox, until
    /// the empty log is forgotten (`ticket_ms` after its last publication); a ban of the user; events about it in
    /// internal logs, as long as these keep them; and on a disk what SQLite has not overwritten yet.
    pub fn forget_user(
        &self,
        now: Now,
        user: &UserId,
        done: impl FnOnce(Result<usize, ErrorBody>) + Send + 'static,
    ) {
        let hub = &self.0;
        hub.observe_time(now);
        // First, so that nothing is added behind the engine's back.
        let (target, message) = (Target::User(user.clone()), "the user was forgotten".to_owned());
        hub.tell_nodes(&ControlMessage::Kick { target, message: message.clone() });
        let bye = || Bye::new(ByeCode::Kicked, message.clone());
        let ended = hub.for_each_meant(&Target::User(user.clone()), |live| {
            hub.keep_kicked(live.kick(hub, now, bye()));
        });
        hub.acks().forget(user);
        hub.last_seen().forget(user);
        if let Some(events) = hub.events_at(now) {
            events.inbox_forgotten(user);
        }
        let inbox = ChannelName::of_user(user).ok();
        let of = hub.clone();
        let answer = Answer::new(move |forgotten: Result<(), EngineError>| {
            // What of the inbox is in memory goes with the log.
            if let Some(open) = inbox.and_then(|inbox| of.find_channel(&inbox)) {
                of.restat(&open);
            }
            done(forgotten.map(|()| ended).map_err(|error| error.to_body()));
        });
        hub.engine().submit(Job::ForgetUser(ForgetUser { user: user.clone(), answer }));
    }
}
