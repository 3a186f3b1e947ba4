//! What the page's switches do to the network of one phone.

use serde::Deserialize;
use tautline_netem::{Fault, RulesPatch, Unplugged};

use tautline_chaos::{ChaosError, GroupName, Network, Selector};

/// The body of `POST /demo/chaos/{group}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Switch {
    /// Pulls the cable: connections go dead, new ones are refused.
    Unplug,
    /// Puts it back.
    Plug,
    /// Connections go dead and nobody is told; new ones are fine.
    HalfOpen,
    /// Ends every fault.
    Heal,
    /// A network at the edge of its reach.
    Slow,
    /// A good one again.
    Fast,
    /// The phone's owner looks away: the host lets go of its connections in five seconds.
    Hide,
    /// And back.
    Show,
    /// Connections are reset.
    Cut,
    /// Nothing passes for so many milliseconds.
    Stall {
        /// How long, in milliseconds.
        for_ms: u64,
    },
}

/// Slow enough to be seen, fast enough to carry the page's highest rate.
const SLOW: RulesPatch = RulesPatch {
    preset: None,
    latency_ms: Some(350),
    jitter_ms: Some(250),
    rate_bytes_per_s: Some(40_000),
    loss: Some(0.02),
    loss_penalty_ms: Some(600),
    buffer_bytes_max: None,
};

impl Switch {
    /// Throws it, and says how many connections it reached.
    ///
    /// # Errors
    /// [`ChaosError`] when there are too many groups, or a time is out of bounds.
    pub(super) fn throw(self, network: &Network, group: &GroupName) -> Result<usize, ChaosError> {
        let selector = Selector::Group(group.clone());
        match self {
            Self::Unplug => network.unplug(group, Unplugged::Refuse),
            Self::Plug => Ok(network.plug(group)),
            Self::HalfOpen => network.fault(Fault::half_open(), &selector),
            Self::Heal => network.heal(&selector),
            Self::Slow => network.patch_group_rules(group, &SLOW).map(|()| 0),
            Self::Fast => {
                network.clear_group_rules(group);
                Ok(0)
            }
            // With the cable out there is nothing to let go of, and a new fault would replace the one that holds.
            Self::Hide | Self::Show if is_unplugged(network, group) => Ok(0),
            Self::Hide => network.fault(Fault::background_kill(), &selector),
            Self::Show => network.heal(&selector),
            Self::Cut => network.fault(Fault::Cut, &selector),
            Self::Stall { for_ms } => network.fault(Fault::stall(for_ms), &selector),
        }
    }
}

fn is_unplugged(network: &Network, group: &GroupName) -> bool {
    network.rules().groups.get(group).is_some_and(|group| group.unplugged.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tautline_chaos::Chaos;

    #[test]
    fn switches_read_as_the_page_writes_them() {
        let read = |json: &str| serde_json::from_str::<Switch>(json).ok();
        assert_eq!(read(r#"{"action":"half_open"}"#), Some(Switch::HalfOpen));
        assert_eq!(read(r#"{"action":"stall","for_ms":800}"#), Some(Switch::Stall { for_ms: 800 }));
        assert_eq!(read(r#"{"action":"explode"}"#), None);
    }

    #[tokio::test]
    async fn foreground_does_not_plug_the_cable() {
        let chaos = Chaos::builder().upstream("127.0.0.1:1").start().await.unwrap();
        let group: GroupName = "phone-a".parse().unwrap();
        for switch in [Switch::Unplug, Switch::Hide, Switch::Show] {
            switch.throw(&chaos, &group).unwrap();
        }
        assert!(is_unplugged(&chaos, &group));
        Switch::Plug.throw(&chaos, &group).unwrap();
        assert!(!is_unplugged(&chaos, &group));
    }

    #[tokio::test]
    async fn a_slow_phone_gets_its_speed_back() {
        let chaos = Chaos::builder().upstream("127.0.0.1:1").start().await.unwrap();
        let group: GroupName = "phone-a".parse().unwrap();
        Switch::Slow.throw(&chaos, &group).unwrap();
        assert_eq!(chaos.rules().groups[&group].rules.latency_ms, 350);
        Switch::Fast.throw(&chaos, &group).unwrap();
        assert!(chaos.rules().groups.is_empty());
    }
}
