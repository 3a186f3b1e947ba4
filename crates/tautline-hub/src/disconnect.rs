//! The back end ends the connection of whoever asked.

use tautline_protocol::{ByeCode, Now, packet::server::Bye};

use crate::{ControlMessage, Hub, Target, questions::Disconnect, session::id::SessionId};

impl Hub {
    /// Ends the connection of a session for the back end, after the replies that it has.
    pub fn on_disconnect(&self, now: Now, session: &str, disconnect: &Disconnect) {
        let target = Target::Session(session.to_owned());
        let Disconnect { code, message } = disconnect;
        if *code == ByeCode::Kicked {
            self.on_control(now, &ControlMessage::Kick { target, message: message.clone() });
            return;
        }
        let live = SessionId::parse(session).and_then(|id| self.sessions().get(id));
        if let Some(live) = live.as_ref().and_then(|session| session.live()) {
            live.close_with(|| Bye::new(*code, message.clone()));
        }
    }
}
