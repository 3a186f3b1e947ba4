//! The requests of a webhook.
//!
//! Start at [`Message::of`]. The same events give the same id and the same bytes, whenever they are sent.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tautline_hub::StoredEvent;
use tautline_protocol::{TraceId, json, utc};

use super::delivery::Batch;

/// The form of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WebhookContent {
    /// `{"type":…,"timestamp":…,"data":…}`, as Standard Webhooks asks for.
    #[default]
    Standard,
    /// CloudEvents 1.0 over HTTP: structured mode, or the batch format where batches are on.
    CloudEvents,
}

/// A request, but for its signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Without a `.`, which the signature uses.
    pub(super) id: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// The trace of the request that all of its events tell of; else one of its own, in each attempt the same.
    pub(super) trace: TraceId,
}

/// An event with its id.
struct Identified<'a> {
    id: String,
    body: &'a str,
}

/// A stored event, taken apart.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow)]
    timestamp: &'a str,
    #[serde(borrow)]
    #[serde(default)]
    traceparent: Option<&'a str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Message {
    /// The request for a batch of the webhook `name`. With `batches` it has the form of a batch, also where it has one
    /// event only.
    pub(super) fn of(name: &str, batch: &Batch, content: WebhookContent, batches: bool) -> Self {
        let expired = expired_event(batch);
        let mut events: Vec<Identified<'_>> = Vec::with_capacity(batch.events.len() + 1);
        if let (Some(body), Some(first)) = (&expired, batch.events.first()) {
            events.push(Identified { id: format!("{}:expired", id_of(name, batch, first)), body });
        }
        let stored = batch.events.iter();
        events.extend(stored.map(|event| Identified { id: id_of(name, batch, event), body: &event.body }));
        let message = match (content, batches) {
            (WebhookContent::Standard, false) => Self::single(&events),
            (WebhookContent::Standard, true) => Self::batch(&events),
            (WebhookContent::CloudEvents, false) => Self::cloud_event(name, &events),
            (WebhookContent::CloudEvents, true) => Self::cloud_batch(name, &events),
        };
        match common_trace(batch) {
            Some(trace) => Self { trace, ..message },
            None => message,
        }
    }

    fn new(id: String, content_type: &'static str, body: Vec<u8>) -> Self {
        let trace = trace_of(&id);
        Self { id, content_type, body, trace }
    }

    /// One event. A notice of expired ones takes a batch of its own.
    fn single(events: &[Identified<'_>]) -> Self {
        match events {
            [event] => Self::new(event.id.clone(), "application/json", event.body.into()),
            _ => Self::batch(events),
        }
    }

    fn batch(events: &[Identified<'_>]) -> Self {
        let timestamp = events.last().and_then(|last| parts(last.body)).map_or("", |last| last.timestamp);
        let mut out = b"{\"type\":\"batch\",\"timestamp\":".to_vec();
        json::write_json(&mut out, &timestamp);
        out.extend_from_slice(b",\"data\":{\"events\":[");
        for (index, event) in events.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // `{"id":…,` in the place of the event's first brace.
            out.extend_from_slice(b"{\"id\":");
            json::write_json(&mut out, &event.id);
            out.push(b',');
            out.extend_from_slice(&event.body.as_bytes()[1..]);
        }
        out.extend_from_slice(b"]}}");
        Self::new(batch_id(events), "application/json", out)
    }

    fn cloud_event(name: &str, events: &[Identified<'_>]) -> Self {
        // A notice of expired events takes a batch of its own.
        let [event] = events else { return Self::cloud_batch(name, events) };
        match event.cloud(name) {
            Some(body) => Self::new(event.id.clone(), "application/cloudevents+json", body),
            None => Self::single(events),
        }
    }

    fn cloud_batch(name: &str, events: &[Identified<'_>]) -> Self {
        let all: Vec<Vec<u8>> = events.iter().filter_map(|event| event.cloud(name)).collect();
        let body = [&b"["[..], &all.join(&b','), b"]"].concat();
        Self::new(batch_id(events), "application/cloudevents-batch+json", body)
    }
}

/// An event in the JSON format of `CloudEvents`: all of it is in the body, which is signed.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    source: &'a str,
    time: &'a str,
    /// The extension for distributed tracing.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    datacontenttype: &'static str,
    data: &'a RawValue,
}

impl Identified<'_> {
    fn cloud(&self, name: &str) -> Option<Vec<u8>> {
        let Parts { kind, timestamp, traceparent, data } = parts(self.body)?;
        let event = CloudEvent {
            specversion: "1.0",
            id: &self.id,
            kind,
            source: &source(name),
            time: timestamp,
            traceparent,
            datacontenttype: "application/json",
            data,
        };
        let mut out = Vec::with_capacity(self.body.len() + 256);
        json::write_json(&mut out, &event);
        Some(out)
    }
}

fn parts(body: &str) -> Option<Parts<'_>> {
    serde_json::from_str(body).ok()
}

/// The trace that all events of a batch have.
fn common_trace(batch: &Batch) -> Option<TraceId> {
    let trace = |event: &StoredEvent| TraceId::parse(parts(&event.body)?.traceparent?);
    let (first, others) = batch.events.split_first()?;
    let first = trace(first)?;
    others.iter().all(|event| trace(event) == Some(first)).then_some(first)
}

