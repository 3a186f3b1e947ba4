//! Clients that hang up where there is nothing to do: they stay down until something is asked, and come back for it.

use tautline_protocol::client::{RequestVerb, State};

use super::World;
use crate::{
    app::Outcome,
    event_log::Event,
    phone::{Ask, HANGS_UP},
};

/// Long enough for a line that is lost by the way to come back, and to hang up again.
const QUIET_MS: u64 = 60_000;

/// Lets every client go idle, and wakes it. Gives how often a client went idle.
///
/// # Panics
/// When a client dials with nothing to do, does not answer, or stays up.
pub(super) fn check(world: &mut World) -> u64 {
    let dials = dials(world);
    world.advance(QUIET_MS);
    assert_eq!(self::dials(world), dials, "a client dialled with nothing to do");
    let mut asked = Vec::new();
    for phone in 0..world.phones.len() {
        let payload = format!("wake {phone}");
        let body = format!(r#"{{"method":"echo","data":"{payload}"}}"#);
        let verb = RequestVerb::Call;
        let ask =
            Ask { verb, body: &body, payload: &payload, ttl_ms: None, idempotent: false, volatile: false };
        asked.push(world.ask(phone, ask));
    }
    world.advance(QUIET_MS);
    for (phone, request) in world.phones.iter().zip(asked) {
        let outcome = phone.app.asked[&request].outcome.as_ref();
        let gave_up = outcome.is_some_and(Outcome::is_unknown);
        assert!(outcome == Some(&Outcome::Ok) || gave_up, "a call did not wake its client: {outcome:?}");
        assert_eq!(phone.state(), State::Idle, "with nothing to do any more");
    }
    let said = world.phones.iter().flat_map(|phone| phone.events.iter().filter_map(Event::sent));
    said.filter(|sent| sent.contains(HANGS_UP)).count() as u64
}

fn dials(world: &World) -> usize {
    world.phones.iter().map(|phone| phone.dialled_at_ms.len()).sum()
}
