//! The server API beyond a single publication: many at once, what it reads, sessions, scopes, problems.

use serde_json::{Value, json};
use tautline_gateway::{ApiKeys, Scope, WebhookCommand, WebhookControl, WebhookState, WebhookStatus};
use tautline_hub::{Access, ChannelRule, PresenceMode, RulePattern};

use crate::{
    api::{send_request, with_key},
    logins::{FAR_AWAY, SECRET, token},
    rig::{Client, Rig, bye, open_to_all},
};

fn call(rig: &Rig, path: &str, body: &Value) -> (u16, Value) {
    send_request(rig, &format!("POST /api/v1/{path}"), &with_key(""), &body.to_string())
}

fn read(rig: &Rig, path: &str) -> (u16, Value) {
    send_request(rig, &format!("GET /api/v1/{path}"), &with_key(""), "")
}

fn log_in(rig: &Rig, claims: &Value) -> (Client, String) {
    let mut client = rig.connect();
    client.send(&json!({"hello": {"v": 1, "auth": {"token": token(claims)}}}));
    let welcome = client.receive()["welcome"].clone();
    (client, welcome["session"].as_str().expect("a session").to_owned())
}

fn user(rig: &Rig, user: &str) -> (Client, String) {
    log_in(rig, &json!({"sub": user, "exp": FAR_AWAY}))
}

fn offsets(answer: &Value) -> Vec<Option<u64>> {
    let results = answer["results"].as_array().expect("results");
    results.iter().map(|result| result["ok"]["offset"].as_u64()).collect()
}

#[test]
fn batch_answers_each_entry_in_order() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let (mut phone, _) = user(&rig, "u42");
    let entries = json!({"entries": [
        {"publish": {"channel": "room:7", "data": 1}},
        {"publish": {"channel": "room:7", "data": 2, "idempotency_key": "order-1"}},
        {"push": {"user": "u42", "data": "hello", "tags": {"lang": "en"}}},
        {"publish": {"channel": "room:7", "data": 3, "idempotency_key": "order-1"}},
        {"publish": {"channel": "room:7", "data": 4}},
    ]});
    let (status, answer) = call(&rig, "batch", &entries);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(offsets(&answer), [Some(1), Some(2), Some(1), None, Some(3)]);
    assert_eq!(
        (&answer["results"][3]["error"]["code"], &answer["results"][3]["error"]["status"]),
        (&json!("conflict"), &json!(409))
    );
    let pushed = phone.receive()["pub"].clone();
    assert_eq!((&pushed["data"], &pushed["tags"]), (&json!("hello"), &json!({"lang": "en"})));
}

#[test]
fn list_of_members_is_no_object() {
    let rig = Rig::serve(open_to_all());
    for (path, body) in [
        ("publish", json!(["room:1", 1, null, null, null, null])),
        ("publish", json!({"channel": "room:1", "data": 1, "expect": ["k3", 1, null]})),
        ("push", json!(["u42", 1, null, null, null])),
        ("batch", json!([[{"publish": {"channel": "room:1", "data": 1}}]])),
        ("batch", json!({"entries": [{"publish": ["room:1", 1, null, null, null, null]}]})),
        ("kick", json!([{"user": "u42"}, null])),
        ("kick", json!({"target": {"label": ["team", "kitchen"]}})),
        ("ban", json!([{"user": "u42"}, null, null])),
        ("forget", json!(["u42"])),
        ("history", json!(["room:1", null, null])),
        ("history", json!({"channel": "room:1", "span": {"after": ["k3", 1, null]}})),
        ("online", json!([["u42"]])),
        ("webhooks/replay", json!(["shop", 1])),
        ("revoke", json!([null, "u42", null, null, null])),
    ] {
        let (status, answer) = call(&rig, path, &body);
        assert_eq!((status, &answer["code"]), (400, &json!("bad_request")), "{path} {body}: {answer}");
    }
    assert_eq!(read(&rig, "bans").1["bans"], json!([]), "nothing has happened");
}

