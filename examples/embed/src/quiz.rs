//! A quiz for everybody who opens it: guests answer by a call, and all see the standings at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use tautline_gateway::{
    Access, BuildError, CallError, ChannelName, ChannelRule, Gateway, PresenceMode, PublishOptions,
    RulePattern,
};

/// Where the standings are published.
pub const STANDINGS: &str = "quiz:standings";

/// The payload of `quiz.answer`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The player's name.
    pub name: String,
    /// What is 6 × 7?
    pub number: i64,
}

/// What `quiz.answer` answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the number was right.
    pub right: bool,
    /// The player's points.
    pub points: u32,
}

/// Points by player.
#[derive(Debug, Default)]
struct Quiz {
    points: Mutex<BTreeMap<String, u32>>,
}

impl Quiz {
    fn answer(&self, answer: &Answer) -> (Verdict, BTreeMap<String, u32>) {
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let own = points.entry(answer.name.clone()).or_default();
        let right = answer.number == 42;
        *own += u32::from(right);
        (Verdict { right, points: *own }, points.clone())
    }
}

/// The quiz.
///
/// # Errors
/// When it cannot be built, see [`BuildError`].
pub fn gateway() -> Result<Gateway, BuildError> {
    let quiz = Arc::new(Quiz::default());
    // A method that publishes needs the gateway, which is built of its methods.
    let publisher = Arc::new(OnceLock::<Gateway>::new());
    let of_method = Arc::clone(&publisher);
    let pattern = RulePattern::parse("quiz:*").expect("this is a pattern");
    let rule = ChannelRule {
        subscribe: Access::Any,
        presence: PresenceMode::Roster,
        ..ChannelRule::closed(pattern)
    };
    let gateway = Gateway::builder()
        .guests(true)
        .rules(vec![rule])
        .call_json("quiz.answer", move |_, answer: Answer| {
            let (verdict, standings) = quiz.answer(&answer);
            let publisher = of_method.get().cloned();
            async move {
                if let Some(gateway) = publisher {
                    publish(&gateway, &standings).await?;
                }
                Ok(verdict)
            }
        })
        .build()?;
    let _ = publisher.set(gateway.clone());
    Ok(gateway)
}

async fn publish(gateway: &Gateway, standings: &BTreeMap<String, u32>) -> Result<(), CallError> {
    let failed = |error: &dyn std::fmt::Display| CallError::new("internal", error.to_string());
    let channel = ChannelName::parse(STANDINGS).map_err(|error| failed(&error))?;
    let data = to_raw_value(standings).map_err(|error| failed(&error))?;
    let published = gateway.publish(&channel, &data, PublishOptions::default()).await;
    published.map(drop).map_err(|error| CallError::new("unavailable", error.message.to_string()))
}
