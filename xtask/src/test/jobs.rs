//! What each step of `cargo xtask test` does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use tautline_steps::{
    command::Command,
    npm::{self, npm},
    prerequisites::{MACOS, cargo_deny_bin, chromium},
    step::{self, Job},
};

use crate::{cards, demo, gold};

/// The tests of the gateway in which it matters how bytes are sent.
pub(super) const OF_TRANSPORTS: [&str; 7] =
    ["transports", "slow_readers", "bad_input", "compression", "drain", "calls", "msgpack"];

/// Rust is checked and nothing linked, so that C may be left out: a Mac's compiler is not to be had here.
pub(super) fn macos_job(root: &Path) -> Result<Job> {
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
/// the whole workspace and of its tests (the examples see to that), so that nothing is compiled for them alone. Once, since
/// cargo waits for its other commands.
pub(super) fn programs() -> Job {
    let examples = ["--example", "traces", "--example", "codec", "--example", "echo", "--example", "remote"];
    let binaries = ["tautline", "tautline-demo", "tautline-chaos", "tautline-gold", "tautline-cards"];
    let binaries = binaries.into_iter().flat_map(|name| ["--bin", name]);
    let build = ["build", "--locked", "--workspace"].into_iter().chain(examples).chain(binaries);
    Job::RunOnce(Command::new("cargo", build))
}

/// Where [`programs`] are.
pub(super) fn binaries(root: &Path) -> PathBuf {
    step::target_dir(root).join("debug")
}

/// The tests run the recorder of storms and the codec, and read what they print.
pub(super) fn traces_jobs(root: &Path) -> Vec<Job> {
    let program = |name| binaries(root).join("examples").join(name).to_string_lossy().into_owned();
    let test = npm(root, "sdk", ["run", "test:traces"])
        .env("TRACES", program("traces"))
        .env("CODEC", program("codec"));
    let test = npm::install(root, "sdk").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// An app of the README, a server and a login service.
pub(super) fn readme_jobs(root: &Path) -> Vec<Job> {
    let tautline = binaries(root).join("tautline").to_string_lossy().into_owned();
    let test = npm(root, "sdk", ["run", "test:readme"]).env("TAUTLINE", tautline);
    let test = npm::install(root, "sdk").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// Histories of the SDK against the hub of the simulator, and faults on purpose that they must find.
pub(super) fn model_jobs(root: &Path) -> Vec<Job> {
    let remote = binaries(root).join("examples/remote").to_string_lossy().into_owned();
    let test = npm(root, "sdk", ["run", "test:model"]).env("REMOTE", remote);
    let test = npm::install(root, "sdk").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// The packages of others are pinned in the lock file.
pub(super) fn plain_jobs(root: &Path) -> Vec<Job> {
    let test =
        npm(root, "e2e", ["run", "test:plain"]).env("TAUTLINE_BINARIES", binaries(root).to_string_lossy());
    let test = npm::install(root, "e2e").into_iter().chain([test]);
    [programs()].into_iter().chain(test.map(Job::Run)).collect()
}

/// The receivers of the guide.
pub(super) fn hooks_jobs(root: &Path) -> Vec<Job> {
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
pub(super) fn databases_jobs(root: &Path) -> Vec<Job> {
    let test = npm(root, cards::SERVER, ["run", "test:databases"])
        .env("SERVER_RUST", binaries(root).join("tautline-cards").to_string_lossy());
    let commands = npm::install(root, cards::SERVER).into_iter().chain([test]);
    [programs()].into_iter().chain(commands.map(Job::Run)).collect()
}

/// Everything that the demo needs, then the browser test.
pub(super) fn browser_jobs(root: &Path) -> Result<Vec<Job>> {
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

/// The pages are built before a gateway is asked for them: a debug build reads them from their folder.
pub(super) fn console_jobs(root: &Path) -> Result<Vec<Job>> {
    // The types of the browser tests are checked together, and some are of the demo's page.
    let pages = demo::page(root).into_iter().chain(npm::install(root, "console"));
    let pages = pages.chain([npm(root, "console", ["test"])]);
    let test = npm::install(root, "e2e").into_iter().chain([in_browser(root, "test:console")?]);
    Ok([programs()].into_iter().chain(pages.chain(test).map(Job::Run)).collect())
}

/// As in `browser`, for the books of the demo are those of this test; and each framework's app, by its own tool chain.
pub(super) fn frameworks_jobs(root: &Path) -> Result<Vec<Job>> {
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
pub(super) fn deny<const N: usize>(root: &Path, checks: [&str; N]) -> Job {
    let deny = Command::new("cargo", ["deny", "check"].into_iter().chain(checks));
    Job::Run(deny.path_front(&cargo_deny_bin(root)))
}

pub(super) fn cargo<const N: usize>(args: [&str; N]) -> Job {
    Job::Run(Command::new("cargo", args))
}
