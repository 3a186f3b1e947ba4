//! How bad the network is all the time: delay, jitter, rate, loss.
//! Start at [`Rules`]; [`RulesPatch`] changes a few of them and leaves the rest.

use serde::{Deserialize, Serialize};

/// The standing properties of both directions of a connection. The default is a perfect network.
///
/// The model is a TCP stream: bytes of one direction never overtake each other, and what the network loses arrives
/// late instead of never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// What every segment takes to cross, in milliseconds one way. Default 0, at most 60 000.
    pub latency_ms: u64,
    /// Up to this much is added to the latency of each segment, evenly spread. Default 0, at most 60 000.
    pub jitter_ms: u64,
    /// How many bytes a second each direction carries; 0 is no limit. Default 0.
    pub rate_bytes_per_s: u64,
    /// The probability, 0 to 1, that a segment is lost once and has to be sent again. Default 0.
    pub loss: f64,
    /// What being sent again costs a lost segment, in milliseconds. Default 200, at most 60 000.
    pub loss_penalty_ms: u64,
    /// How many bytes each direction holds before its sender has to wait. Default 65 536, from 1 024 to 16 777 216.
    pub buffer_bytes_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            jitter_ms: 0,
            rate_bytes_per_s: 0,
            loss: 0.0,
            loss_penalty_ms: 200,
            buffer_bytes_max: 64 * 1024,
        }
    }
}

/// The longest latency, jitter or penalty that rules may ask for.
const DELAY_MS_MAX: u64 = 60_000;
const BUFFER_BYTES_LEAST: usize = 1024;
const BUFFER_BYTES_MOST: usize = 16 * 1024 * 1024;
/// More than a socket gives at once would only cost memory.
const CHUNK_BYTES_MOST: usize = 16 * 1024;
/// Below this a chunk costs more in system calls than it gains in smoothness.
const CHUNK_BYTES_LEAST: usize = 64;

impl Rules {
    /// A good home network.
    #[must_use]
    pub fn wifi() -> Self {
        Self { latency_ms: 4, jitter_ms: 3, rate_bytes_per_s: 6_000_000, loss: 0.001, ..Self::default() }
    }

    /// A phone in a city, moving.
    #[must_use]
    pub fn cellular() -> Self {
        Self { latency_ms: 40, jitter_ms: 30, rate_bytes_per_s: 1_000_000, loss: 0.01, ..Self::default() }
    }

    /// A phone between two stations: slow, uneven, and much is sent twice.
    #[must_use]
    pub fn subway() -> Self {
        Self {
            latency_ms: 150,
            jitter_ms: 400,
            rate_bytes_per_s: 20_000,
            loss: 0.08,
            loss_penalty_ms: 800,
            ..Self::default()
        }
    }

    /// A geostationary satellite: far away, otherwise decent.
    #[must_use]
    pub fn satellite() -> Self {
        Self { latency_ms: 300, jitter_ms: 20, rate_bytes_per_s: 500_000, loss: 0.005, ..Self::default() }
    }

    /// Checks every rule against its bounds.
    ///
    /// # Errors
    /// The first rule that is out of bounds, by name.
    pub fn validate(&self) -> Result<(), RulesError> {
        let delays = [
            ("latency_ms", self.latency_ms),
            ("jitter_ms", self.jitter_ms),
            ("loss_penalty_ms", self.loss_penalty_ms),
        ];
        if let Some((rule, found)) = delays.into_iter().find(|(_, found)| *found > DELAY_MS_MAX) {
            return Err(RulesError::TooLong { rule, found });
        }
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(RulesError::NoProbability(self.loss));
        }
        if !(BUFFER_BYTES_LEAST..=BUFFER_BYTES_MOST).contains(&self.buffer_bytes_max) {
            return Err(RulesError::Buffer(self.buffer_bytes_max));
        }
        Ok(())
    }

    /// The most bytes that a shell should push at once: a fiftieth of a second of the rate, so that a slow line
    /// trickles instead of arriving in lumps.
    #[must_use]
    pub fn chunk_bytes_max(&self) -> usize {
        if self.rate_bytes_per_s == 0 {
            return CHUNK_BYTES_MOST;
        }
        let fiftieth = usize::try_from(self.rate_bytes_per_s / 50).unwrap_or(usize::MAX);
        fiftieth.clamp(CHUNK_BYTES_LEAST, CHUNK_BYTES_MOST)
    }
}

/// Names for the ready-made [`Rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Preset {
    /// [`Rules::default`].
    Perfect,
    /// [`Rules::wifi`].
    Wifi,
    /// [`Rules::cellular`].
    Cellular,
    /// [`Rules::subway`].
    Subway,
    /// [`Rules::satellite`].
    Satellite,
}

impl Preset {
    /// The rules behind the name.
    #[must_use]
    pub fn rules(self) -> Rules {
        match self {
            Self::Perfect => Rules::default(),
            Self::Wifi => Rules::wifi(),
            Self::Cellular => Rules::cellular(),
            Self::Subway => Rules::subway(),
            Self::Satellite => Rules::satellite(),
        }
    }
}

/// A change to some rules: what is `None` stays as it is. See [`Rules`] for what each one means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesPatch {
    /// Starts from this preset rather than from the rules as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Replaces [`Rules::latency_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Replaces [`Rules::jitter_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u64>,
    /// Replaces [`Rules::rate_bytes_per_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_s: Option<u64>,
    /// Replaces [`Rules::loss`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Replaces [`Rules::loss_penalty_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_penalty_ms: Option<u64>,
    /// Replaces [`Rules::buffer_bytes_max`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_bytes_max: Option<usize>,
}

