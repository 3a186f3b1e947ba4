//! Who is measured: how each is brought here, started, and asked for its version.

use std::{fs, io::Write, path::Path};

use anyhow::{Context as _, Result};

use tautline_steps::{
    command::Command,
    live::Live,
    npm,
    prerequisites::{self, MOSQUITTO, NATS, NCHAN, NODE, PYTHON, Prerequisite},
};

use super::{scenarios::Scenario, server_process::Site};

/// Its row's name.
pub const UWEBSOCKETS: &str = "uWebSockets";
/// Where our own small servers lie, with what they are made of.
const PEERS_DIR: &str = "tools/bench-report/peers";
/// The folder that pip fills.
const VENV: &str = ".tools/tornado";

/// A server beside the others.
pub struct Peer {
    /// Its name among files.
    pub slug: &'static str,
    pub name: &'static str,
    /// What the load has to speak; `None` is Tautline itself, which the load starts.
    pub protocol: Option<&'static str>,
    has_echo: bool,
    needs: &'static [&'static Prerequisite],
    /// What installs packages that are not there yet.
    install: fn(&Path) -> Vec<Command>,
    /// The program and its arguments.
    pub command: fn(&Path, &Site) -> Vec<String>,
    pub version: fn(&Path) -> Option<String>,
}

/// In the order of the rows.
pub static PEERS: [Peer; 8] = [
    Peer {
        slug: "compare-tautline",
        name: "Tautline",
        protocol: None,
        has_echo: true,
        needs: &[],
        install: |_| Vec::new(),
        command: |_, _| Vec::new(),
        version: |_| Some(env!("CARGO_PKG_VERSION").to_owned()),
    },
    Peer {
        slug: "compare-uws",
        name: UWEBSOCKETS,
        protocol: Some("ws"),
        has_echo: true,
        needs: &[&NODE],
        install: |root| npm::install(root, PEERS_DIR).into_iter().collect(),
        command: |root, site| words([&bun(root), &own_server(root, "uws.mjs"), &site.port.to_string()]),
        version: |root| {
            // Bun names what it is made of; that this is among it is why it is measured.
            let about = said(&bun(root), &["--print", "process.versions.uwebsockets && Bun.version"])?;
            about.starts_with(|first: char| first.is_ascii_digit()).then(|| format!("in Bun {about}"))
        },
    },
    Peer {
        slug: "compare-nats",
        name: "NATS",
        protocol: Some("nats"),
        has_echo: true,
        needs: &[&NATS],
        install: |_| Vec::new(),
        command: |_, site| words(["nats-server", "-c", &site.config(include_str!("../../peers/nats.conf"))]),
        version: |_| said("nats-server", &["--version"]).map(|line| last_word(&line).replace('v', "")),
    },
    Peer {
        slug: "compare-nchan",
        name: "nchan",
        protocol: Some("nchan"),
        has_echo: false,
        needs: &[&NCHAN],
        install: |_| Vec::new(),
        command: |_, site| words(["nginx", "-c", &site.config(include_str!("../../peers/nginx.conf"))]),
        version: |_| {
            let nginx = said("nginx", &["-v"])?.replace("nginx version: nginx/", "");
            let nchan =
                said("dpkg-query", &["-W", "-f", "${Version}", "libnginx-mod-nchan"]).unwrap_or_default();
            // A Debian version: an epoch before it, what was repacked behind it.
            let nchan = nchan.rsplit(':').next()?.split('+').next()?.to_owned();
            Some(format!("{nchan} in nginx {nginx}"))
        },
    },
    Peer {
        slug: "compare-mosquitto",
        name: "mosquitto",
        protocol: Some("mqtt"),
        has_echo: true,
        needs: &[&MOSQUITTO],
        install: |_| Vec::new(),
        command: |_, site| {
            words(["mosquitto", "-c", &site.config(include_str!("../../peers/mosquitto.conf"))])
        },
        version: |_| said("mosquitto", &["-h"]).map(|line| last_word(&line)),
    },
    Peer {
        slug: "compare-ws",
        name: "ws",
        protocol: Some("ws"),
        has_echo: true,
        needs: &[&NODE],
        install: |root| npm::install(root, PEERS_DIR).into_iter().collect(),
        command: |root, site| node(root, "ws.mjs", site),
        version: |root| node_package(root, "ws"),
    },
    Peer {
        slug: "compare-socket-io",
        name: "socket.io",
        protocol: Some("socket-io"),
        has_echo: true,
        needs: &[&NODE],
        install: |root| npm::install(root, PEERS_DIR).into_iter().collect(),
        command: |root, site| node(root, "socket-io.mjs", site),
        version: |root| node_package(root, "socket.io"),
    },
    Peer {
        slug: "compare-tornado",
        name: "tornado",
        protocol: Some("ws"),
        has_echo: true,
        needs: &[&PYTHON],
        install: |root| {
            if tornado(root).is_some_and(|version| wanted_tornado().ends_with(&format!("=={version}"))) {
                return Vec::new();
            }
            let requirements = format!("{PEERS_DIR}/requirements.txt");
            let install =
                ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", &requirements]
                    .map(str::to_owned);
            vec![Command::new("python3", ["-m", "venv", VENV]), Command::new(&venv_python(root), install)]
        },
        command: |root, site| {
            words([&venv_python(root), &own_server(root, "tornado_peer.py"), &site.port.to_string()])
        },
        version: |root| {
            let python = said(&venv_python(root), &["--version"])?;
            Some(format!("{} on {python}", tornado(root)?))
        },
    },
];

