//! `cargo xtask autobahn`: the RFC 6455 conformance suite against our WebSocket codec.
//!
//! The suite (autobahntestsuite 0.8.2) runs on Python 2.7 alone; it is installed into `.tools/autobahn` and kept there. Its
//! exit code is always 0, so the verdict is read from its report, of which a copy for people lies beside the logs of the
//! other steps. The bar: every case OK or INFORMATIONAL.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use tautline_steps::{command::Command, live::Live, prerequisites::python27, step};

/// Names an echo server (`ws://…`) to be tested in place of the codec's own example.
const URL_VARIABLE: &str = "AUTOBAHN_URL";
/// What the suite calls our side in its report.
const AGENT: &str = "tautline";
/// What is run each time. Sections 9, 12 and 13 are the same few exchanges at many sizes: texts of 256 KiB and 16 MiB, a binary
/// message of 256 KiB and a thousand empty messages stand for 9; of those about compression, a thousand messages each of 16
/// bytes, of 128 KiB of json and of text, then windows of 512 bytes and an offer with alternatives.
const CASES: [&str; 17] = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.2", "9.1.6", "9.2.2", "9.7.1", "10.*", "12.1.1",
    "12.1.10", "12.2.10", "13.5.8", "13.7.3",
];
/// All that there is about compression. They take most of an hour, so that they are for nights (`--deflate`).
const DEFLATE_CASES: [&str; 12] = [
    "12.1.*", "12.2.*", "12.3.*", "12.4.*", "12.5.*", "13.1.*", "13.2.*", "13.3.*", "13.4.*", "13.5.*",
    "13.6.*", "13.7.*",
];
/// The last line of versions that brings all that it needs along.
const VIRTUALENV: &str = "virtualenv==16.7.12";
/// The last versions that run on Python 2.7, all of them: nothing else is fetched.
const PACKAGES: [&str; 34] = [
    "Automat==22.10.0",
    "Jinja2==2.11.3",
    "MarkupSafe==1.1.1",
    "PyHamcrest==1.10.1",
    "Tubes==0.2.1",
    "Twisted==20.3.0",
    "Werkzeug==1.0.1",
    "argparse==1.4.0",
    "attrs==21.4.0",
    "autobahn==0.10.9",
    "cffi==1.15.1",
    "constantly==15.1.0",
    "cryptography==3.3.2",
    "enum34==1.1.10",
    "hyperlink==21.0.0",
    "idna==2.10",
    "incremental==22.10.0",
    "ipaddress==1.0.23",
    "klein==20.6.0",
    "linecache2==1.0.0",
    "pyOpenSSL==21.0.0",
    "pyasn1-modules==0.3.0",
    "pyasn1==0.5.1",
    "pycparser==2.21",
    "service-identity==21.1.0",
    "six==1.17.0",
    "traceback2==1.4.0",
    "txaio==2.1.0",
    "typing==3.10.0.0",
    "ujson==2.0.3",
    "unittest2==1.1.0",
    "wsaccel==0.6.6",
    "zope.interface==5.5.2",
    // The last, so that it is there only when everything else is.
    "autobahntestsuite==0.8.2",
];

/// Which of the suite's cases.
#[derive(clap::Args)]
pub struct Options {
    /// All cases about compression (sections 12 and 13; most of an hour) in place of the usual ones
    #[arg(long)]
    pub deflate: bool,
}

/// Who has to echo what the suite sends.
#[derive(Clone, Debug)]
pub enum Target {
    /// The example `echo` of `tautline-websocket`, built and started here.
    CodecExample,
    /// A server that is already running.
    Url(String),
}

impl Target {
    /// The server that `AUTOBAHN_URL` names, else the codec's example.
    pub fn from_env() -> Self {
        env::var(URL_VARIABLE).map_or(Self::CodecExample, Self::Url)
    }
}

