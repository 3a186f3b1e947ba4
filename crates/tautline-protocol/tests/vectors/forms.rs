//! The json form of the client's inputs and outputs, as `spec/client-session.md` has it.

use serde_json::{Map, Value, json, value::to_raw_value};
use tautline_protocol::{
    ReadFrom,
    client::{
        DropCause, Input, NewRequest, Options, OutboxFull, Output, RequestVerb, Settlement, SocketClosed,
        State, Store, Stored,
    },
};

/// The options that a vector names, over the defaults.
pub fn options(named: &Value) -> Options {
    let mut options = Options::default();
    for (name, value) in named.as_object().expect("options are an object") {
        let number = || value.as_u64().expect("a number");
        match name.as_str() {
            "instance" => options.instance = text(value),
            "client" => options.client = serde_json::from_value(value.clone()).expect("client info"),
            "slots" => options.slots = size(value),
            "background" => options.background = value.as_bool().expect("a bool"),
            "background_after_ms" => options.background_after_ms = number(),
            "probe_ms" => options.probe_ms = number(),
            "connect_timeout_ms" => options.connect_timeout_ms = number(),
            "auth_timeout_ms" => options.auth_timeout_ms = number(),
            "close_wait_ms" => options.close_wait_ms = number(),
            "retry_base_ms" => options.retry_base_ms = number(),
            "retry_max_ms" => options.retry_max_ms = number(),
            "stable_ms" => options.stable_ms = number(),
            "report_ms" => options.report_ms = number(),
            "idle_ms" => options.idle_ms = number(),
            "request_ttl_ms" => options.request_ttl_ms = number(),
            "outbox_count_max" => options.outbox_count_max = size(value),
            "outbox_bytes_max" => options.outbox_bytes_max = size(value),
            "outbox_full" => {
                options.outbox_full = match value.as_str() {
                    Some("drop_oldest_volatile") => OutboxFull::DropOldestVolatile,
                    _ => OutboxFull::Reject,
                }
            }
            "hello_bytes_max" => options.hello_bytes_max = size(value),
            "store_ms" => options.store_ms = number(),
            "store_bytes_max" => options.store_bytes_max = size(value),
            unknown => panic!("no such option: {unknown}"),
        }
    }
    options
}

/// The text of a `socket_message`: as it stands, or made of its packets.
pub fn message_text(input: &Value) -> String {
    if let Some(text) = input["text"].as_str() {
        return text.to_owned();
    }
    let lines = input["packets"].as_array().into_iter().flatten().map(|packet| format!("{packet}\n"));
    lines.collect()
}

/// An input from its json form; `message` is what [`message_text`] gave for it.
pub fn input<'a>(input: &Value, message: &'a str) -> Input<'a> {
    let socket = || input["socket"].as_u64().expect("a socket");
    let channel = || text(&input["channel"]);
    match input["type"].as_str().expect("an input has a type") {
        "connect" => Input::Connect,
        "close" => Input::Close,
        "login" => Input::Login,
        "auth" => Input::Auth(serde_json::from_value(input["auth"].clone()).expect("a login")),
        "auth_failed" => Input::AuthFailed { message: optional_text(&input["message"]) },
        "socket_open" => Input::SocketOpen { socket: socket() },
        "socket_message" => Input::SocketMessage { socket: socket(), text: message },
        "socket_closed" => Input::SocketClosed(SocketClosed {
            socket: socket(),
            code: input["code"].as_i64(),
            reason: optional_text(&input["reason"]),
            message: optional_text(&input["message"]),
            cause: input["cause"].as_str().map(cause),
            held: input["held"] == true,
        }),
        "request" => Input::Request(request(input)),
        "cancel" => Input::Cancel { request: input["request"].as_u64().expect("a number") },
        "subscribe" => {
            let from = input.get("from").cloned().map(|from| serde_json::from_value(from).expect("a place"));
            Input::Subscribe { channel: channel(), from: from.unwrap_or(ReadFrom::Now) }
        }
        "unsubscribe" => Input::Unsubscribe { channel: channel() },
        "handled" => Input::Handled {
            channel: channel(),
            epoch: text(&input["epoch"]),
            offset: input["offset"].as_u64().expect("an offset"),
        },
        "show" => Input::Show,
        "hide" => Input::Hide,
        "network" => Input::Network {
            online: input["online"].as_bool().expect("a bool"),
            kind: optional_text(&input["kind"]),
            weak: input["weak"].as_bool().unwrap_or(false),
        },
        "restore" => Input::Restore(stored(&input["stored"])),
        "store_failed" => Input::StoreFailed,
        "timeout" => Input::Timeout,
        unknown => panic!("no such input: {unknown}"),
    }
}

