//! A client that minds its own business while others misbehave, and notices if it is disturbed.

use std::time::SystemTime;

use serde_json::{Value, json};
use tautline_gateway::{Gateway, GatewayBuilder, GatewayStats};
use tautline_protocol::Now;

use crate::rig::{Client, Rig};

const CHANNEL: &str = "bystander";

/// A subscriber of its own publications, on the one connection that it began with.
pub struct Bystander {
    client: Client,
    /// What it was told when it came.
    pub welcome: Value,
    published: u64,
}

/// Lets an offender loose on a gateway, and returns what the offender makes of it. A bystander goes on before, during
/// (wherever `offend` lets it) and after; once the offender has gone, the gateway holds what it held before.
pub fn undisturbed<T>(builder: GatewayBuilder, offend: impl FnOnce(&Rig, &mut Bystander) -> T) -> T {
    let rig = Rig::serve(builder);
    let mut bystander = Bystander::enter(&rig);
    bystander.goes_on();
    bystander.is_all_there_is(&rig);
    let outcome = offend(&rig, &mut bystander);
    bystander.goes_on();
    bystander.is_all_there_is(&rig);
    bystander.goes_on();
    outcome
}

impl Bystander {
    pub fn enter(rig: &Rig) -> Self {
        let (mut client, welcome) = rig.patient_guest();
        assert!(client.request("subscribe", &json!({"channel": CHANNEL}))["ok"].is_object());
        Self { client, welcome, published: 0 }
    }

    /// Publishes, hears its publication as the very next one, and has a call answered.
    pub fn goes_on(&mut self) {
        self.published += 1;
        let number = json!(self.published);
        let published = self.client.request("publish", &json!({"channel": CHANNEL, "data": number}));
        assert_eq!(published["ok"]["offset"], number, "{published}");
        let heard = self.client.hear();
        assert_eq!((&heard["pub"]["offset"], &heard["pub"]["data"]), (&number, &number), "{heard}");
        assert_eq!(self.client.echo(&number), number);
        self.client.has_seen_everything();
    }

    /// Nothing is left of anybody else, once their sessions are not waited for any more.
    pub fn is_all_there_is(&self, rig: &Rig) {
        let mut alone = GatewayStats::default();
        alone.connections = 1;
        alone.hub.connections = 1;
        alone.hub.sessions = 1;
        alone.hub.channels = 1;
        alone.hub.publications = rig.gateway.stats().hub.publications;
        rig.wait_until("everything of the others is gone", |gateway| {
            tidy_up_later(gateway);
            gateway.stats() == alone
        });
    }
}

/// Lets the hub tidy up all channels and sessions as if two hours had passed: sessions without a connection are
/// ended, publications are too old, and channels without either are forgotten.
fn tidy_up_later(gateway: &Gateway) {
    const LATER_MS: u64 = 2 * 3600 * 1000;
    /// One tick looks at a quarter of the channels.
    const TICKS: usize = 4;
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    let wall_ms = u64::try_from(wall.as_millis()).expect("milliseconds fit in 64 bits for an age");
    (0..TICKS).for_each(|_| gateway.hub().tick(Now::new(LATER_MS, wall_ms + LATER_MS)));
}
