//! The same streams read by an independent implementation: both hear the same, and give up at the same frame.

use tautline_websocket::{Role, WebSocketError};

use crate::{
    common::{OwnedEvent, Rng, read_all},
    streams::{MESSAGE_BYTES_MAX, stream},
    tungstenite_oracle::tungstenite_events,
};

#[test]
fn another_implementation_hears_the_same_and_gives_up_at_the_same_frame() {
    let mut refused = 0;
    for seed in 0..3000 {
        let mut rng = Rng(seed);
        let role = [Role::Server, Role::Client][rng.below(2)];
        let mut stream = stream(&mut rng, role);
        let mut events = read_all(role, MESSAGE_BYTES_MAX, [&stream[..]]);
        let error = events.pop_if(|last| matches!(last, OwnedEvent::Failed(_)));
        if matches!(error, Some(OwnedEvent::Failed(WebSocketError::LengthNotMinimal(_)))) {
            // The other one is lenient here.
            continue;
        }
        if error.is_some() {
            refused += 1;
            // It judges a frame when the last byte is there.
            stream.extend([0; 2 * MESSAGE_BYTES_MAX]);
        }
        assert_eq!(
            tungstenite_events(role, MESSAGE_BYTES_MAX, &stream),
            (events, error.is_some()),
            "seed {seed}: {error:?}"
        );
    }
    assert!((500..2500).contains(&refused), "both kinds of stream are to be tried: {refused} were refused");
}
