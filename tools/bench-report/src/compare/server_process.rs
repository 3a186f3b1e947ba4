//! A server that runs beside the load, on a port of loopback that was free, with a folder for what it writes. It is ended when
//! dropped, and by the kernel when we end first.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::peers::Peer;

const KNOCK_EVERY: Duration = Duration::from_millis(50);
/// From the start to the first connection.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// From being asked to end until it is made to.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A descriptor for each connection, core 0, and an end with ours: Ctrl-C reaches the whole group, but a kill does not.
const LAUNCH: &str = r#"ulimit -n "$(ulimit -Hn)"
if command -v setpriv > /dev/null; then set -- setpriv --pdeathsig TERM "$@"; fi
exec taskset -c 0 "$@""#;

/// Where a server listens and writes.
pub struct Site {
    pub port: u16,
    /// For one that must listen to something else, too.
    spare: u16,
    pub folder: PathBuf,
}

impl Site {
    /// Two ports that are free, and a new folder.
    pub fn find(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tautline-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // Both at once, so that they are two.
        let free =
            [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
        let [port, spare] = [free[0].local_addr()?.port(), free[1].local_addr()?.port()];
        Ok(Self { port, spare, folder })
    }

    /// For tests, and where only the name of a program is wanted.
    pub fn nowhere() -> Self {
        Self { port: 1, spare: 2, folder: PathBuf::from("/nonexistent") }
    }

    /// Fills in a configuration, and returns where it lies.
    pub fn config(&self, template: &str) -> String {
        let file = self.folder.join("config");
        let text = self.fill(template);
        // A server that finds no configuration ends, and that is told.
        drop(fs::write(&file, text));
        file.display().to_string()
    }

    fn fill(&self, template: &str) -> String {
        let lines = template.lines().filter(|line| !line.starts_with('#'));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        text.replace("PORT", &self.port.to_string())
            .replace("SPARE", &self.spare.to_string())
            .replace("FOLDER", &self.folder.display().to_string())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

pub struct ServerProcess {
    child: Child,
    site: Site,
}

impl ServerProcess {
    /// Starts it, and waits until it takes connections.
    pub fn start(root: &Path, peer: &Peer) -> Result<Self> {
        let site = Site::find(peer.slug)?;
        let log = File::create(site.folder.join("log")).context("making a log")?;
        let child = Command::new("sh")
            .args(["-c", LAUNCH, "sh"])
            .args((peer.command)(root, &site))
            .current_dir(&site.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", peer.name))?;
        let mut server = Self { child, site };
        server.wait(peer)?;
        Ok(server)
    }

    fn wait(&mut self, peer: &Peer) -> Result<()> {
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.site.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let said = fs::read_to_string(self.site.folder.join("log")).unwrap_or_default();
                bail!("{} ended with {status}: {}", peer.name, said.lines().last().unwrap_or_default());
            }
            if begin.elapsed() > STARTS_WITHIN {
                bail!("{} took no connection within {STARTS_WITHIN:?}", peer.name);
            }
            thread::sleep(KNOCK_EVERY);
        }
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.site.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It is asked first: nginx ends its worker itself, and would leave it behind if it were killed.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let begin = Instant::now();
        while asked.is_ok() && begin.elapsed() < ENDS_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(KNOCK_EVERY);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_filled_in() {
        let filled = Site::nowhere().fill("# PORT is filled in.\nlisten PORT;\npid FOLDER/pid;\n");
        assert_eq!(filled, "listen 1;\npid /nonexistent/pid;\n");
    }
}
