//! Many rooms at once on one server: memory, CPU, and how long it takes from a dig until everybody in the room sees it.
//!
//! ```sh
//! cargo build --release -p tautline-gold --features load --bin tautline-gold --example load
//! target/release/examples/load --rooms 2000 --seconds 60
//! ```

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use tautline_client::{Client, ClientOptions, Login, ReadFrom, Subscription};
use tautline_gold::{Dig, Join, Joined, Moved, NewPlayer, OpenRoom};
use tautline_gold_rules::{Event, Phase, Settings, Turn, View, What};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, sleep, timeout},
};

/// Rooms that come at the same moment.
const COMING: usize = 32;
/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Cli {
    /// Rooms at once, two players in each
    #[arg(long, default_value_t = 2_000)]
    rooms: usize,
    /// How long moves are measured
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// From one move in a room to the next, in milliseconds
    #[arg(long, default_value_t = 500)]
    move_every: u64,
}

/// The server, built beside this program, on data of its own.
struct Server {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
}

impl Server {
    fn start() -> Result<Self> {
        let here = std::env::current_exe()?;
        let program = here
            .parent()
            .and_then(|examples| examples.parent())
            .context("no folder above")?
            .join("tautline-gold");
        let data = std::env::temp_dir().join(format!("gold-load-{}", std::process::id()));
        let mut child = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(&data)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("open http://").and_then(|it| it.parse().ok());
        Ok(Self { child, address: address.with_context(|| format!("{line:?} says no address"))?, data })
    }

    /// In KiB.
    fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// In hundredths of a second.
    fn cpu(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().map_err(Into::into)).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

struct Player {
    id: String,
    client: Client,
}

impl Player {
    async fn come(server: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        let request = "POST /gold/players HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                       content-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").context("an answer of HTTP")?.1;
        let new: NewPlayer = serde_json::from_str(body).with_context(|| answer.clone())?;
        let options = ClientOptions::new(format!("ws://{server}/connect"), Login::token(new.token));
        Ok(Self { id: new.player, client: Client::connect(options)? })
    }

    async fn watch(&self, room: &str) -> Result<Screen> {
        Ok(Screen {
            events: self.client.subscribe(&format!("gold:{room}"), ReadFrom::Start).await?,
            view: None,
        })
    }
}

/// What a player sees.
struct Screen {
    events: Subscription,
    view: Option<View>,
}

impl Screen {
    async fn next(&mut self) -> Result<Event> {
        let publication = self.events.next_publication().await.context("the client has ended")?;
        let event: Event = publication.json()?;
        match &mut self.view {
            None => self.view = Some(View::of(&event)),
            Some(view) => ensure!(view.apply(&event), "{} is followed by {event:?}", view.n),
        }
        Ok(event)
    }

    /// The turn, once the game has begun; none when it is over.
    async fn turn(&mut self) -> Result<Option<Turn>> {
        loop {
            match self.view.as_ref().map(|view| view.phase) {
                Some(Phase::Playing { turn }) => return Ok(Some(turn)),
                Some(Phase::Over { .. }) => return Ok(None),
                _ => drop(self.next().await?),
            }
        }
    }

    /// Until the dig at this cell is seen.
    async fn dug(&mut self, at: u16) -> Result<Instant> {
        while !matches!(self.next().await?.what, What::Dug { cell, .. } if cell == at) {}
        Ok(Instant::now())
    }
}

/// What a room has measured: the time of each move.
type Moves = Vec<Duration>;

async fn play(
    pair: &[Player; 2],
    every: Duration,
    measuring: &AtomicBool,
    over: &AtomicBool,
) -> Result<Moves> {
    let [one, other] = pair;
    let mut moves = Moves::new();
    let mut times = interval_at(tokio::time::Instant::now() + every, every);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !over.load(Ordering::Relaxed) {
        let open = OpenRoom { name: "one".into(), settings: Settings::default() };
        let room = one.client.call::<Joined>("gold.open", &open).await?.room;
        let join = Join { room: room.clone(), name: "other".into() };
        other.client.call::<Joined>("gold.join", &join).await?;
        let (mut screen, mut beside) = (one.watch(&room).await?, other.watch(&room).await?);
        while let Some(turn) = screen.turn().await? {
            times.tick().await;
            if over.load(Ordering::Relaxed) {
                break;
            }
            let view = screen.view.as_ref().context("a view")?;
            let player = &view.seats[usize::from(turn.seat)].player;
            let player = pair.iter().find(|it| it.id == *player).context("a player")?;
            let cell = u16::try_from(view.cells.find('.').context("a cell")?)?;
            let dig = Dig { room: room.clone(), turn: turn.number, cell };
            let started = Instant::now();
            let (dug, seen, seen_beside) = tokio::join!(
                player.client.call::<Moved>("gold.dig", &dig),
                screen.dug(cell),
                beside.dug(cell)
            );
            dug?;
            if measuring.load(Ordering::Relaxed) {
                moves.push(seen?.max(seen_beside?) - started);
            }
        }
    }
    Ok(moves)
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let server = Server::start()?;
    println!("empty: {} KiB", server.memory()?);
    let (measuring, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let coming = Arc::new(Semaphore::new(COMING));
    let every = Duration::from_millis(cli.move_every);
    let mut rooms = JoinSet::new();
    for _ in 0..cli.rooms {
        let turn = Arc::clone(&coming).acquire_owned().await?;
        let (address, measuring, over) = (server.address, Arc::clone(&measuring), Arc::clone(&over));
        rooms.spawn(async move {
            let pair = [Player::come(address).await?, Player::come(address).await?];
            for player in &pair {
                // The line is open with the first answer.
                timeout(
                    PATIENCE,
                    player
                        .client
                        .call::<serde_json::Value>("gold.view", &serde_json::json!({"room": "none"})),
                )
                .await?
                .err();
            }
            drop(turn);
            play(&pair, every, &measuring, &over).await
        });
    }
    drop(coming.acquire_many(u32::try_from(COMING)?).await?);
    println!("{} rooms, {} players: {} KiB", cli.rooms, 2 * cli.rooms, server.memory()?);
    // The first games have begun by then.
    sleep(Duration::from_secs(5)).await;
    let (cpu, started) = (server.cpu()?, Instant::now());
    measuring.store(true, Ordering::Relaxed);
    let mut most = 0;
    while started.elapsed() < Duration::from_secs(cli.seconds) {
        sleep(Duration::from_secs(1)).await;
        most = most.max(server.memory()?);
    }
    measuring.store(false, Ordering::Relaxed);
    let (cpu, took) = (server.cpu()? - cpu, started.elapsed());
    over.store(true, Ordering::Relaxed);
    let mut moves = Moves::new();
    while let Some(room) = rooms.join_next().await {
        moves.extend(room?.map_err(|error| anyhow!("a room: {error:#}"))?);
    }
    moves.sort_unstable();
    let at = |part: usize| moves.get((moves.len() * part / 1000).min(moves.len().saturating_sub(1)));
    let rate = moves.len() as f64 / took.as_secs_f64();
    println!("{} moves, {rate:.0} a second", moves.len());
    for (name, part) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("most", 1000)] {
        println!("{name}: {:?} from the dig until both see it", at(part).copied().unwrap_or_default());
    }
    println!("server: at most {most} KiB, {:.0} % of one core", cpu as f64 / took.as_secs_f64());
    Ok(())
}