#[test]
fn refused_batch_points_at_the_member_and_publishes_nothing() {
    let rig = Rig::serve(open_to_all());
    let good = json!({"publish": {"channel": "room:7", "data": 1}});
    for (entry, field) in [
        (json!({"publish": {"channel": "a b", "data": 1}}), "/entries/1/publish/channel"),
        (json!({"push": {"user": "", "data": 1}}), "/entries/1/push/user"),
        (json!({"publish": {"channel": "room:7", "data": 1, "tags": []}}), "/entries/1/publish/tags"),
        (
            json!({"publish": {"channel": "room:7", "data": 1, "idempotency_key": ""}}),
            "/entries/1/publish/idempotency_key",
        ),
    ] {
        let (status, answer) = call(&rig, "batch", &json!({"entries": [good, entry]}));
        assert_eq!(
            (status, &answer["code"], &answer["field"]),
            (400, &json!("bad_request"), &json!(field)),
            "{answer}"
        );
        assert_eq!(answer["type"], "/api/docs#bad_request");
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains(field)), "{answer}");
    }
    assert_eq!(call(&rig, "batch", &json!({"entries": []})).0, 400);
    assert_eq!(call(&rig, "batch", &json!({"entries": vec![good; 1001]})).0, 400);
    assert_eq!(rig.gateway.stats().hub.publications, 0);
}

#[test]
fn broadcast_and_push_reach_many() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let (mut one, _) = user(&rig, "u1");
    let (mut two, _) = user(&rig, "u2");
    one.request("subscribe", &json!({"channel": "room:1"}));
    let (status, answer) =
        call(&rig, "broadcast", &json!({"channels": ["room:1", "room:2", "room:1"], "data": "all"}));
    assert_eq!((status, offsets(&answer)), (200, vec![Some(1), Some(1), Some(2)]));
    assert_eq!(one.receive()["pub"]["data"], "all");
    let (status, answer) = call(&rig, "push/many", &json!({"users": ["u1", "u2", "u3"], "data": "you"}));
    assert_eq!((status, offsets(&answer)), (200, vec![Some(1), Some(1), Some(1)]));
    assert_eq!(two.receive()["pub"]["data"], "you");
}

#[test]
fn repeated_broadcast_with_its_key_publishes_once() {
    let rig = Rig::serve(open_to_all());
    let body = json!({"channels": ["room:1", "room:2"], "data": 1, "idempotency_key": "k1"});
    let first = call(&rig, "broadcast", &body);
    assert_eq!((first.0, call(&rig, "broadcast", &body)), (200, first.clone()));
    assert_eq!(rig.gateway.stats().hub.publications, 2);
    let headers = with_key("Idempotency-Key: k2\r\n");
    let both = send_request(&rig, "POST /api/v1/broadcast", &headers, &body.to_string());
    assert_eq!((both.0, &both.1), (200, &first.1), "the key in the body counts");
    let entries = json!({"entries": [{"publish": {"channel": "room:1", "data": 1}}]}).to_string();
    assert_eq!(send_request(&rig, "POST /api/v1/batch", &headers, &entries).0, 400, "its entries have keys");
}

#[test]
fn standing_and_presence_answer_for_each_channel() {
    let everything = ChannelRule {
        subscribe: Access::Any,
        presence: PresenceMode::Roster,
        ..ChannelRule::closed(RulePattern::parse("*").expect("a valid pattern"))
    };
    let rig = Rig::serve(open_to_all().rules(vec![everything]).jwt_hs256(SECRET));
    let (mut one, session) = user(&rig, "u1");
    one.request("subscribe", &json!({"channel": "room:1"}));
    call(&rig, "publish", &json!({"channel": "room:1", "data": 1}));
    let body = json!({"channels": ["room:1", "room:2"]});
    let (status, answer) = call(&rig, "standing", &body);
    assert_eq!(status, 200, "{answer}");
    let standing = |nth: usize| {
        let standing = &answer["results"][nth]["ok"];
        ["head", "kept", "subscribers", "members"].map(|member| standing[member].as_u64())
    };
    assert_eq!(standing(0), [Some(1), Some(1), Some(1), Some(1)], "{answer}");
    assert_eq!(standing(1), [Some(0), Some(0), Some(0), None], "{answer}");
    let (_, answer) = call(&rig, "presence", &body);
    let member = &answer["channels"][0]["members"][0];
    assert_eq!(
        (&member["user"], &member["session"], &member["state"]),
        (&json!("u1"), &json!(session), &json!("online"))
    );
    assert_eq!(
        answer["channels"][1],
        json!({"channel": "room:2", "has_presence": false, "count": 0, "members": []})
    );
}

