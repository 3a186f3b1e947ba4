//! The metrics of hooks. Their labels are names and URLs of the configuration, which are closed sets.

use tautline_backend::{BackendFigures, HookFigures};

use super::{
    count,
    metric::{Histogram, Metric, Sample},
};

pub(super) fn metrics(figures: &BackendFigures) -> [Metric; 4] {
    let hooks = &figures.hooks;
    let answers = hooks.iter().flat_map(|hook| {
        hook.answers.iter().map(|of| {
            let histogram = Histogram::of(&of.latency).label("hook", &*hook.name);
            histogram.label("kind", of.kind).label("outcome", of.outcome)
        })
    });
    let breakers = hooks.iter().flat_map(|hook| {
        hook.open_breakers
            .iter()
            .map(|(url, open)| count(*open).label("hook", &*hook.name).label("url", &**url))
    });
    let queues = |of: fn((usize, usize)) -> usize| {
        hooks.iter().flat_map(move |hook| {
            [("running", hook.running), ("waiting", hook.waiting)]
                .map(|(state, figures)| sample(hook, state, of(figures)))
        })
    };
    [
        Metric::histogram(
            "hook_seconds",
            "How long questions to the back end took, retries and the wait for a turn included",
            answers,
        ),
        Metric::gauge(
            "hook_breakers_open",
            "Kinds of questions, and methods, that a URL is not asked because it fails",
            breakers,
        ),
        Metric::gauge(
            "hook_questions",
            "Questions that run or wait for their turn",
            queues(|(used, _)| used),
        ),
        Metric::gauge("hook_questions_max", "How many may", queues(|(_, max)| max)),
    ]
}

fn sample(hook: &HookFigures, state: &'static str, value: usize) -> Sample {
    count(value).label("hook", &*hook.name).label("state", state)
}