fn request(input: &Value) -> NewRequest {
    let verbs = [RequestVerb::Publish, RequestVerb::Call, RequestVerb::History, RequestVerb::Presence];
    NewRequest {
        request: input["request"].as_u64().expect("a number"),
        verb: verbs.into_iter().find(|verb| verb.as_str() == input["verb"]).expect("a verb of the app's"),
        body: to_raw_value(&input["body"]).expect("json"),
        ttl_ms: input["ttl_ms"].as_u64(),
        idempotent: input["idempotent"] == true,
        volatile: input["volatile"] == true,
    }
}

/// What the storage held: a session, a text that is none, or nothing.
fn stored(value: &Value) -> Option<Box<Stored>> {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    Stored::parse(&text).ok().map(Box::new)
}

/// What is to be stored: the session as json, or `"clear"`.
pub fn store(store: &Store) -> Value {
    match store {
        Store::Write(text) => present(serde_json::from_str(text).expect("what is stored is json")),
        Store::Clear => json!("clear"),
    }
}

fn cause(word: &str) -> DropCause {
    DropCause::ALL.into_iter().find(|cause| cause.as_str() == word).expect("a cause")
}

/// An output in its json form.
pub fn output(output: &Output) -> Value {
    match output {
        Output::FetchAuth { renew } => json!({"type": "fetch_auth", "renew": renew}),
        Output::Dial { socket } => json!({"type": "dial", "socket": socket}),
        Output::Send { socket, text } => {
            let packets: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("a packet is json")).collect();
            json!({"type": "send", "socket": socket, "packets": packets})
        }
        Output::CloseSocket { socket } => json!({"type": "close_socket", "socket": socket}),
        Output::Settled { request, result } => match result {
            Settlement::Ok(body) => json!({"type": "settled", "request": request, "ok": body}),
            Settlement::Refused(error) => {
                json!({"type": "settled", "request": request, "error": worded(json!(error))})
            }
            Settlement::Local(error) => {
                json!({"type": "settled", "request": request, "error": {"code": error.as_str()}})
            }
        },
        Output::Publication(it) => present(json!({
            "type": "publication", "channel": it.channel, "epoch": it.epoch, "offset": it.offset, "at": it.at,
            "data": it.data, "from": it.from, "tags": it.tags, "redelivered": it.redelivered,
        })),
        Output::Gap(gap) => typed("gap", json!(gap)),
        Output::Subscribed { channel, cursor, recovering, by_server } => present(json!({
            "type": "subscribed", "channel": channel, "cursor": cursor, "recovering": recovering,
            "by_server": by_server.then_some(true),
        })),
        Output::Unsubscribed { channel, code, message } => {
            worded(json!({"type": "unsubscribed", "channel": channel, "code": code, "message": message}))
        }
        Output::Presence(kind, change) => {
            let mut event = typed("presence", json!(change));
            event["kind"] = json!(kind.as_str());
            event
        }
        Output::Welcome(it) => present(json!({
            "type": "welcome", "session": it.session, "user": it.user, "resumed": it.resumed, "node": it.node,
            "now": it.now, "offline_ms": it.offline_ms,
        })),
        Output::Drop(it) => present(json!({
            "type": "drop", "cause": it.cause.as_str(), "online": it.online, "code": it.code, "reason": it.reason,
            "message": it.message,
        })),
        Output::State(state) => {
            let (retry_at, cause) = match state {
                State::Waiting { retry_at } => (Some(*retry_at), None),
                State::Stopped(cause) => (None, Some(cause.as_str())),
                _ => (None, None),
            };
            present(json!({"type": "state", "state": state.as_str(), "retry_at": retry_at, "cause": cause}))
        }
    }
}

fn typed(name: &str, mut object: Value) -> Value {
    object["type"] = json!(name);
    object
}

/// Without a message that is empty: it counts as none.
fn worded(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut().filter(|fields| fields["message"] == "") {
        fields.remove("message");
    }
    object
}

/// Without what is absent. (Payloads that are `null` stay: `data` is never absent.)
fn present(object: Value) -> Value {
    let Value::Object(fields) = object else { return object };
    Value::Object(
        fields.into_iter().filter(|(name, value)| name == "data" || !value.is_null()).collect::<Map<_, _>>(),
    )
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn optional_text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).expect("a size fits")
}