#[test]
fn sessions_are_listed_shown_and_kicked() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let ((phone, session), (mut pad, _)) = (user(&rig, "u42"), user(&rig, "u42"));
    let (status, page) = read(&rig, "sessions?user=u42&limit=1");
    assert_eq!((status, page["sessions"].as_array().map(Vec::len)), (200, Some(1)), "{page}");
    let after = page["next"].as_str().expect("one more").to_owned();
    let rest = read(&rig, &format!("sessions?user=u42&after={after}")).1;
    assert_eq!((rest["sessions"].as_array().map(Vec::len), rest.get("next")), (Some(1), None), "{rest}");
    let (status, shown) = read(&rig, &format!("sessions/{session}"));
    assert_eq!(
        (status, &shown["session"], &shown["user"], &shown["is_connected"]),
        (200, &json!(session), &json!("u42"), &json!(true))
    );
    let kicked = call(&rig, "kick", &json!({"target": {"session": session}, "message": "out"}));
    assert_eq!(kicked, (200, json!({"sessions": 1})));
    assert_eq!(phone.final_answer(), bye("kicked", 4103, "never"));
    assert_eq!(read(&rig, &format!("sessions/{session}")).0, 404);
    assert_eq!(pad.echo(&json!(1)), 1);
    for query in [
        "sessions?label=kitchen",
        "sessions?user=a*",
        "sessions?user=u42&limit=0",
        "sessions?user=u42&aftr=x",
    ] {
        assert_eq!(read(&rig, query).0, 400, "{query}");
    }
}

#[test]
fn label_selects_sessions_to_disconnect_and_unsubscribe() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let claims = |user: &str, team: &str| json!({"sub": user, "exp": FAR_AWAY, "labels": {"team": team}});
    let (mut cook, _) = log_in(&rig, &claims("u1", "kitchen"));
    let (mut waiter, _) = log_in(&rig, &claims("u2", "floor"));
    for client in [&mut cook, &mut waiter] {
        client.request("subscribe", &json!({"channel": "room:7"}));
    }
    let target = json!({"label": {"name": "team", "value": "kitchen"}});
    let body = json!({"target": target, "channel": "room:7", "message": "the kitchen is closed"});
    assert_eq!(call(&rig, "unsubscribe", &body), (200, json!({"sessions": 1})));
    assert_eq!(cook.receive()["unsubscribed"]["channel"], "room:7");
    assert_eq!(call(&rig, "disconnect", &json!({"target": target})), (200, json!({"sessions": 1})));
    assert_eq!(cook.receive()["bye"]["code"], "server_restart");
    assert_eq!(waiter.echo(&json!(1)), 1);
    assert_eq!(call(&rig, "kick", &json!({"target": {}})).0, 400);
    assert_eq!(call(&rig, "kick", &json!({"target": {"user": "u1", "session": "x"}})).0, 400);
}

#[test]
fn publication_behind_another_head_conflicts() {
    let rig = Rig::serve(open_to_all());
    let (_, first) = call(&rig, "publish", &json!({"channel": "room:7", "data": 1}));
    let head = json!({"epoch": first["epoch"], "offset": 1});
    let body = json!({"channel": "room:7", "data": 2, "expect": head});
    assert_eq!(call(&rig, "publish", &body).1["offset"], 2);
    let (status, refused) = call(&rig, "publish", &body);
    assert_eq!(
        (status, &refused["code"], &refused["head"]["offset"]),
        (409, &json!("conflict"), &json!(2)),
        "{refused}"
    );
    let entries = json!({"entries": [
        {"publish": {"channel": "room:7", "data": 3, "expect": head}},
        {"publish": {"channel": "room:7", "data": 3, "expect": refused["head"]}},
    ]});
    assert_eq!(offsets(&call(&rig, "batch", &entries).1), [None, Some(3)]);
}

