//! Inputs and options in the json form that `spec/client-session.md` gives them: the way back from `forms`.

use serde_json::{Map, Value, json};
use tautline_protocol::client::{Input, NewRequest, Options, OutboxFull, SocketClosed};

/// An input, without what is absent.
pub(super) fn input(input: &Input<'_>) -> Value {
    let (name, fields) = match input {
        Input::Connect => ("connect", json!({})),
        Input::Close => ("close", json!({})),
        Input::Login => ("login", json!({})),
        Input::Auth(auth) => ("auth", json!({"auth": auth})),
        Input::AuthFailed { message } => ("auth_failed", json!({"message": message})),
        Input::SocketOpen { socket } => ("socket_open", json!({"socket": socket})),
        Input::SocketMessage { socket, text } => ("socket_message", json!({"socket": socket, "text": text})),
        Input::SocketClosed(SocketClosed { socket, code, reason, message, cause, held }) => {
            let cause = cause.map(|cause| cause.as_str());
            let held = held.then_some(true);
            let fields = json!({
                "socket": socket, "code": code, "reason": reason, "message": message, "cause": cause, "held": held,
            });
            ("socket_closed", fields)
        }
        Input::Request(new) => ("request", request(new)),
        Input::Cancel { request } => ("cancel", json!({"request": request})),
        Input::Subscribe { channel, from } => ("subscribe", json!({"channel": channel, "from": from})),
        Input::Unsubscribe { channel } => ("unsubscribe", json!({"channel": channel})),
        Input::Handled { channel, epoch, offset } => {
            ("handled", json!({"channel": channel, "epoch": epoch, "offset": offset}))
        }
        Input::Show => ("show", json!({})),
        Input::Hide => ("hide", json!({})),
        Input::Network { online, kind, weak } => {
            ("network", json!({"online": online, "kind": kind, "weak": weak}))
        }
        // `null` is what an empty storage holds, and so no field to leave out.
        Input::Restore(stored) => return json!({"type": "restore", "stored": stored}),
        Input::StoreFailed => ("store_failed", json!({})),
        Input::Timeout => ("timeout", json!({})),
    };
    let mut written = Map::from_iter([("type".to_owned(), json!(name))]);
    let Value::Object(fields) = fields else { unreachable!("fields are an object") };
    written.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    Value::Object(written)
}

fn request(new: &NewRequest) -> Value {
    let NewRequest { request, verb, body, ttl_ms, idempotent, volatile } = new;
    json!({
        "request": request, "verb": verb, "body": body, "ttl_ms": ttl_ms, "idempotent": idempotent, "volatile": volatile,
    })
}

/// Every option that is not the default.
pub(super) fn options(options: &Options) -> Value {
    let (Value::Object(default), Value::Object(named)) = (all(&Options::default()), all(options)) else {
        unreachable!("options are an object")
    };
    Value::Object(named.into_iter().filter(|(name, value)| default.get(name) != Some(value)).collect())
}

fn all(options: &Options) -> Value {
    let outbox_full = match options.outbox_full {
        OutboxFull::Reject => "reject",
        OutboxFull::DropOldestVolatile => "drop_oldest_volatile",
    };
    json!({
        "instance": options.instance,
        "client": options.client,
        "slots": options.slots,
        "background": options.background,
        "background_after_ms": options.background_after_ms,
        "probe_ms": options.probe_ms,
        "connect_timeout_ms": options.connect_timeout_ms,
        "auth_timeout_ms": options.auth_timeout_ms,
        "close_wait_ms": options.close_wait_ms,
        "retry_base_ms": options.retry_base_ms,
        "retry_max_ms": options.retry_max_ms,
        "stable_ms": options.stable_ms,
        "report_ms": options.report_ms,
        "idle_ms": options.idle_ms,
        "request_ttl_ms": options.request_ttl_ms,
        "outbox_count_max": options.outbox_count_max,
        "outbox_bytes_max": options.outbox_bytes_max,
        "outbox_full": outbox_full,
        "hello_bytes_max": options.hello_bytes_max,
        "store_ms": options.store_ms,
        "store_bytes_max": options.store_bytes_max,
    })
}
