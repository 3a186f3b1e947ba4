//! Hooks: what phones ask goes to the app's back end by HTTP, and its answers come back.

use std::{net::SocketAddr, time::Duration};

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tautline_backend::{Authenticator, AuthenticatorOptions, HookKind, HookOptions, Hooks, Secret};
use tautline_gateway::{Access, ChannelRule, GatewayBuilder, RulePattern};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::rig::{Client, Rig, config, open_to_all};

/// An app's back end. It serves until it is dropped.
struct BackEnd {
    address: SocketAddr,
    _runtime: Runtime,
}

impl BackEnd {
    /// `None` never answers.
    fn new(answer: fn(&Value) -> Option<Value>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let handle = move |Json(body): Json<Value>| async move {
            match answer(&body) {
                Some(answer) => Json(answer),
                None => std::future::pending().await,
            }
        };
        let router = Router::new().route("/", post(handle));
        runtime.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, _runtime: runtime }
    }

    /// Asks it about everything of these kinds, and lets guests in.
    fn hooks(&self, on: impl Into<Vec<HookKind>>) -> Hooks {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let mut hook = HookOptions::new(on, format!("http://{}/", self.address), secret);
        hook.allow_networks = vec!["127.0.0.1/32".parse().expect("a network")];
        // What hangs here hangs to the end of the test.
        hook.timeout = Some(Duration::from_secs(600));
        let mut guests = AuthenticatorOptions::default();
        guests.guests = true;
        let otherwise = Authenticator::new(&guests).expect("guests");
        Hooks::new("", &[hook], otherwise).expect("valid")
    }

    /// A gateway that asks it, and lets guests in.
    fn gateway(&self, on: impl Into<Vec<HookKind>>) -> GatewayBuilder {
        let asks = ChannelRule {
            publish: Access::Backend,
            subscribe: Access::Any,
            ..ChannelRule::closed(RulePattern::parse("*").expect("a pattern"))
        };
        open_to_all().rules(vec![asks]).backend(self.hooks(on))
    }
}

fn publish(client: &mut Client, data: &Value) -> Value {
    client.request("publish", &json!({"channel": "room", "data": data}))
}

#[test]
fn call_without_handler_goes_to_the_back_end() {
    let back_end = BackEnd::new(|body| match body["method"].as_str() {
        Some("sum") => {
            Some(json!({"result": {"data": body["data"][0].as_u64()? + body["data"][1].as_u64()?}}))
        }
        _ => Some(json!({"error": {"code": "sold_out", "message": "tomorrow", "retry_after_ms": 7}})),
    });
    let rig = Rig::serve(back_end.gateway([HookKind::Call]));
    let mut client = rig.guest();
    assert_eq!(client.request("call", &json!({"method": "sum", "data": [2, 3]}))["ok"]["data"], 5);
    let error = client.request("call", &json!({"method": "buy"}))["error"].clone();
    assert_eq!(error, json!({"code": "sold_out", "message": "tomorrow", "retry_after_ms": 7}));
    assert_eq!(client.echo(&json!("here")), "here", "a handler comes first");
}

#[test]
fn hanging_back_end_holds_up_nothing_else() {
    let back_end = BackEnd::new(|_| None);
    let rig = Rig::serve(back_end.gateway([HookKind::Call, HookKind::Publish]));
    let mut client = rig.guest();
    client.send_request("call", &json!({"method": "hang", "timeout_ms": 60_000}));
    client.send_request("publish", &json!({"channel": "room", "data": 1}));
    assert_eq!(client.echo(&json!("here")), "here");
    let other = rig.guest().request("call", &json!({"method": "hang", "timeout_ms": 1}));
    assert_eq!(other["error"]["code"], "timeout");
}