impl RulesPatch {
    /// The rules that come of laying this patch over `rules`.
    ///
    /// # Errors
    /// The first rule that would be out of bounds.
    pub fn over(&self, rules: &Rules) -> Result<Rules, RulesError> {
        let base = self.preset.map_or_else(|| rules.clone(), Preset::rules);
        let patched = Rules {
            latency_ms: self.latency_ms.unwrap_or(base.latency_ms),
            jitter_ms: self.jitter_ms.unwrap_or(base.jitter_ms),
            rate_bytes_per_s: self.rate_bytes_per_s.unwrap_or(base.rate_bytes_per_s),
            loss: self.loss.unwrap_or(base.loss),
            loss_penalty_ms: self.loss_penalty_ms.unwrap_or(base.loss_penalty_ms),
            buffer_bytes_max: self.buffer_bytes_max.unwrap_or(base.buffer_bytes_max),
        };
        patched.validate()?;
        Ok(patched)
    }

    /// One patch that does what this one and then `later` would do. A preset forgets what was said before it.
    #[must_use]
    pub fn then(&self, later: &Self) -> Self {
        if later.preset.is_some() {
            return later.clone();
        }
        Self {
            preset: self.preset,
            latency_ms: later.latency_ms.or(self.latency_ms),
            jitter_ms: later.jitter_ms.or(self.jitter_ms),
            rate_bytes_per_s: later.rate_bytes_per_s.or(self.rate_bytes_per_s),
            loss: later.loss.or(self.loss),
            loss_penalty_ms: later.loss_penalty_ms.or(self.loss_penalty_ms),
            buffer_bytes_max: later.buffer_bytes_max.or(self.buffer_bytes_max),
        }
    }
}

/// A rule that asks for what no network should do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A delay beyond a minute.
    #[error("{rule} is {found}; at most {DELAY_MS_MAX} makes sense, use a stall for more")]
    TooLong {
        /// The rule's name.
        rule: &'static str,
        /// What it was set to, in milliseconds.
        found: u64,
    },
    /// A loss that is no probability.
    #[error("loss is {0}; it is a probability from 0 to 1 (5 % is 0.05)")]
    NoProbability(f64),
    /// A buffer that cannot work, or that could take all memory.
    #[error("buffer_bytes_max is {0}; it must be from {BUFFER_BYTES_LEAST} to {BUFFER_BYTES_MOST}")]
    Buffer(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_keeps_the_bounds() {
        for preset in [Preset::Perfect, Preset::Wifi, Preset::Cellular, Preset::Subway, Preset::Satellite] {
            assert_eq!(preset.rules().validate(), Ok(()), "{preset:?}");
        }
    }

    #[test]
    fn patch_changes_only_named_rules() {
        let patch: RulesPatch = serde_json::from_str(r#"{"latency_ms":80,"loss":0.5}"#).unwrap();
        let patched = patch.over(&Rules::wifi()).unwrap();
        assert_eq!(patched, Rules { latency_ms: 80, loss: 0.5, ..Rules::wifi() });
    }

    #[test]
    fn merged_patches_equal_two_in_a_row() {
        let first = RulesPatch { latency_ms: Some(10), jitter_ms: Some(5), ..RulesPatch::default() };
        let later = RulesPatch { latency_ms: Some(20), ..RulesPatch::default() };
        let one_by_one = later.over(&first.over(&Rules::wifi()).unwrap()).unwrap();
        assert_eq!(first.then(&later).over(&Rules::wifi()).unwrap(), one_by_one);
    }

    #[test]
    fn a_preset_forgets_what_was_said_before_it() {
        let first = RulesPatch { latency_ms: Some(10), ..RulesPatch::default() };
        let later = RulesPatch { preset: Some(Preset::Subway), jitter_ms: Some(1), ..RulesPatch::default() };
        let rules = first.then(&later).over(&Rules::wifi()).unwrap();
        assert_eq!(rules, Rules { jitter_ms: 1, ..Rules::subway() });
    }

    #[test]
    fn rules_out_of_bounds_are_refused_by_name() {
        let refused = |patch: RulesPatch| patch.over(&Rules::default()).unwrap_err().to_string();
        let too_long = refused(RulesPatch { jitter_ms: Some(60_001), ..RulesPatch::default() });
        assert!(too_long.starts_with("jitter_ms is 60001"), "{too_long}");
        for loss in [-0.1, 1.5, f64::NAN] {
            let no_probability = refused(RulesPatch { loss: Some(loss), ..RulesPatch::default() });
            assert!(no_probability.contains("probability from 0 to 1"), "{no_probability}");
        }
        let buffer = refused(RulesPatch { buffer_bytes_max: Some(0), ..RulesPatch::default() });
        assert!(buffer.contains("from 1024 to 16777216"), "{buffer}");
    }

    #[test]
    fn unknown_rule_is_refused_by_name() {
        let error = serde_json::from_str::<RulesPatch>(r#"{"latencyms":80}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `latencyms`"), "{error}");
    }

    #[test]
    fn a_slow_line_is_fed_in_small_chunks() {
        assert_eq!(Rules::default().chunk_bytes_max(), 16 * 1024);
        assert_eq!(Rules::subway().chunk_bytes_max(), 400);
    }
}
