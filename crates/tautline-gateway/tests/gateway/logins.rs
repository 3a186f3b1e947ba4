//! Logins by token, over the line.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tautline_gateway::{Gateway, GatewayBuilder};
use tautline_hub::{Access, ChannelRule, PresenceMode, Retention};
use tautline_protocol::Pattern;

use crate::rig::{Client, Rig, bye};

pub const SECRET: &str = "a secret of the app and its gateway";
pub const FAR_AWAY: u64 = 4_000_000_000;

fn closed_but_for_tokens() -> GatewayBuilder {
    let by_token = ChannelRule {
        pattern: Pattern::parse("*").expect("a valid pattern"),
        subscribe: Access::Token,
        publish: Access::Token,
        presence: PresenceMode::Off,
        retention: Retention::default(),
        ack: false,
    };
    Gateway::builder().jwt_hs256(SECRET).rules(vec![by_token])
}

pub fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("it can be signed")
}

fn hello(rig: &Rig, token: &str) -> (Client, Value) {
    let mut client = rig.connect();
    client.say(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
    let answer = client.hear();
    (client, answer)
}

#[test]
fn a_token_opens_the_channels_that_it_names_and_no_others() {
    let rig = Rig::serve(closed_but_for_tokens());
    let claims = json!({"sub": "u42", "exp": FAR_AWAY, "channels": ["room:*"]});
    let (mut client, answer) = hello(&rig, &token(&claims));
    assert_eq!(answer["welcome"]["user"], "u42");
    assert!(client.request("subscribe", &json!({"channel": "room:7"}))["ok"].is_object());
    let refused = client.request("subscribe", &json!({"channel": "hall:7"}));
    assert_eq!(refused["error"]["code"], "permission_denied");
}

#[test]
fn a_token_of_another_signer_is_refused_and_not_repeated() {
    let rig = Rig::serve(closed_but_for_tokens());
    let foreign = token(&json!({"sub": "u42", "exp": FAR_AWAY})) + "x";
    let (mut client, answer) = hello(&rig, &foreign);
    assert_eq!(answer["bye"]["code"], "unauthorized");
    assert!(!answer.to_string().contains(&foreign));
    assert_eq!(client.hear_close().0, 4102);
    client.expect_hang_up();
}

#[test]
fn a_guest_is_refused_where_guests_are_not_let_in() {
    let rig = Rig::serve(closed_but_for_tokens());
    let mut client = rig.connect();
    client.say(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    assert_eq!(client.last_words(), bye("unauthorized", 4102, "never"));
}
