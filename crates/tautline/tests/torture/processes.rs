//! The gateway, a process of its own, and the bad network before it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use tautline_chaos::{Chaos, Selector, StormReport};
use tautline_netem::{Rules, StormPlan};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::api::API_KEY;

/// Where the gateway is looked for a port: below those that the system gives to others.
const PORTS: std::ops::Range<u16> = 21_000..31_000;
/// The logs keep everything, and dead lines are noticed within seconds.
const CONFIG: &str = r#"
[[channels]]
match = "*"
history = { count = 10_000_000, bytes = "1GiB", age = "7d" }
[limits]
ping_ms = 2_000
pong_ms = 2_000
[drain]
spread = "1s"
timeout = "5s"
"#;

/// Both of them.
pub struct Rig {
    gateway: Mutex<Child>,
    address: SocketAddr,
    folder: PathBuf,
    durability: String,
    chaos: Arc<Chaos>,
    storm: Mutex<Option<JoinHandle<StormReport>>>,
}

impl Rig {
    /// Starts both; the storm begins at once.
    pub async fn start(durability: &str, seed: u64, seconds: u64) -> Self {
        raise_open_files(8_192);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let config = format!("[server]\ndurability = \"{durability}\"\n{CONFIG}");
        fs::write(folder.join("tautline.toml"), config).expect("the folder can be written");
        let address = free_address();
        let gateway = start_gateway(&folder, address);
        let chaos = Chaos::builder().upstream(address.to_string()).rules(Rules::wifi()).seed(seed);
        let chaos = Arc::new(chaos.start().await.expect("the proxy starts"));
        let plan = StormPlan {
            lasts_ms: seconds * 1_000,
            every_ms_least: 5,
            every_ms_most: 50,
            ..StormPlan::default()
        };
        let network = Arc::clone(&chaos);
        let storm = tokio::spawn(async move {
            let report = network.run_storm(seed, plan, &Selector::All).await.expect("the plan is valid");
            network.heal(&Selector::All).expect("everybody can be healed");
            report
        });
        Self {
            gateway: Mutex::new(gateway),
            address,
            folder,
            durability: durability.to_owned(),
            chaos,
            storm: Mutex::new(Some(storm)),
        }
    }

    /// The gateway, without a network before it.
    pub const fn direct(&self) -> SocketAddr {
        self.address
    }

    /// The gateway behind the bad network.
    pub fn through_chaos(&self) -> SocketAddr {
        self.chaos.addr()
    }

    pub fn signal(&self, signal: Signal) {
        let gateway = self.gateway.lock().expect("nobody panics over it");
        kill_process(Pid::from_child(&gateway), signal).expect("the process is there");
    }

    /// As `kill -9` and a service manager would.
    pub async fn kill_and_restart(self: &Arc<Self>) {
        self.signal(Signal::KILL);
        self.restart(None).await;
    }

    /// As a deployment would.
    pub async fn drain_and_restart(self: &Arc<Self>) {
        self.signal(Signal::TERM);
        self.restart(Some(0)).await;
    }

    async fn restart(self: &Arc<Self>, code: Option<i32>) {
        let rig = Arc::clone(self);
        let restart = move || {
            let mut gateway = rig.gateway.lock().expect("nobody panics over it");
            let ended = gateway.wait().expect("it was started");
            assert_eq!(ended.code(), code, "a drained gateway ends well, a killed one has no code");
            *gateway = start_gateway(&rig.folder, rig.address);
        };
        spawn_blocking(restart).await.expect("it starts again");
    }

    /// Waits until the network is whole again.
    pub async fn storm_is_over(&self) {
        let storm = self.storm.lock().expect("nobody panics over it").take().expect("it is waited for once");
        let report = storm.await.expect("the storm ends");
        println!("the storm is over, {} faults made {} hits", report.faults, report.hits);
    }

    /// The gateway ends by itself, and its folder goes.
    pub fn ends_well(&self) {
        self.signal(Signal::TERM);
        let ended = self.gateway.lock().expect("nobody panics over it").wait().expect("it was started");
        assert_eq!(ended.code(), Some(0), "{} did not close", self.durability);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Ok(gateway) = self.gateway.get_mut() {
            // Already gone where all went well.
            let _ = gateway.kill();
            let _ = gateway.wait();
        }
    }
}

/// The binary, without the environment of the test run.
fn tautline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tautline"));
    for name in ["LISTEN", "NODE", "AUTH_SECRET", "API_KEY", "TICKET_KEYS"] {
        command.env_remove(format!("TAUTLINE_{name}"));
    }
    command.env("RUST_LOG", "warn");
    command
}

/// Starts the gateway, and returns when it is ready.
fn start_gateway(folder: &Path, address: SocketAddr) -> Child {
    let mut child = tautline()
        .env("TAUTLINE_API_KEY", API_KEY)
        .args(["serve", "--dev", "--listen", &address.to_string(), "--config"])
        .arg(folder.join("tautline.toml"))
        .arg("--engine")
        .arg(format!("disk:{}", folder.join("data").display()))
        .stdout(Stdio::piped())
        .stderr(log_of(folder))
        .spawn()
        .expect("the binary was built");
    let line = next_line(&mut BufReader::new(child.stdout.take().expect("stdout is piped")));
    if !line.contains("listening") {
        let log = fs::read_to_string(folder.join("gateway.log")).unwrap_or_default();
        panic!("the gateway did not start: {line:?}\n{log}");
    }
    child
}

/// Every process of the gateway writes into one file.
fn log_of(folder: &Path) -> Stdio {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("gateway.log"));
    log.expect("the folder can be written").into()
}

fn next_line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).expect("stdout can be read");
    line
}

/// A port that every process of the gateway listens on.
fn free_address() -> SocketAddr {
    let begin = PORTS.start + u16::try_from(std::process::id() % 5_000).expect("small");
    let mut addresses = (begin..PORTS.end).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("a port is free")
}

fn raise_open_files(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    }
}