#[test]
fn publishes_that_hang_in_a_hook_delay_no_other_user() {
    const HUNG: usize = 40;
    let back_end = BackEnd::new(|_| None);
    let guarded = ChannelRule {
        publish: Access::Backend,
        ..ChannelRule::closed(RulePattern::parse("guarded:*").expect("a pattern"))
    };
    let open = ChannelRule {
        publish: Access::Any,
        subscribe: Access::Any,
        ..ChannelRule::closed(RulePattern::parse("*").expect("a pattern"))
    };
    let mut config = config();
    config.backend_timeout = Duration::from_secs(600);
    let gateway = back_end.gateway([HookKind::Publish]).config(config);
    let rig = Rig::serve(gateway.rules(vec![guarded, open]));
    let mut reader = rig.guest();
    assert!(reader.request("subscribe", &json!({"channel": "open"}))["ok"].is_object());
    let mut hung: Vec<_> = (0..HUNG).map(|_| rig.guest()).collect();
    for (n, client) in hung.iter_mut().enumerate() {
        client.send_request("publish", &json!({"channel": format!("guarded:{n}"), "data": n}));
        // Behind the publish on the same connection: it waits in the hook, and holds up nothing else of its client.
        assert_eq!(client.echo(&json!(n)), n);
    }
    let mut writer = rig.guest();
    for n in 1..=200 {
        let answer = writer.request("publish", &json!({"channel": "open", "data": n}));
        assert_eq!(answer["ok"]["offset"], n, "{answer}");
        assert_eq!(reader.receive()["pub"]["data"], n);
    }
    // Not one of those that hang was answered before all of these were delivered.
    for (n, client) in hung.iter_mut().enumerate() {
        assert_eq!(client.echo(&json!("last")), "last", "client {n} has heard nothing else");
    }
}

#[test]
fn hook_is_told_the_platform_of_the_client() {
    let back_end = BackEnd::new(|body| Some(json!({"result": {"data": body["client"]}})));
    let rig = Rig::serve(back_end.gateway([HookKind::Call]));
    let mut client = rig.connect();
    let software = json!({"sdk": "js/1", "platform": "wechat", "version": "8.0"});
    client.send(&json!({"hello": {"v": 1, "auth": {"guest": true}, "client": software}}));
    assert!(client.receive()["welcome"].is_object());
    let told = client.request("call", &json!({"method": "any"}))["ok"]["data"].clone();
    assert_eq!(told, json!({"sdk": "js/1", "platform": "wechat"}));
}

#[test]
fn replaced_hooks_answer_the_next_question() {
    let (old, new) = (
        BackEnd::new(|_| Some(json!({"result": {"data": "old"}}))),
        BackEnd::new(|_| Some(json!({"result": {"data": "new"}}))),
    );
    let rig = Rig::serve(old.gateway([HookKind::Call]));
    let mut client = rig.guest();
    let call = json!({"method": "any"});
    assert_eq!(client.request("call", &call)["ok"]["data"], "old");
    rig.gateway.set_backend(new.hooks([HookKind::Call]));
    assert_eq!(client.request("call", &call)["ok"]["data"], "new");
}

#[test]
fn publication_is_appended_as_the_back_end_rewrites_it() {
    let back_end = BackEnd::new(|body| match body["data"].as_str()? {
        "skip" => Some(json!({"result": {"skip": true}})),
        text => Some(json!({"result": {"data": {"said": text}, "tags": {"by": body["kind"]}}})),
    });
    let rig = Rig::serve(back_end.gateway([HookKind::Publish]));
    let mut client = rig.guest();
    assert_eq!(publish(&mut client, &json!("skip"))["ok"]["offset"], 0);
    assert_eq!(publish(&mut client, &json!("hi"))["ok"]["offset"], 1);
    let history = client.request("history", &json!({"channel": "room"}));
    let publications = history["ok"]["publications"].as_array().expect("a list");
    assert_eq!(publications.len(), 1, "{history}");
    assert_eq!(publications[0]["data"], json!({"said": "hi"}));
    assert_eq!(publications[0]["tags"], json!({"by": "publish"}));
}

#[test]
fn back_end_ends_the_connection_of_a_caller() {
    let back_end = BackEnd::new(|_| Some(json!({"disconnect": {"message": "not here"}})));
    let rig = Rig::serve(back_end.gateway([HookKind::Call]));
    let mut client = rig.guest();
    let answer = client.request("call", &json!({"method": "any"}));
    assert_eq!(answer["error"]["code"], "permission_denied");
    let bye = client.receive()["bye"].clone();
    assert_eq!((&bye["code"], &bye["message"]), (&json!("kicked"), &json!("not here")));
}

#[test]
fn back_end_says_who_connects_and_what_it_reads() {
    let back_end = BackEnd::new(|body| {
        assert_eq!(body["login"], json!({"guest": true}));
        Some(json!({"result": {"user": "ali", "subs": ["news"]}}))
    });
    let rig = Rig::serve(back_end.gateway([HookKind::Connect]));
    let (_client, welcome) = rig.guest_with_retries();
    let channels = welcome["channels"].as_object().expect("channels");
    assert!(channels.contains_key("news") && channels.contains_key("user:ali"), "{welcome}");
}
