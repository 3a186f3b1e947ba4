//! A client with normal traffic while others misbehave; it fails the test if they affect it.

use std::time::SystemTime;

use serde_json::{Value, json};
use tautline_gateway::{Gateway, GatewayBuilder, GatewayStats};
use tautline_protocol::Now;

use crate::rig::{Client, Rig};

const CHANNEL: &str = "bystander";

/// A subscriber of its own publications, on the one connection that it began with.
pub struct Bystander {
    client: Client,
    /// The body of its `welcome`.
    pub welcome: Value,
    published: u64,
}

/// Runs `offend` against a gateway and returns its result. The bystander checks the service before, after,
/// and wherever `offend` lets it; once the offender has gone, the gateway holds exactly what it held before.
pub fn with_bystander<T>(builder: GatewayBuilder, offend: impl FnOnce(&Rig, &mut Bystander) -> T) -> T {
    let rig = Rig::serve(builder);
    let mut bystander = Bystander::enter(&rig);
    bystander.check_service();
    bystander.wait_until_alone(&rig);
    let outcome = offend(&rig, &mut bystander);
    bystander.check_service();
    bystander.wait_until_alone(&rig);
    bystander.check_service();
    outcome
}

impl Bystander {
    pub fn enter(rig: &Rig) -> Self {
        let (mut client, welcome) = rig.guest_with_retries();
        assert!(client.request("subscribe", &json!({"channel": CHANNEL}))["ok"].is_object());
        Self { client, welcome, published: 0 }
    }

    /// Publishes, receives its publication as the next one, and gets a call answered.
    pub fn check_service(&mut self) {
        self.published += 1;
        let number = json!(self.published);
        let published = self.client.request("publish", &json!({"channel": CHANNEL, "data": number}));
        assert_eq!(published["ok"]["offset"], number, "{published}");
        let received = self.client.receive();
        assert_eq!((&received["pub"]["offset"], &received["pub"]["data"]), (&number, &number), "{received}");
        assert_eq!(self.client.echo(&number), number);
        self.client.send_seen();
    }

    /// Waits until nothing is left of other clients, after their sessions expired.
    pub fn wait_until_alone(&self, rig: &Rig) {
        let mut alone = GatewayStats::default();
        alone.connections = 1;
        alone.hub.connections = 1;
        alone.hub.sessions = 1;
        alone.hub.channels = 1;
        alone.hub.subscriptions = 1;
        alone.hub.publications = rig.gateway.stats().hub.publications;
        rig.wait_until("everything of the others is gone", |gateway| {
            tick_two_hours_later(gateway);
            gateway.stats() == alone
        });
    }
}

/// Lets the hub tidy up all channels and sessions as if two hours had passed: sessions without a connection
/// are ended, publications are too old, and channels without either are forgotten.
fn tick_two_hours_later(gateway: &Gateway) {
    const LATER_MS: u64 = 2 * 3600 * 1000;
    /// One tick looks at a quarter of the channels.
    const TICKS: usize = 4;
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    let wall_ms = u64::try_from(wall.as_millis()).expect("milliseconds fit in 64 bits for an age");
    (0..TICKS).for_each(|_| gateway.hub().tick(Now::new(LATER_MS, wall_ms + LATER_MS)));
}
