//! What a refusal of Redis means for the command that it refused.
//!
//! Start at [`Refusal::of`]. All but [`Refusal::Other`] say that the command had no effect.

use tautline_engine::EngineError;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The keys are on this node now.
    Moved(String),
    /// This once, ask that node.
    Ask(String),
    /// The script is not known there.
    NoScript,
    /// This node does not write, or not yet: look for the one that does.
    NotPrimary,
    /// The cluster is down, as this node sees it: ask another where the nodes are.
    CutOff,
    /// Ask again in a moment.
    Later,
    /// There is no memory for more.
    Full(String),
    /// It takes no writes, or none from us: something to be put right by people.
    Denied(String),
    /// Anything else: a script may have begun.
    Other(String),
}

impl Refusal {
    /// The meaning of an error's words.
    pub(crate) fn of(words: &str) -> Self {
        let (code, rest) = words.split_once(' ').unwrap_or((words, ""));
        let address = || rest.split(' ').nth(1).unwrap_or_default().to_owned();
        // Redis 6 puts the words of a command within a script into a longer sentence.
        let says = |part: &str| words.contains(part);
        match code {
            "MOVED" => Self::Moved(address()),
            "ASK" => Self::Ask(address()),
            "NOSCRIPT" => Self::NoScript,
            "READONLY" | "MASTERDOWN" | "UNBLOCKED" => Self::NotPrimary,
            "CLUSTERDOWN" => Self::CutOff,
            "TRYAGAIN" | "LOADING" | "BUSY" => Self::Later,
            "MISCONF" | "NOREPLICAS" | "NOAUTH" | "WRONGPASS" => Self::Denied(words.to_owned()),
            _ if says("READONLY You can't write") => Self::NotPrimary,
            _ if says("OOM command not allowed") => Self::Full("Redis has no memory for more".to_owned()),
            _ => Self::Other(words.to_owned()),
        }
    }

    /// The error for a job that must not wait any longer.
    pub(crate) fn to_error(&self) -> EngineError {
        match self {
            Self::Full(words) => EngineError::Full(words.clone()),
            Self::Denied(words) => EngineError::Unavailable(format!("Redis refuses: {words}")),
            Self::Other(words) => EngineError::InDoubt(format!("Redis failed: {words}")),
            _ => EngineError::Unavailable("no Redis node takes this at present".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_their_first_word() {
        let node = || "10.0.0.7:6379".to_owned();
        for (words, meaning) in [
            ("MOVED 3999 10.0.0.7:6379", Refusal::Moved(node())),
            ("ASK 3999 10.0.0.7:6379", Refusal::Ask(node())),
            ("NOSCRIPT No matching script. Please use EVAL.", Refusal::NoScript),
            ("READONLY You can't write against a read only replica.", Refusal::NotPrimary),
            ("LOADING Redis is loading the dataset in memory", Refusal::Later),
            ("CLUSTERDOWN Hash slot not served", Refusal::CutOff),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Refusal::Later),
        ] {
            assert_eq!(Refusal::of(words), meaning, "{words}");
        }
        for words in [
            "OOM command not allowed when used memory > 'maxmemory'. script: ab, on @user_script:7.",
            "ERR Error running script (call to f_ab): @user_script: 7: -OOM command not allowed when used memory",
        ] {
            assert!(matches!(Refusal::of(words).to_error(), EngineError::Full(_)), "{words}");
        }
        for words in ["MISCONF Errors writing to the AOF file", "NOREPLICAS Not enough good replicas"] {
            assert!(matches!(Refusal::of(words).to_error(), EngineError::Unavailable(_)), "{words}");
        }
        for words in ["", "WRONGTYPE Operation against a key holding the wrong kind of value"] {
            assert!(matches!(Refusal::of(words).to_error(), EngineError::InDoubt(_)), "a script had begun");
        }
    }
}
