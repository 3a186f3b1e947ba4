//! Rules for words: names and prose use the field's terms, which the glossary of CONTRIBUTING.md explains.
//!
//! Start at [`check`]. A word is what stands between other characters than letters, and what a name is made of: `ring_again`
//! and `RingAgain` have the same two.

use super::Finding;

/// Words that are refused, each with what to write.
const OLD_WORDS: [(&str, &str); 21] = [
    ("turnstile", "admission queue"),
    ("bell", "mailbox"),
    ("whims", "mutator"),
    ("whim", "mutation"),
    ("whimsy", "mutator"),
    ("befallen", "injected faults"),
    ("befalls", "happens to"),
    ("befall", "happen to"),
    ("reckon", "check"),
    ("reckoned", "checked"),
    ("reckons", "checks"),
    ("reckoning", "check"),
    ("errand", "pending output"),
    ("errands", "pending outputs"),
    ("farewell", "bye"),
    ("executioner", "fault injector"),
    ("gust", "scheduled fault"),
    ("gusts", "scheduled faults"),
    ("jury", "test suite"),
    ("chronicle", "ground truth"),
    ("teller", "event sink"),
];

/// Names that are refused as a whole; their words alone are ordinary English.
const OLD_NAMES: [(&str, &str); 16] = [
    ("let_go", "detach"),
    ("hang_up", "go_idle"),
    ("want_up", "request_connection"),
    ("come_again", "requeue"),
    ("keep_house", "spawn_background_tasks"),
    ("refuse_in_passing", "reject_request"),
    ("housekeeping", "maintenance"),
    ("Looking", "PendingLookups"),
    ("losing", "disconnect"),
    ("House", "ServerConfig"),
    ("Air", "DialBehavior"),
    ("Door", "ConnectGate"),
    ("Crew", "PubSubLoad"),
    ("Fleet", "EventLoop"),
    ("Sleepers", "StalledReaders"),
    ("Ghosts", "StaleSockets"),
];

/// The only page that keeps old words: it says what happened, in the words of its time. And the lists of old words.
const EXEMPT: [&str; 3] = ["CHANGELOG.md", "tools/tidy/src/words.rs", "tools/tidy/src/not_yet.rs"];

/// Old words in the file at `path`, and in its name.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    if EXEMPT.contains(&path) || path.ends_with("package-lock.json") {
        return Vec::new();
    }
    let in_name = old_in(path).map(|(old, new)| finding(path, 1, old, new)).collect::<Vec<_>>();
    let in_text = text.lines().enumerate().flat_map(|(index, line)| {
        old_in(line).map(move |(old, new)| finding(path, index + 1, old, new)).collect::<Vec<_>>()
    });
    in_name.into_iter().chain(in_text).collect()
}

fn finding(path: &str, line: usize, old: &str, new: &str) -> Finding {
    Finding::new(path, line, format!("`{old}` is a private word: write `{new}`, or another one of the field"))
}

/// What is old in a line, each once.
fn old_in(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let words: Vec<String> = line.split(|c: char| !c.is_alphabetic()).flat_map(words_of).collect();
    let names: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let old_words = OLD_WORDS.into_iter().filter(move |(old, _)| words.iter().any(|word| word == old));
    let old_names: Vec<_> = OLD_NAMES.into_iter().filter(|(old, _)| names.contains(old)).collect();
    old_words.chain(old_names)
}

/// The words of a name in camel case, in small letters.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_small = false;
    for c in name.chars() {
        if words.is_empty() || (was_small && c.is_uppercase()) {
            words.push(String::new());
        }
        was_small = c.is_lowercase();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check("crates/new/src/lib.rs", text).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn old_word_in_name_or_prose_is_refused() {
        for text in [
            "fn start_turnstile() {}",
            "struct OldTurnstile;",
            "// The turnstile lets one in.",
            "fn let_go(&mut self) {}",
            "struct House;",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
        assert!(found("// Turnstile")[0].contains("admission queue"));
        assert_eq!(check("crates/new/src/turnstile.rs", "").len(), 1);
    }

    #[test]
    fn words_that_only_contain_old_ones_pass() {
        for text in ["a house", "the air", "label", "rebellious", "whimper", "crewless"] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn changelog_keeps_the_words_of_its_time() {
        assert_eq!(check("CHANGELOG.md", "The turnstile is new."), []);
    }
}
