//! The figures of the first screen.

use serde_json::{Map, Value, json};
use tautline_api::{Host, WebhookControl};
use tautline_hub::{CONTROL_PAGE_MAX, Hub, HubCounters, HubStats, OFFLINE_BOUNDS_MS};

use crate::{Node, NodeFigures};

/// Everything that the first screen shows. Totals only grow; the page makes rates of them.
pub(crate) fn overview(host: &dyn Host, node: &dyn Node) -> Value {
    let webhooks = host.webhooks().map(WebhookControl::list).unwrap_or_default();
    json!({
        "at": host.now().wall_ms,
        "nodes": [of_node(host, node.figures())],
        "hooks": node.hooks(),
        "webhooks": webhooks,
        "limits": limits(host.hub()),
        "bans": host.hub().control().bans(None, CONTROL_PAGE_MAX).bans.len(),
    })
}

/// What all clients together may take, with what they take.
fn limits(hub: &Hub) -> Vec<Value> {
    let (limits, used) = (hub.hub_limits(), hub.stats());
    let all = [
        ("sessions_max", limits.sessions_max, used.sessions),
        ("presence_seats_max", limits.presence_seats_max, used.presence_seats),
        ("presence_bytes_max", limits.presence_bytes_max, used.presence_bytes),
        ("replies_bytes_max", limits.replies_bytes_max, used.reply_bytes),
        ("appends_bytes_max", limits.appends_bytes_max, used.append_bytes),
        ("pages_max", limits.pages_max, used.pages),
    ];
    all.map(|(name, value, used)| json!({"name": name, "value": value, "used": used})).into()
}

fn of_node(host: &dyn Host, figures: NodeFigures) -> Value {
    let (hub, server, limits) = (host.hub().stats(), host.figures(), host.hub().hub_limits());
    let mut node = json!({
        "id": host.hub().node(),
        "version": env!("CARGO_PKG_VERSION"),
        "connections": server.connections,
        "sessions": hub.sessions,
        "users_online": hub.users_online,
        "channels": hub.channels,
        "subscriptions": hub.subscriptions,
        "totals": totals(&hub, &host.hub().counters(), server.panics),
        "queues": {
            "appends": {"bytes": hub.append_bytes, "max": limits.appends_bytes_max},
            "replies": {"bytes": hub.reply_bytes, "max": limits.replies_bytes_max},
            "presence": {"bytes": hub.presence_bytes, "max": limits.presence_bytes_max},
        },
    });
    if let (Value::Object(all), Ok(Value::Object(own))) = (&mut node, serde_json::to_value(figures)) {
        all.extend(own);
    }
    node
}

fn totals(hub: &HubStats, counts: &HubCounters, panics: u64) -> Value {
    let named = |counts: &[(&'static str, u64)]| -> Map<String, Value> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect()
    };
    let bounds = OFFLINE_BOUNDS_MS.iter().map(|ms| Value::from(*ms)).chain([Value::Null]);
    let offline = bounds.zip(counts.offline.counts).map(|(le, n)| json!({"le": le, "n": n}));
    json!({
        "publications": hub.publications,
        "deliveries": counts.deliveries,
        "rate_limited": hub.rate_limited,
        "panics": panics,
        "hellos": {
            "opened": counts.sessions_opened,
            "resumed": counts.sessions_resumed,
            "challenged": counts.challenges,
        },
        "gaps": named(&counts.gaps),
        "drops": named(&counts.drops),
        "byes": named(&counts.byes),
        "offline_ms": offline.collect::<Vec<_>>(),
    })
}