/// A trace for a message with this id.
fn trace_of(id: &str) -> TraceId {
    let digest = Sha256::digest(id.as_bytes());
    TraceId::new(digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

fn source(name: &str) -> String {
    format!("/tautline/events/{name}")
}

/// The id of an event: the same however often it is sent, and of no other event.
fn id_of(name: &str, batch: &Batch, event: &StoredEvent) -> String {
    // Epochs are chosen by engines; a `.` would end the id in the signature.
    format!("{name}:{}:{}", batch.epoch.replace('.', "-"), event.offset)
}

fn batch_id(events: &[Identified<'_>]) -> String {
    match events {
        [] => String::new(),
        [one] => one.id.clone(),
        [first, .., last] => {
            let offset = last.id.rsplit(':').next().unwrap_or_default();
            format!("{}-{offset}", first.id)
        }
    }
}

/// The notice that events before this batch have expired.
fn expired_event(batch: &Batch) -> Option<String> {
    let first = batch.events.first().filter(|_| batch.expired > 0)?;
    let (from, to) = (first.offset.saturating_sub(batch.expired), first.offset.saturating_sub(1));
    Some(format!(
        r#"{{"type":"events.lost","timestamp":"{}","data":{{"count":{},"reason":"expired","from":{from},"to":{to}}}}}"#,
        utc(first.at),
        batch.expired
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BODY: &str =
        r#"{"type":"user.online","timestamp":"2025-11-20T19:13:28.100Z","data":{"user":"ann"}}"#;

    fn batch(offsets: std::ops::RangeInclusive<u64>, expired: u64) -> Batch {
        let event = |offset| StoredEvent { offset, at: 1_763_666_008_100, body: BODY.into() };
        Batch { epoch: "k3".into(), expired, events: offsets.map(event).collect() }
    }

    fn body(message: &Message) -> Value {
        serde_json::from_slice(&message.body).unwrap()
    }

    #[test]
    fn single_event_is_sent_as_it_is_stored() {
        let message = Message::of("shop", &batch(7..=7, 0), WebhookContent::Standard, false);
        assert_eq!((&*message.id, &*message.body), ("shop:k3:7", BODY.as_bytes()));
    }

    #[test]
    fn batch_names_each_event() {
        let message = Message::of("shop", &batch(7..=9, 0), WebhookContent::Standard, true);
        assert_eq!(message.id, "shop:k3:7-9");
        let body = body(&message);
        assert_eq!(
            (&body["type"], &body["timestamp"]),
            (&json!("batch"), &json!("2025-11-20T19:13:28.100Z"))
        );
        let events = body["data"]["events"].as_array().unwrap();
        let mut event: Value = serde_json::from_str(BODY).unwrap();
        event["id"] = json!("shop:k3:8");
        assert_eq!((events.len(), &events[1]), (3, &event));
    }

    #[test]
    fn batch_of_one_keeps_its_form() {
        let message = Message::of("shop", &batch(7..=7, 0), WebhookContent::Standard, true);
        assert_eq!((&*message.id, body(&message)["type"].clone()), ("shop:k3:7", json!("batch")));
    }

    #[test]
    fn cloud_event_has_its_attributes_in_the_signed_body() {
        let message = Message::of("shop", &batch(7..=7, 0), WebhookContent::CloudEvents, false);
        assert_eq!((&*message.id, message.content_type), ("shop:k3:7", "application/cloudevents+json"));
        assert_eq!(
            body(&message),
            json!({
                "specversion": "1.0", "id": "shop:k3:7", "type": "user.online", "source": "/tautline/events/shop",
                "time": "2025-11-20T19:13:28.100Z", "datacontenttype": "application/json", "data": {"user": "ann"},
            })
        );
    }

    #[test]
    fn cloud_events_in_a_batch_are_an_array() {
        let message = Message::of("shop", &batch(7..=8, 0), WebhookContent::CloudEvents, true);
        assert_eq!(message.content_type, "application/cloudevents-batch+json");
        let body = body(&message);
        assert_eq!(
            (body[1]["id"].clone(), body[1]["data"].clone()),
            (json!("shop:k3:8"), json!({"user": "ann"}))
        );
    }

    #[test]
    fn expired_events_are_told_before_the_next_one() {
        let message = Message::of("shop", &batch(7..=7, 3), WebhookContent::Standard, false);
        let body = body(&message);
        let told = &body["data"]["events"][0];
        assert_eq!(told["data"], json!({"count": 3, "reason": "expired", "from": 4, "to": 6}));
        assert_eq!(
            (&told["id"], &body["data"]["events"][1]["id"]),
            (&json!("shop:k3:7:expired"), &json!("shop:k3:7"))
        );
    }

    #[test]
    fn trace_of_all_its_events_is_that_of_a_message() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000029-01";
        let traced = BODY.replacen(",\"data\"", &format!(",\"traceparent\":\"{header}\",\"data\""), 1);
        let mut batch = batch(7..=8, 0);
        let message = |batch: &Batch, content| Message::of("shop", batch, content, true);
        let own = message(&batch, WebhookContent::Standard).trace;
        assert_eq!(message(&batch, WebhookContent::CloudEvents).trace, own, "in each attempt");
        batch.events[0].body = traced.as_str().into();
        assert_eq!(message(&batch, WebhookContent::Standard).trace, own, "the other event has none");
        batch.events[1].body = traced.into();
        let told = message(&batch, WebhookContent::CloudEvents);
        assert_eq!(Some(told.trace), TraceId::parse(header));
        assert_eq!(body(&told)[1]["traceparent"], header);
    }

    #[test]
    fn id_has_no_dot() {
        let batch = Batch { epoch: "a.b".into(), ..batch(7..=7, 0) };
        assert_eq!(Message::of("shop", &batch, WebhookContent::Standard, false).id, "shop:a-b:7");
    }
}