impl Peer {
    pub fn is_ours(&self) -> bool {
        self.protocol.is_none()
    }

    /// Whether it has what a scenario measures.
    pub fn takes(&self, scenario: &Scenario) -> bool {
        self.has_echo || scenario.name != "echo"
    }

    /// Installs it where that is possible.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn provide(&self, root: &Path, live: &mut Live, log: &mut dyn Write) -> Result<()> {
        self.needs.iter().try_for_each(|wanted| prerequisites::provide(root, wanted, live, log))?;
        let install = (self.install)(root);
        install
            .iter()
            // A registry may have had a bad moment: it is asked twice.
            .try_for_each(|command| command.run(root, live, log).or_else(|_| command.run(root, live, log)))
            .with_context(|| format!("{} cannot be installed", self.name))
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn node(root: &Path, server: &str, site: &Site) -> Vec<String> {
    let own = npm::own_node_bin(root).join("node");
    let node = if own.exists() { own.display().to_string() } else { "node".to_owned() };
    words([&node, &own_server(root, server), &site.port.to_string()])
}

/// A small server of ours.
fn own_server(root: &Path, server: &str) -> String {
    root.join(PEERS_DIR).join(server).display().to_string()
}

/// npm installs the one that runs on this kind of machine, and leaves out the others.
fn bun(root: &Path) -> String {
    let package = match std::env::consts::ARCH {
        "x86_64" => "bun-linux-x64",
        arch => &format!("bun-linux-{arch}"),
    };
    root.join(PEERS_DIR).join("node_modules/@oven").join(package).join("bin/bun").display().to_string()
}

fn node_package(root: &Path, name: &str) -> Option<String> {
    let file = root.join(PEERS_DIR).join("node_modules").join(name).join("package.json");
    let package: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let node = said(&node(root, "", &Site::nowhere())[0], &["--version"])?;
    Some(format!("{} on Node {}", package["version"].as_str()?, node.trim_start_matches('v')))
}

fn venv_python(root: &Path) -> String {
    root.join(VENV).join("bin/python").display().to_string()
}

fn tornado(root: &Path) -> Option<String> {
    let asked = std::process::Command::new(venv_python(root))
        .args(["-c", "import tornado; print(tornado.version)"])
        .output()
        .ok()?;
    asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}

fn wanted_tornado() -> &'static str {
    let requirements = include_str!("../../peers/requirements.txt");
    let wanted = requirements.lines().find(|line| line.starts_with("tornado=="));
    wanted.expect("it is there").trim_end_matches('\\').trim()
}

/// The first line that a program says, whatever it thinks of being asked.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    let bytes = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&bytes).lines().next()?.trim().to_owned())
}

fn last_word(line: &str) -> String {
    line.rsplit(' ').next().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_told_where_to_listen() {
        for peer in PEERS.iter().filter(|peer| peer.protocol.is_some()) {
            let site = Site::find(&format!("test-{}", peer.slug)).unwrap();
            let command = (peer.command)(Path::new("/checkout"), &site).join(" ");
            let config = fs::read_to_string(site.folder.join("config")).unwrap_or_default();
            let port = site.port.to_string();
            assert!(command.ends_with(&port) || config.contains(&port), "{command}");
            let is_filled = ["PORT", "SPARE", "FOLDER"].iter().all(|name| !config.contains(name));
            assert!(is_filled, "{config}");
        }
    }

    #[test]
    fn installed_packages_are_pinned() {
        assert!(wanted_tornado().starts_with("tornado=="));
        let package = include_str!("../../peers/package.json");
        assert!(!package.contains('^') && !package.contains('~'), "{package}");
    }
}
