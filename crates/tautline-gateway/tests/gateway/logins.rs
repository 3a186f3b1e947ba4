//! Logins by token over a WebSocket.

use serde_json::{Value, json};
use tautline_gateway::{Gateway, GatewayBuilder};
use tautline_hub::{Access, ChannelRule, RulePattern};

use crate::rig::{Client, Rig, bye};

pub const SECRET: &str = "a secret of the app and its gateway";
pub const FAR_AWAY: u64 = 4_000_000_000;

fn tokens_only() -> GatewayBuilder {
    let by_token = ChannelRule {
        subscribe: Access::Token,
        publish: Access::Token,
        ..ChannelRule::closed(RulePattern::parse("*").expect("a valid pattern"))
    };
    Gateway::builder().jwt_hs256(SECRET).rules(vec![by_token])
}

pub fn token(claims: &Value) -> String {
    tautline_backend::sign_hs256(claims, SECRET.as_bytes()).expect("it can be signed")
}

fn hello(rig: &Rig, token: &str) -> (Client, Value) {
    let mut client = rig.connect();
    client.send(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
    let answer = client.receive();
    (client, answer)
}

#[test]
fn token_opens_only_the_channels_it_names() {
    let rig = Rig::serve(tokens_only());
    let claims = json!({"sub": "u42", "exp": FAR_AWAY, "channels": ["room:*"]});
    let (mut client, answer) = hello(&rig, &token(&claims));
    assert_eq!(answer["welcome"]["user"], "u42");
    assert!(client.request("subscribe", &json!({"channel": "room:7"}))["ok"].is_object());
    let refused = client.request("subscribe", &json!({"channel": "hall:7"}));
    assert_eq!(refused["error"]["code"], "permission_denied");
}

#[test]
fn foreign_token_is_refused_and_not_echoed() {
    let rig = Rig::serve(tokens_only());
    let foreign = token(&json!({"sub": "u42", "exp": FAR_AWAY})) + "x";
    let (mut client, answer) = hello(&rig, &foreign);
    assert_eq!(answer["bye"]["code"], "unauthorized");
    assert!(!answer.to_string().contains(&foreign));
    assert_eq!(client.receive_close().0, 4102);
    client.expect_eof();
}

#[test]
fn guest_is_refused_where_guests_are_off() {
    let rig = Rig::serve(tokens_only());
    let mut client = rig.connect();
    client.send(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    assert_eq!(client.final_answer(), bye("unauthorized", 4102, "never"));
}