/// Runs the suite and prints its verdict. Without a Python 2.7 it is an error where `require` is set, else a printed line.
///
/// # Errors
/// A case that is not OK, or anything that kept the suite from running.
pub fn run(root: &Path, options: &Options, require: bool) -> Result<()> {
    let Some(python) = python27() else {
        let missing = "no Python 2.7 on PATH or in pyenv (`pyenv install 2.7.18` brings one)";
        ensure!(!require, "the Autobahn suite cannot run: {missing}");
        println!("autobahn skipped: {missing}");
        return Ok(());
    };
    let suite = install(root, &python).context("installing the Autobahn suite")?;
    let (url, _server) = match Target::from_env() {
        Target::Url(url) => (url, None),
        Target::CodecExample => {
            let server = EchoServer::start(root)?;
            (server.url.clone(), Some(server))
        }
    };
    if !options.deflate {
        let report = test(root, &suite, &url, &CASES)?;
        print!("{}", summary(&report));
        return verdict(&report, &CASES);
    }
    // One by one, as each of them takes minutes: what there is to say is said early.
    for cases in DEFLATE_CASES {
        let report = test(root, &suite, &url, &[cases])?;
        print!("{cases} {}", summary(&report));
        verdict(&report, &[cases])?;
    }
    Ok(())
}

/// Makes a virtual environment with the suite, or finds the one of an earlier run; the path of its `wstest`.
fn install(root: &Path, python: &Path) -> Result<PathBuf> {
    let dir = root.join(".tools/autobahn");
    let (tool, environment) = (dir.join("virtualenv"), dir.join("env"));
    let wstest = environment.join("bin/wstest");
    if wstest.exists() {
        return Ok(wstest);
    }
    let (tool, environment) = (tool.display().to_string(), environment.display().to_string());
    let python = python.display().to_string();
    let mut get_tool = vec!["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", &tool];
    get_tool.push(VIRTUALENV);
    shell(root, &pip(Command::new(&python, get_tool)))?;
    let make = Command::new(&python, ["-m", "virtualenv", "--no-download", "--clear", &environment]);
    shell(root, &make.env("PYTHONPATH", tool))?;
    let fill = Command::new(
        &format!("{environment}/bin/pip"),
        ["install", "--quiet", "--no-deps"].iter().chain(&PACKAGES).copied(),
    );
    shell(root, &pip(fill))?;
    ensure!(wstest.exists(), "the installed suite has no {}", wstest.display());
    Ok(wstest)
}

/// Spares the reader what pip says about the age of Python 2.7.
fn pip(command: Command) -> Command {
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PYTHONWARNINGS", "ignore")
}

/// Runs a command whose output is ours.
fn shell(root: &Path, command: &Command) -> Result<()> {
    command.run(root, &mut Live::silent(), &mut io::stdout())
}

/// The running example; ends with this value.
struct EchoServer {
    child: Child,
    url: String,
}

