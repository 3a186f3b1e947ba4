//! The server: the release binary with a disk in a folder of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::Outcome;

pub struct Server {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
}

impl Server {
    /// Starts the binary that lies beside the folder of examples.
    pub fn start() -> Outcome<Self> {
        let example = std::env::current_exe()?;
        let target = example.parent().and_then(|folder| folder.parent()).ok_or("no target folder")?;
        let folder = target.join(format!("durable-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut child = Command::new(target.join("tautline"))
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--log", "warn", "--engine"])
            .arg(format!("disk:{}", folder.join("data").display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no stdout")?).read_line(&mut line)?;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address =
            address.ok_or("the binary did not start: cargo build --release -p tautline")?.parse()?;
        Ok(Self { child, folder, address })
    }

    /// CPU that the process has used so far, user and system.
    pub fn cpu(&self) -> Outcome<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
        // proc(5): fields 14 and 15, in ticks of a hundredth of a second; the first two went with the name.
        let ticks: u64 = fields[12].parse::<u64>()? + fields[13].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    pub fn end(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}

/// One descriptor a client.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
