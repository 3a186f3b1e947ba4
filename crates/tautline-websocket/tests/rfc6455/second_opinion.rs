//! The same streams read by an independent implementation: both hear the same, and give up at the same frame.

use tautline_websocket::{Role, WebSocketError};

use crate::{
    common::{Heard, Rng, read_all},
    independent::other_hears,
    streams::{MESSAGE_BYTES_MAX, stream},
};

#[test]
fn another_implementation_hears_the_same_and_gives_up_at_the_same_frame() {
    let mut refused = 0;
    for seed in 0..3000 {
        let mut rng = Rng(seed);
        let role = [Role::Server, Role::Client][rng.below(2)];
        let mut stream = stream(&mut rng, role);
        let mut heard = read_all(role, MESSAGE_BYTES_MAX, [&stream[..]]);
        let error = heard.pop_if(|last| matches!(last, Heard::Failed(_)));
        if matches!(error, Some(Heard::Failed(WebSocketError::LengthNotMinimal(_)))) {
            // The other one is lenient here.
            continue;
        }
        if error.is_some() {
            refused += 1;
            // It judges a frame when the last byte is there.
            stream.extend([0; 2 * MESSAGE_BYTES_MAX]);
        }
        assert_eq!(
            other_hears(role, MESSAGE_BYTES_MAX, &stream),
            (heard, error.is_some()),
            "seed {seed}: {error:?}"
        );
    }
    assert!((500..2500).contains(&refused), "both kinds of stream are to be tried: {refused} were refused");
}
