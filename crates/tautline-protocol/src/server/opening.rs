//! The opening of a connection: a hello in time, a limited number of hellos, no packet before it (protocol,
//! section 3).

use crate::{
    ByeCode, Limits, Now, VERSION,
    packet::{Hello, Verb, client::ClientPacket, server::Bye},
};

/// Checks the packets of a connection until its welcome.
#[derive(Debug)]
pub struct Opening {
    deadline_ms: u64,
    hellos: u32,
    challenged: bool,
}

/// The action for a packet that arrives before the welcome.
#[derive(Debug)]
pub enum Step {
    /// Check this hello.
    Hello(Box<Hello>),
    /// Drop the packet: the client sent it behind a challenged hello, and sends it again.
    Ignore,
    /// End the connection.
    Bye(Bye),
}

impl Opening {
    /// For a connection that was just accepted.
    #[must_use]
    pub const fn new(now: Now, limits: &Limits) -> Self {
        Self { deadline_ms: now.mono_ms + limits.hello_ms, hellos: 0, challenged: false }
    }

    /// The deadline, in monotonic milliseconds.
    #[must_use]
    pub const fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// The ticket was invalid: allows time for a login.
    pub const fn challenge(&mut self, now: Now, limits: &Limits) {
        self.challenged = true;
        self.deadline_ms = now.mono_ms + limits.challenge_ms;
    }

    /// The `bye` once the deadline has passed.
    #[must_use]
    pub fn expired(&self) -> Bye {
        if self.challenged {
            Bye::new(ByeCode::ChallengeFailed, "no login followed the challenge")
        } else {
            Bye::new(ByeCode::HelloTimeout, "no `hello` in time")
        }
    }

    /// Decides what to do with a packet.
    pub fn handle_packet(&mut self, packet: ClientPacket<'_>, limits: &Limits) -> Step {
        let Verb::Hello(hello) = packet.verb else {
            return match self.challenged {
                true => Step::Ignore,
                false => Step::Bye(Bye::new(ByeCode::BadPacket, "the first packet must be `hello`")),
            };
        };
        self.hellos += 1;
        if hello.v != VERSION {
            let words = format!("this server speaks version {VERSION}, not {}", hello.v);
            return Step::Bye(Bye::new(ByeCode::UnsupportedVersion, words));
        }
        if self.hellos > limits.hellos_max {
            return Step::Bye(Bye::new(ByeCode::ChallengeFailed, "too many hellos on one connection"));
        }
        Step::Hello(hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_client;

    fn judge(opening: &mut Opening, line: &str) -> Step {
        opening.handle_packet(parse_client(line).expect("a packet"), &Limits::default())
    }

    fn bye_code(step: Step) -> ByeCode {
        match step {
            Step::Bye(bye) => bye.code,
            other => panic!("expected a bye, got {other:?}"),
        }
    }

    #[test]
    fn packet_before_hello_is_bad_packet() {
        let mut opening = Opening::new(Now::default(), &Limits::default());
        assert_eq!(bye_code(judge(&mut opening, r#"{"ping":{}}"#)), ByeCode::BadPacket);
    }

    #[test]
    fn challenged_requests_are_dropped_and_fourth_hello_closes() {
        let limits = Limits::default();
        let mut opening = Opening::new(Now::default(), &limits);
        for _ in 0..3 {
            assert!(matches!(judge(&mut opening, r#"{"hello":{"v":1}}"#), Step::Hello(_)));
            opening.challenge(Now::default(), &limits);
            assert!(matches!(judge(&mut opening, r#"{"id":1,"call":{"method":"m"}}"#), Step::Ignore));
        }
        assert_eq!(bye_code(judge(&mut opening, r#"{"hello":{"v":1}}"#)), ByeCode::ChallengeFailed);
    }

    #[test]
    fn unsupported_version_gets_supported_one() {
        let mut opening = Opening::new(Now::default(), &Limits::default());
        assert_eq!(bye_code(judge(&mut opening, r#"{"hello":{"v":2}}"#)), ByeCode::UnsupportedVersion);
    }

    #[test]
    fn challenge_extends_deadline_for_login() {
        let limits = Limits::default();
        let mut opening = Opening::new(Now::default(), &limits);
        assert_eq!(opening.deadline_ms(), limits.hello_ms);
        assert_eq!(opening.expired().code, ByeCode::HelloTimeout);
        opening.challenge(Now::new(5, 5), &limits);
        assert_eq!(opening.deadline_ms(), 5 + limits.challenge_ms);
        assert_eq!(opening.expired().code, ByeCode::ChallengeFailed);
    }
}
