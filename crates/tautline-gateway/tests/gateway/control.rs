//! Control over real sockets: what an operator does reaches the client as a `bye` and a close frame.

use serde_json::json;
use tautline_hub::Target;

use crate::rig::{Rig, bye, open_to_all};

#[test]
fn kicked_session_gets_bye_and_close_frame() {
    let rig = Rig::serve(open_to_all());
    let (kicked, welcome) = rig.guest_with_retries();
    let (mut other, _) = rig.guest_with_retries();
    let session = welcome["session"].as_str().expect("a session").to_owned();
    let shown = rig.gateway.control(|control, now| control.show(now, &session)).expect("it is here");
    assert!(shown.is_connected && shown.user.is_none());
    let target = Target::Session(session);
    let count = rig.gateway.control(|control, now| control.kick(now, target, "out"));
    assert_eq!(count, 1);
    assert_eq!(kicked.final_answer(), bye("kicked", 4103, "never"));
    assert!(other.request("call", &json!({"method": "echo", "data": 1}))["ok"].is_object());
}
