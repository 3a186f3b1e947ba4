//! The end of a run: a table for people, and one plain line for machines.

use std::fmt::Write as _;

use crate::{
    live::seconds,
    step::{Outcome, Verdict},
};

/// One row a step, then `N passed, N failed` alone on the last line. Skipped steps count as neither.
pub fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Outcome { name, verdict, took, skipped } in outcomes {
        let took = seconds(*took);
        let row = match verdict {
            Verdict::Passed => writeln!(text, "{name:width$}  passed   {took:>12}"),
            Verdict::Failed => writeln!(text, "{name:width$}  FAILED   {took:>12}"),
            Verdict::Skipped(reason) => writeln!(text, "{name:width$}  skipped  {reason}"),
        };
        row.expect("writing to a string cannot fail");
        for what in skipped {
            writeln!(text, "{:width$}  without  {what}", "").expect("writing to a string cannot fail");
        }
    }
    let count = |wanted: &Verdict| outcomes.iter().filter(|outcome| outcome.verdict == *wanted).count();
    write!(text, "\n{} passed, {} failed\n", count(&Verdict::Passed), count(&Verdict::Failed))
        .expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn summary_line_excludes_skipped_steps() {
        let outcome = |name, verdict| Outcome {
            name,
            verdict,
            took: Duration::from_millis(1_500),
            skipped: Vec::new(),
        };
        let incomplete = vec!["strace is not installed".to_owned()];
        let text = table(&[
            Outcome { skipped: incomplete, ..outcome("fmt", Verdict::Passed) },
            outcome("clippy", Verdict::Failed),
            outcome("deny", Verdict::Skipped("cargo-deny is not installed".to_owned())),
        ]);
        assert_eq!(
            text,
            "fmt     passed          1.5 s\n\
             \u{20}       without  strace is not installed\n\
             clippy  FAILED          1.5 s\n\
             deny    skipped  cargo-deny is not installed\n\
             \n\
             1 passed, 1 failed\n"
        );
    }
}
