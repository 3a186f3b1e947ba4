//! What the person at the terminal sees while steps run: a spinner for each, or plain lines.

use std::{
    io::IsTerminal,
    sync::LazyLock,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Between two signs of life where there is no spinner; many build servers end a job that is silent for ten minutes.
const PLAIN_SIGN_EVERY: Duration = Duration::from_secs(60);

/// How a test begins the line that says what it could not do on this machine, and why.
const SKIPPED: &str = "skipped: ";

/// The spinners of all steps that run at the same time.
static SPINNERS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Prints lines that stay, above the spinners.
pub fn say(lines: &str) {
    SPINNERS.suspend(|| println!("{lines}"));
}

/// What the person at the terminal sees while a step runs.
pub struct Live {
    name: &'static str,
    spinner: Option<ProgressBar>,
    plain: bool,
    started: Instant,
    sign_due: Instant,
    last_line: String,
    skipped: Vec<String>,
}

impl Live {
    /// Starts to show a step.
    pub fn start(name: &'static str, about: &str) -> Self {
        let plain = std::env::var_os("CI").is_some() || !std::io::stderr().is_terminal();
        if plain {
            say(&format!("→ {name}: {about}"));
        }
        let spinner = (!plain).then(|| spinner(name, about));
        Self { name, spinner, plain, last_line: about.to_owned(), ..Self::silent() }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        let now = Instant::now();
        Self {
            name: "",
            spinner: None,
            plain: false,
            started: now,
            sign_due: now + PLAIN_SIGN_EVERY,
            last_line: String::new(),
            skipped: Vec::new(),
        }
    }

    /// Takes a line of the running command's output.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if let Some(what) = line.strip_prefix(SKIPPED)
            && !self.skipped.iter().any(|known| known == what)
        {
            self.skipped.push(what.to_owned());
        }
        self.last_line = line.chars().filter(|c| !c.is_control()).collect();
    }

    /// Ends the show; how long it took, and what its tests could not do here.
    pub fn end(self) -> (Duration, Vec<String>) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        (self.started.elapsed(), self.skipped)
    }

    /// Says that the step is alive.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if let Some(spinner) = &self.spinner {
            spinner.set_message(self.last_line.clone());
            spinner.tick();
        }
        if self.plain && now >= self.sign_due {
            say(&format!("  … {}, {}: {}", self.name, seconds(now - self.started), self.last_line));
            self.sign_due = now + PLAIN_SIGN_EVERY;
        }
    }
}

/// One line on a terminal that is drawn anew.
fn spinner(name: &'static str, about: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}");
    let style = style.expect("the template is a constant").tick_chars("|/-\\ ");
    SPINNERS
        .add(ProgressBar::new_spinner().with_style(style).with_prefix(name).with_message(about.to_owned()))
}

/// A duration as people read it.
pub fn seconds(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_told_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
