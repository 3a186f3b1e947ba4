//! The bodies of events, as a log keeps them and a receiver reads them.
//!
//! Start at [`encode`]. A body is made once, when the event happens: whoever reads it later reads the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use tautline_engine::Entry;
use tautline_protocol::{ChannelName, TraceId, json, utc};

use super::kind::EventKind;

/// The most bytes of one event. The standard for webhooks asks for less than 20 KB.
pub const EVENT_BYTES_MAX: usize = 20_000;

/// Room for all of an event but its publication: names are short, and escapes may double them.
const FRAME_BYTES: usize = 1_500;

/// `data` of `session.*`.
#[derive(Serialize)]
pub(super) struct SessionData<'a> {
    pub(super) session: String,
    pub(super) user: Option<&'a str>,
    pub(super) node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<&'a BTreeMap<Box<str>, Box<str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offline_ms: Option<u64>,
}

/// `data` of `channel.*`.
#[derive(Serialize)]
pub(super) struct ChannelData<'a> {
    pub(super) channel: &'a str,
    pub(super) node: &'a str,
}

/// `data` of `user.*`.
#[derive(Serialize)]
pub(super) struct UserData<'a> {
    pub(super) user: &'a str,
    pub(super) node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_seen: Option<u64>,
}

/// `data` of `inbox.unread`.
#[derive(Serialize)]
pub(super) struct UnreadData<'a> {
    pub(super) user: &'a str,
    pub(super) node: &'a str,
    pub(super) unread: u64,
    pub(super) since: u64,
    pub(super) epoch: &'a str,
    pub(super) acknowledged: u64,
    pub(super) offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_seen: Option<u64>,
}

/// `data` of `events.lost`.
#[derive(Serialize)]
pub(super) struct LostData {
    pub(super) count: u64,
    pub(super) reason: &'static str,
}

/// The body of an event.
pub(super) fn encode(kind: EventKind, wall_ms: u64, data: &impl Serialize) -> String {
    let mut out = begin(kind, wall_ms, None, 256);
    json::write_json(&mut out, data);
    end(out)
}

/// The body of `message.published`. A publication that is too large is left out, and can be read from its channel.
/// Its `traceparent` is that of the request that has published; its step is the offset.
pub(super) fn encode_publication(
    channel: &ChannelName,
    epoch: &str,
    node: &str,
    entry: &Entry,
    trace: Option<TraceId>,
) -> String {
    let fields = entry.history_bytes();
    let trace = trace.map(|trace| trace.header(entry.offset()));
    let mut out = begin(EventKind::MessagePublished, entry.at(), trace.as_deref(), fields + 320);
    out.extend_from_slice(b"{\"channel\":");
    json::write_json(&mut out, &channel.as_str());
    out.extend_from_slice(b",\"epoch\":");
    json::write_json(&mut out, &epoch);
    out.extend_from_slice(b",\"node\":");
    json::write_json(&mut out, &node);
    if fields + FRAME_BYTES <= EVENT_BYTES_MAX {
        // `{"offset":…,"at":…,"data":…}`: its brace gives way to a comma.
        let brace = out.len();
        entry.write_history(&mut out);
        out[brace] = b',';
    } else {
        let place = format!(",\"offset\":{},\"at\":{},\"data_omitted\":true}}", entry.offset(), entry.at());
        out.extend_from_slice(place.as_bytes());
    }
    end(out)
}

fn begin(kind: EventKind, wall_ms: u64, trace: Option<&str>, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":\"");
    out.extend_from_slice(utc(wall_ms).as_bytes());
    if let Some(trace) = trace {
        out.extend_from_slice(b"\",\"traceparent\":\"");
        out.extend_from_slice(trace.as_bytes());
    }
    out.extend_from_slice(b"\",\"data\":");
    out
}

fn end(mut out: Vec<u8>) -> String {
    out.push(b'}');
    String::from_utf8(out).expect("json is UTF-8, and publications are checked when they arrive")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tautline_engine::Content;
    use tautline_protocol::UserId;

    use super::*;

    fn published(data: &str) -> String {
        let channel = ChannelName::parse("room:7").expect("valid");
        let content = Content { data: data.into(), from: UserId::parse("ann").ok(), tags: None };
        let entry = Entry::encode(&channel, 41, 1_763_666_008_100, &content);
        encode_publication(&channel, "k3", "n1", &entry, Some(TraceId::new(0xabc)))
    }

    #[test]
    fn publication_event_has_its_place_and_data() {
        let body: Value = serde_json::from_str(&published(r#"{"text":"hi"}"#)).expect("json");
        assert_eq!(
            body,
            json!({
                "type": "message.published",
                "timestamp": "2025-11-20T19:13:28.100Z",
                "traceparent": "00-00000000000000000000000000000abc-0000000000000029-01",
                "data": {
                    "channel": "room:7", "epoch": "k3", "node": "n1", "offset": 41, "at": 1_763_666_008_100_u64,
                    "data": {"text": "hi"}, "from": "ann",
                },
            })
        );
    }

    #[test]
    fn large_publication_is_left_out_of_its_event() {
        let body = |bytes: usize| published(&format!("\"{}\"", "x".repeat(bytes)));
        let large: Value = serde_json::from_str(&body(20_000)).expect("json");
        assert_eq!(large["data"]["data_omitted"], true);
        assert_eq!((&large["data"]["offset"], &large["data"]["data"]), (&json!(41), &Value::Null));
        for bytes in (17_000..20_000).step_by(100) {
            assert!(body(bytes).len() <= EVENT_BYTES_MAX, "{bytes}");
        }
    }
}