#[test]
fn history_is_read_in_both_directions() {
    let rig = Rig::serve(open_to_all());
    for n in 1..=5 {
        call(&rig, "publish", &json!({"channel": "room:7", "data": n, "tags": {"n": n}}));
    }
    let page = |span: Value| {
        let (status, page) = call(&rig, "history", &json!({"channel": "room:7", "span": span, "limit": 2}));
        assert_eq!(status, 200, "{page}");
        let offsets = page["publications"].as_array().expect("a list").iter().map(|it| it["offset"].as_u64());
        (offsets.flatten().collect::<Vec<_>>(), page["more"] == true, page)
    };
    let (newest, more, whole) = page(json!("newest"));
    assert_eq!((newest, more, &whole["head"]), (vec![4, 5], true, &json!(5)));
    assert_eq!(whole["publications"][0]["tags"], json!({"n": 4}));
    let at = |offset: u64| json!({"epoch": whole["epoch"], "offset": offset});
    assert_eq!(page(json!("oldest")).0, [1, 2]);
    assert_eq!(page(json!({"after": at(4)})).0, [5]);
    assert_eq!(page(json!({"before": at(2)})).0, [1]);
    let foreign = json!({"channel": "room:7", "span": {"after": {"epoch": "other", "offset": 1}}});
    let (status, refused) = call(&rig, "history", &foreign);
    assert_eq!((status, &refused["code"]), (409, &json!("gap")));
    assert_eq!(call(&rig, "history", &json!({"channel": "room:7", "span": "newst"})).0, 400);
}

