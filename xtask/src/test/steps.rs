//! The steps of `cargo xtask test`, in the order of each lane.

use std::path::Path;

use anyhow::Context as _;

use tautline_steps::{
    command::{Command, on_path},
    npm::{self, npm},
    prerequisites::{
        C_TOOLCHAIN, CARGO_DENY, CHINESE_FONT, CHROMIUM, MACOS_LIBRARY, MARIADB, NODE, POSTGRES, PROMETHEUS,
        PYTHON, REDIS, STRACE, python27,
    },
    step::Job,
};

use crate::prometheus;

use super::{
    Lane, Options, Step,
    jobs::{
        OF_TRANSPORTS, binaries, browser_jobs, cargo, console_jobs, databases_jobs, deny, frameworks_jobs,
        hooks_jobs, macos_job, model_jobs, plain_jobs, programs, readme_jobs, traces_jobs,
    },
};

/// Cheap ones first: a slip is told within seconds. `rust` builds what the other lane waits for.
pub(super) static STEPS: &[Step] = &[
    Step {
        name: "tidy",
        about: "module docs, file sizes, left-over notes, links, both READMEs",
        quick: true,
        lane: Lane::Cargo,
        needs: &[],
        skip: never,
        jobs: |_| Ok(vec![Job::Check(crate::tidy)]),
    },
    Step {
        name: "fmt",
        about: "every Rust file is formatted",
        quick: true,
        lane: Lane::Cargo,
        needs: &[],
        skip: never,
        jobs: |_| Ok(vec![cargo(["fmt", "--all", "--check", "--", "--color", "never"])]),
    },
    Step {
        name: "rust",
        about: "unit, integration, simulation, torture and doc tests",
        quick: true,
        lane: Lane::Cargo,
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
        name: "clippy",
        about: "no lint has anything to say, pure crates are pure",
        quick: true,
        lane: Lane::Cargo,
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
        lane: Lane::Cargo,
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
        lane: Lane::Cargo,
        needs: &[&C_TOOLCHAIN],
        skip: never,
        jobs: |_| {
            let doc = Command::new("cargo", ["doc", "--workspace", "--no-deps", "--locked"]);
            Ok(vec![Job::Run(doc.env("RUSTDOCFLAGS", "-D warnings"))])
        },
    },
    Step {
        name: "sdk",
        about: "types, unit tests, protocol vectors, ES5 and size of the SDK",
        quick: true,
        lane: Lane::Programs,
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
        lane: Lane::Programs,
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
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(traces_jobs(root)),
    },
    Step {
        name: "readme",
        about: "the first example of the SDK's README logs in at the built server and the mock of WeChat",
        quick: true,
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(readme_jobs(root)),
    },
    Step {
        name: "model",
        about: "an app that calls everything from every handler, on phones that fail, loses and doubles nothing",
        quick: false,
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(model_jobs(root)),
    },
    Step {
        name: "api",
        about: "the server API does what its OpenAPI document says, and linters have nothing to say of it",
        quick: false,
        lane: Lane::Programs,
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
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE],
        skip: never,
        jobs: |root| Ok(plain_jobs(root)),
    },
    Step {
        name: "hooks",
        about: "receivers in Node and Python behind the built server, and what the card shop's back end promises",
        quick: false,
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE, &PYTHON],
        skip: never,
        jobs: |root| Ok(hooks_jobs(root)),
    },
    Step {
        name: "prometheus",
        about: "metrics, dashboards and alerts against a real Prometheus under a small load",
        quick: false,
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &PYTHON, &PROMETHEUS],
        skip: never,
        jobs: |root| Ok(vec![programs(), prometheus::job(&binaries(root))]),
    },
    Step {
        name: "databases",
        about: "the card shop's back ends on a PostgreSQL and a MariaDB that stop, hang up and stand still",
        quick: false,
        lane: Lane::Programs,
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
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE, &CHROMIUM, &CHINESE_FONT],
        skip: never,
        jobs: browser_jobs,
    },
    Step {
        name: "console",
        about: "the console's pages: types, size, and every screen in a real Chromium",
        quick: false,
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE, &CHROMIUM, &CHINESE_FONT],
        skip: never,
        jobs: console_jobs,
    },
    Step {
        name: "frameworks",
        about: "apps of Taro and uni-app in a real Chromium behind a bad network",
        quick: false,
        lane: Lane::Programs,
        needs: &[&C_TOOLCHAIN, &NODE, &CHROMIUM],
        skip: never,
        jobs: frameworks_jobs,
    },
    Step {
        name: "autobahn",
        about: "RFC 6455 conformance",
        quick: false,
        lane: Lane::Programs,
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
        lane: Lane::Cargo,
        needs: &[&PYTHON, &CARGO_DENY],
        skip: never,
        jobs: |root| Ok(vec![deny(root, ["bans", "licenses", "sources"])]),
    },
    Step {
        name: ADVISORIES,
        about: "known faults of crates and Node packages that are used",
        quick: false,
        lane: Lane::Cargo,
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

/// True for a step that runs only by its name, which was not given.
fn unasked(options: &Options, step: &str) -> bool {
    !options.only.iter().any(|name| name == step)
}

fn never(_: &Path, _: &Options) -> Option<String> {
    None
}
