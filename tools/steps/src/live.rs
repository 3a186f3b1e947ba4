//! What the person at the terminal sees while a step runs: a spinner, or plain lines.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Between two signs of life where there is no spinner; many build servers end a job that is silent for ten minutes.
const PLAIN_SIGN_EVERY: Duration = Duration::from_secs(60);

const FRAMES: [&str; 4] = ["|", "/", "-", "\\"];
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// How a test begins the line that says what it could not do on this machine, and why.
const SKIPPED: &str = "skipped: ";

/// What the person at the terminal sees while a step runs.
pub struct Live {
    name: &'static str,
    spinner: Option<Spinner>,
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
            println!("→ {name}: {about}");
        }
        let spinner = (!plain).then(Spinner::default);
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
        line.clone_into(&mut self.last_line);
    }

    /// Ends the show; how long it took, and what its tests could not do here.
    pub fn end(self) -> (Duration, Vec<String>) {
        if let Some(spinner) = self.spinner {
            spinner.clear();
        }
        (self.started.elapsed(), self.skipped)
    }

    /// Says that the step is alive, where a spinner does not.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if let Some(spinner) = &mut self.spinner {
            spinner.draw(self.name, now - self.started, &self.last_line);
        }
        if self.plain && now >= self.sign_due {
            println!("  … {}, {}: {}", self.name, seconds(now - self.started), self.last_line);
            self.sign_due = now + PLAIN_SIGN_EVERY;
        }
    }
}

/// One line on a terminal that is drawn anew.
#[derive(Default)]
struct Spinner {
    frame: usize,
    drawn: Option<Instant>,
}

impl Spinner {
    fn draw(&mut self, name: &str, took: Duration, line: &str) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.frame = (self.frame + 1) % FRAMES.len();
        let text = format!("{} {name} {} {line}", FRAMES[self.frame], seconds(took));
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(80);
        let shown: String = text.chars().filter(|c| !c.is_control()).take(columns.max(2) - 1).collect();
        eprint!("\r\x1b[2K{shown}");
    }

    fn clear(self) {
        eprint!("\r\x1b[2K");
    }
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