#[test]
fn users_are_online_then_banned_and_forgotten() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let (phone, _) = user(&rig, "u42");
    let states = || {
        let (_, answer) = call(&rig, "online", &json!({"users": ["u42", "u43"]}));
        [0, 1].map(|nth: usize| answer["users"][nth]["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(states(), ["online", "unknown"]);
    let subject = json!({"user": "u42"});
    let ban = json!({"subject": subject, "until": 9_000_000_000_000_u64, "reason": "spam"});
    assert_eq!(call(&rig, "ban", &ban), (200, json!({"sessions": 1})));
    assert_eq!(phone.final_answer(), bye("banned", 4104, "never"));
    let (_, bans) = read(&rig, "bans");
    assert_eq!(bans, json!({"bans": [{"user": "u42", "until": 9_000_000_000_000_u64, "reason": "spam"}]}));
    assert_eq!(states()[0], "offline");
    let lift = || call(&rig, "unban", &json!({"subject": subject})).1["was_banned"].clone();
    assert_eq!([lift(), lift()], [true, false]);
    let (phone, _) = user(&rig, "u42");
    call(&rig, "push", &json!({"user": "u42", "data": 1}));
    assert_eq!(call(&rig, "forget", &json!({"user": "u42"})), (200, json!({"sessions": 1})));
    drop(phone);
    assert_eq!(read(&rig, "users/u42/inbox").1["kept"], 0);
    assert_eq!(call(&rig, "ban", &json!({"subject": {"address": "1.2.3"}})).0, 400);
}

#[test]
fn back_end_subscribes_the_sessions_of_a_user() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let (mut phone, _) = user(&rig, "u42");
    let body = json!({"target": {"user": "u42"}, "channel": "room:7"});
    assert_eq!(call(&rig, "subscribe", &body), (200, json!({"sessions": 1})));
    assert_eq!(phone.receive()["bye"]["code"], "server_restart");
    assert_eq!(call(&rig, "subscribe", &body), (200, json!({"sessions": 0})), "it is subscribed already");
    let inbox = json!({"target": {"user": "u42"}, "channel": "user:u43"});
    assert_eq!(call(&rig, "subscribe", &inbox).0, 400);
}

#[test]
fn stats_count_what_was_done() {
    let rig = Rig::serve(open_to_all());
    let _client = rig.guest();
    call(&rig, "publish", &json!({"channel": "room:7", "data": 1}));
    let (status, stats) = read(&rig, "stats");
    assert_eq!(status, 200);
    assert_eq!(
        (&stats["connections"], &stats["sessions"], &stats["publications"]),
        (&json!(1), &json!(1), &json!(1))
    );
}

/// The operations of the document: method, path, and the scope that each names.
fn operations() -> Vec<(String, String, Option<String>)> {
    let document = tautline_api_document();
    let paths = document["paths"].as_object().expect("paths").clone();
    let of_path = |(path, methods): (String, Value)| {
        let methods = methods.as_object().expect("methods").clone();
        let path = path.replace("{user}", "u42").replace("{session}", "AAAAAAAAAAAAAAAAAAAAAA");
        methods.into_iter().map(move |(method, operation)| {
            let scope = operation["security"][0]["key"][0].as_str().map(str::to_owned);
            (method.to_uppercase(), path.clone(), scope)
        })
    };
    paths.into_iter().flat_map(of_path).collect()
}

fn tautline_api_document() -> Value {
    let rig = Rig::serve(open_to_all());
    let (status, document) = send_request(&rig, "GET /api/v1/openapi.json", "", "");
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    document
}

#[test]
fn key_opens_the_scopes_that_the_document_names() {
    let mut keys = ApiKeys::default();
    let key = |scope: Scope| format!("key-with-one-scope-{}", scope.as_str());
    for scope in Scope::ALL {
        keys.insert(&key(scope), [scope]).expect("a good key");
    }
    let rig = Rig::serve(open_to_all().api_keys(keys));
    let mut refused = 0;
    for (method, path, needed) in operations() {
        let send = |headers: &str| send_request(&rig, &format!("{method} {path}"), headers, "{}");
        let Some(needed) = needed else {
            assert_eq!(send("").0, 200, "{path} needs no key");
            continue;
        };
        assert_eq!(send("").0, 401, "{path}");
        for scope in Scope::ALL {
            let (status, answer) = send(&format!("Authorization: Bearer {}\r\n", key(scope)));
            let is_open = needed == scope.as_str();
            assert_eq!(status == 403, !is_open, "{method} {path} with {scope:?}: {status}");
            if !is_open {
                assert_eq!(answer["code"], "permission_denied");
                refused += 1;
            }
            assert_ne!(status, 405, "{method} {path}");
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn other_methods_of_documented_paths_are_refused() {
    let rig = Rig::serve(open_to_all());
    for (method, path, _) in operations() {
        let other = if method == "POST" { "PUT" } else { "DELETE" };
        let (status, answer) = send_request(&rig, &format!("{other} {path}"), &with_key(""), "{}");
        assert_eq!((status, &answer["code"]), (405, &json!("method_not_allowed")), "{other} {path}");
    }
    assert_eq!(send_request(&rig, "GET /api/v1/other", &with_key(""), "").0, 404);
    assert_eq!(send_request(&rig, "GET /api/v1/other", "", "").0, 401);
}

#[test]
fn list_is_no_body_of_any_operation() {
    let rig = Rig::serve(open_to_all());
    let mut refused = 0;
    for (method, path, _) in operations().into_iter().filter(|(method, ..)| method == "POST") {
        let (status, answer) = send_request(&rig, &format!("{method} {path}"), &with_key(""), "[]");
        let words = answer["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && words.contains("expected an object"), "{path}: {answer}");
        refused += 1;
    }
    assert!(refused > 15, "{refused}");
}

#[test]
fn list_is_no_object_within_a_body() {
    let rig = Rig::serve(open_to_all());
    let publication = json!(["room:1", 1, null, null, null, null]);
    for (path, body, field) in [
        ("batch", json!({"entries": [{"publish": publication}]}), "/entries/0/publish"),
        ("batch", json!({"entries": [{"push": ["u42", 1, null, null, null]}]}), "/entries/0/push"),
        ("kick", json!({"target": {"label": ["team", "kitchen"]}}), "/target/label"),
        ("history", json!({"channel": "room:1", "span": {"after": ["k3", 0, null]}}), "/span/after"),
        ("history", json!({"channel": "room:1", "span": {"before": ["k3", 1, null]}}), "/span/before"),
        ("publish", json!({"channel": "room:1", "data": 1, "expect": ["k3", 0, null]}), "/expect"),
    ] {
        let (status, answer) = call(&rig, path, &body);
        assert_eq!((status, &answer["field"]), (400, &json!(field)), "{path} {body}: {answer}");
    }
    assert_eq!(rig.gateway.stats().hub.publications, 0);
}

#[test]
fn misspelled_member_is_refused() {
    let rig = Rig::serve(open_to_all());
    let (status, answer) = call(&rig, "publish", &json!({"channel": "room:7", "data": 1, "tag": {"a": 1}}));
    assert_eq!((status, &answer["field"]), (400, &json!("/tag")), "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("expected")), "{answer}");
    assert_eq!(call(&rig, "publish", &json!({"channel": "room:7", "data": 1, "expct": {}})).0, 400);
    assert_eq!(call(&rig, "revoke", &json!({"user": "u42", "issued_befor": 5})).0, 400);
}

/// One webhook, which does what it is told.
struct Shop;

impl WebhookControl for Shop {
    fn list(&self) -> Vec<WebhookStatus> {
        self.command("shop", WebhookCommand::Replay { from: 42 }).into_iter().collect()
    }

    fn command(&self, name: &str, command: WebhookCommand) -> Option<WebhookStatus> {
        let (state, offset) = match command {
            WebhookCommand::Replay { from } => (WebhookState::Retrying, from - 1),
            WebhookCommand::Enable => (WebhookState::Active, 41),
            WebhookCommand::Disable => (WebhookState::Off, 41),
        };
        (name == "shop").then(|| WebhookStatus {
            name: name.to_owned(),
            state,
            offset,
            lag: 3,
            lag_ms: 1_200,
            failures: 2,
            retry_in_ms: Some(5_000),
            last_error: Some("the receiver answered 500".to_owned()),
            expired: 0,
            lost: 0,
            waiting: 0,
        })
    }
}

#[test]
fn webhooks_are_listed_replayed_and_switched() {
    let rig = Rig::serve(open_to_all());
    assert_eq!(read(&rig, "webhooks"), (200, json!({"webhooks": []})), "this gateway has none");
    rig.gateway.set_webhooks(Shop);
    let (status, answer) = read(&rig, "webhooks");
    assert_eq!((status, &answer["webhooks"][0]["lag"]), (200, &json!(3)), "{answer}");
    let (status, answer) = call(&rig, "webhooks/replay", &json!({"webhook": "shop", "from": 7}));
    assert_eq!(
        (status, &answer["offset"], &answer["state"]),
        (200, &json!(6), &json!("retrying")),
        "{answer}"
    );
    for (what, state) in [("enable", "active"), ("disable", "off")] {
        let (status, answer) = call(&rig, &format!("webhooks/{what}"), &json!({"webhook": "shop"}));
        assert_eq!((status, &answer["state"]), (200, &json!(state)), "{answer}");
    }
}

#[test]
fn unknown_webhook_is_not_found() {
    let rig = Rig::serve(open_to_all());
    for is_set in [false, true] {
        let (status, answer) = call(&rig, "webhooks/enable", &json!({"webhook": "nobody"}));
        assert_eq!((status, &answer["code"]), (404, &json!("not_found")), "{answer}");
        if !is_set {
            rig.gateway.set_webhooks(Shop);
        }
    }
    let (status, answer) = call(&rig, "webhooks/replay", &json!({"webhook": "shop", "from": -1}));
    assert_eq!((status, &answer["field"]), (400, &json!("/from")), "{answer}");
}