impl EchoServer {
    fn start(root: &Path) -> Result<Self> {
        let args = ["build", "--locked", "--workspace", "--example", "echo"];
        shell(root, &Command::new("cargo", args))?;
        let binary = step::target_dir(root).join("debug/examples/echo");
        let command = Command::new(&binary.display().to_string(), [""; 0]);
        let mut process = command.process(root);
        let mut child =
            process.stdout(Stdio::piped()).spawn().with_context(|| format!("starting `{command}`"))?;
        let output = child.stdout.take().expect("its output was asked for");
        let mut server = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("reading where the example listens")?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        ensure!(!address.is_empty(), "`{command}` ended without saying where it listens");
        server.url = format!("ws://{address}");
        Ok(server)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        // Best effort: where it has ended by itself there is nothing left to end, and the report tells the story.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The suite's verdict on one case.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    /// What was said before the close.
    behavior: String,
    /// How the connection was closed.
    behavior_close: String,
}

impl Case {
    fn is_good(&self) -> bool {
        [&self.behavior, &self.behavior_close]
            .iter()
            .all(|verdict| ["OK", "INFORMATIONAL"].contains(&verdict.as_str()))
    }
}

/// Cases by their number, such as `6.4.1`.
type Report = BTreeMap<String, Case>;

/// Lets the suite speak with the server at `url`.
fn test(root: &Path, wstest: &Path, url: &str, cases: &[&str]) -> Result<Report> {
    let dir = step::target_dir(root).join("xtask/autobahn");
    // What an earlier run found must not pass for what this one finds.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let spec = json!({
        "options": { "failByDrop": false },
        "outdir": dir,
        "servers": [{ "agent": AGENT, "url": url }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let spec_path = dir.join("spec.json");
    fs::write(&spec_path, spec.to_string()).with_context(|| format!("writing {}", spec_path.display()))?;
    let args = ["--mode", "fuzzingclient", "--spec", &spec_path.display().to_string()].map(str::to_owned);
    let suite = Command::new(&wstest.display().to_string(), args);
    shell(root, &suite.env("PYTHONUNBUFFERED", "1").env("PYTHONWARNINGS", "ignore"))?;
    let index = dir.join("index.json");
    let text =
        fs::read_to_string(&index).with_context(|| format!("the suite left no {}", index.display()))?;
    parse(&text)
}

fn parse(index: &str) -> Result<Report> {
    let mut agents: BTreeMap<String, Report> =
        serde_json::from_str(index).context("reading the suite's report")?;
    agents.remove(AGENT).with_context(|| format!("the suite's report says nothing of {AGENT}"))
}

/// One line a section, and one for each case that is not good.
fn summary(report: &Report) -> String {
    let mut sections: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    let mut bad = String::new();
    for (number, case) in report {
        let (good, all) = sections.entry(section(number)).or_default();
        *all += 1;
        if case.is_good() {
            *good += 1;
        } else {
            bad += &format!("case {number}: {}, close {}\n", case.behavior, case.behavior_close);
        }
    }
    let lines =
        sections.iter().map(|(section, (good, all))| format!("section {section:>2}: {good} of {all} good\n"));
    lines.chain([bad]).collect()
}

fn section(number: &str) -> u32 {
    number.split('.').next().and_then(|section| section.parse().ok()).unwrap_or_default()
}

fn verdict(report: &Report, cases: &[&str]) -> Result<()> {
    for wanted in cases.iter().map(|case| section(case)) {
        // The suite says nothing of a case that it does not know, or never came to.
        ensure!(
            report.keys().any(|number| section(number) == wanted),
            "section {wanted} of the suite was not run"
        );
    }
    let bad = report.values().filter(|case| !case.is_good()).count();
    if bad > 0 {
        bail!(
            "{bad} of {} cases are not OK; see the suite's report in xtask/autobahn of the target folder",
            report.len()
        );
    }
    println!("all {} cases are OK or INFORMATIONAL", report.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with one case for each that was asked for, the last of them with these verdicts.
    fn report(behavior: &str, behavior_close: &str) -> Report {
        let good = json!({ "behavior": "OK", "behaviorClose": "INFORMATIONAL", "duration": 1 });
        let mut cases: serde_json::Map<_, _> =
            CASES.iter().map(|case| (case.replace('*', "1"), good.clone())).collect();
        cases["10.1"] = json!({ "behavior": behavior, "behaviorClose": behavior_close });
        parse(&json!({ AGENT: cases }).to_string()).unwrap()
    }

    #[test]
    fn report_of_good_cases_passes() {
        verdict(&report("OK", "OK"), &CASES).unwrap();
    }

    #[test]
    fn bad_case_fails_and_is_named() {
        for (behavior, close) in
            [("FAILED", "OK"), ("NON-STRICT", "OK"), ("OK", "UNCLEAN"), ("OK", "WRONG CODE")]
        {
            let report = report(behavior, close);
            assert!(verdict(&report, &CASES).is_err(), "{behavior}, {close}");
            let summary = summary(&report);
            assert!(summary.ends_with(&format!("case 10.1: {behavior}, close {close}\n")), "{summary}");
            assert!(summary.contains("section 10: 0 of 1 good\n"), "{summary}");
        }
    }

    #[test]
    fn a_section_that_was_not_run_fails() {
        let mut report = report("OK", "OK");
        report.retain(|number, _| section(number) != 6);
        assert_eq!(verdict(&report, &CASES).unwrap_err().to_string(), "section 6 of the suite was not run");
    }

    #[test]
    fn every_package_is_pinned() {
        assert!(PACKAGES.iter().chain([&VIRTUALENV]).all(|package| package.contains("==")));
    }
}
