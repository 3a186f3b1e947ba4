//! Whole games of real players against the real server, which is killed in the middle of one.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tautline_client::{Auth, Client, ClientOptions, Login, ReadFrom, Subscription};
use tautline_gold::{Dig, InRoom, Join, Joined, Leader, Moved, NewPlayer, OpenRoom, RoomSummary};
use tautline_gold_rules::{Event, Phase, Settings, Verdict, View, What};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("it happens")
}

/// The built server, and a folder of its own. Killed at the end.
struct Host {
    folder: PathBuf,
    child: Child,
    address: SocketAddr,
}

impl Host {
    fn start(test: &str) -> Self {
        Self::start_with(test, &[])
    }

    fn start_with(test: &str, args: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("gold-{test}-{}", std::process::id()));
        let (child, address) = spawn(&folder, "127.0.0.1:0", args);
        Self { folder, child, address }
    }

    /// `kill -9`, then the same folder and port again.
    fn crash_and_start(&mut self) {
        self.signal(Signal::KILL);
        (self.child, self.address) = spawn(&self.folder, &self.address.to_string(), &[]);
    }

    fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
        self.child.wait().expect("it ends");
    }

    async fn request(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }

    async fn player(&self, name: &str) -> Player {
        let new: NewPlayer =
            serde_json::from_str(&self.request("POST /gold/players", "{}").await).expect("a new player");
        let options =
            ClientOptions::new(format!("ws://{}/connect", self.address), Login::token(new.token.clone()));
        let client = Client::connect(options).expect("the options are good");
        Player { id: new.player, name: name.into(), client }
    }

    async fn rooms(&self) -> Vec<RoomSummary> {
        serde_json::from_str(&self.request("GET /gold/rooms", "").await).expect("rooms")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(folder: &std::path::Path, listen: &str, args: &[&str]) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tautline-gold"))
        .args(["--listen", listen, "--log", "warn", "--data"])
        .arg(folder)
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
    let address = line.trim().strip_prefix("open http://").and_then(|it| it.parse().ok());
    (child, address.unwrap_or_else(|| panic!("{line:?} says no address")))
}

struct Player {
    id: String,
    name: String,
    client: Client,
}

impl Player {
    async fn open(&self, settings: Settings) -> String {
        let open = OpenRoom { name: self.name.clone(), settings };
        soon(self.client.call::<Joined>("gold.open", &open)).await.expect("a room").room
    }

    async fn join(&self, room: &str) {
        let join = Join { room: room.into(), name: self.name.clone() };
        soon(self.client.call::<Joined>("gold.join", &join)).await.expect("a seat");
    }

    async fn dig(&self, room: &str, turn: u32, cell: u16) -> Result<u64, String> {
        let dig = Dig { room: room.into(), turn, cell };
        let moved = soon(self.client.call::<Moved>("gold.dig", &dig)).await;
        moved.map(|moved| moved.n).map_err(|error| error.code().to_owned())
    }

    async fn watch(&self, room: &str) -> Screen {
        let channel = format!("gold:{room}");
        let events = self.client.subscribe(&channel, ReadFrom::Start).await.expect("a channel");
        Screen { events, view: None }
    }

    async fn view(&self, room: &str) -> View {
        soon(self.client.call("gold.view", &InRoom { room: room.into() })).await.expect("a view")
    }
}

/// What a player sees: the room's events alone, each the next one.
struct Screen {
    events: Subscription,
    view: Option<View>,
}

impl Screen {
    async fn next(&mut self) -> Event {
        let publication = soon(self.events.next_publication()).await.expect("the client is open");
        let event: Event = publication.json().expect("an event");
        match &mut self.view {
            None => self.view = Some(View::of(&event)),
            Some(view) => assert!(view.apply(&event), "{} is followed by {event:?}", view.n),
        }
        event
    }

    async fn until(&mut self, n: u64) -> &View {
        while self.view.as_ref().is_none_or(|view| view.n < n) {
            self.next().await;
        }
        self.view.as_ref().expect("there was an event")
    }

    /// Whose turn it is, and its number, once the game has begun.
    async fn turn(&mut self) -> Option<(String, u32)> {
        loop {
            match self.view.as_ref().map(|view| (view.phase, view)) {
                Some((Phase::Playing { turn }, view)) => {
                    return Some((view.seats[usize::from(turn.seat)].player.clone(), turn.number));
                }
                Some((Phase::Over { .. }, _)) => return None,
                _ => drop(self.next().await),
            }
        }
    }
}

fn hidden_cell(view: &View) -> u16 {
    u16::try_from(view.cells.find('.').expect("a cell is not open")).expect("a cell")
}

/// One move of whose turn it is. False: the game is over.
async fn one_move(players: &[&Player], screen: &mut Screen, room: &str) -> bool {
    let Some((id, turn)) = screen.turn().await else { return false };
    let player = players.iter().find(|player| player.id == id).expect("a player");
    let cell = hidden_cell(screen.view.as_ref().expect("a view"));
    let n = player.dig(room, turn, cell).await.expect("it is the player's turn");
    // The same move again is the same move: it is accepted, and `Screen` would see a second one.
    let again = player.dig(room, turn, cell).await;
    assert!(again.as_ref().is_ok_and(|last| *last >= n), "{again:?} after {n}");
    screen.until(n).await;
    true
}

#[tokio::test]
async fn whole_game_is_the_same_on_every_screen() {
    let host = Host::start("whole");
    let (ann, bo, late) =
        (host.player("Ann").await, host.player("小波").await, host.player("a spectator").await);
    let room = ann.open(Settings::default()).await;
    let waiting = host.rooms().await;
    assert_eq!((waiting[0].room.as_str(), waiting[0].is_waiting), (room.as_str(), true));
    assert_eq!(waiting[0].players, ["Ann"]);
    bo.join(&room).await;

    let (mut screen, mut other) = (ann.watch(&room).await, bo.watch(&room).await);
    let (first, turn) = screen.turn().await.expect("it has begun");
    let (on_turn, waits) = if first == ann.id { (&ann, &bo) } else { (&bo, &ann) };
    assert_eq!(waits.dig(&room, turn, 0).await, Err("not_your_turn".into()));
    assert_eq!(late.dig(&room, turn, 0).await, Err("no_seat".into()));
    assert_eq!(on_turn.dig(&room, turn, 100).await, Err("no_such_cell".into()));
    while one_move(&[&ann, &bo], &mut screen, &room).await {}

    let end = screen.view.clone().expect("a view");
    assert_eq!(end.phase, Phase::Over { why: Verdict::Found });
    assert_eq!(other.until(end.n).await, &end);
    assert_eq!(late.watch(&room).await.until(end.n).await, &end);
    assert_eq!(late.view(&room).await, end);
    assert_eq!(end.gold_left(), 0);

    let leaders = loop {
        let leaders: Vec<Leader> =
            serde_json::from_str(&host.request("GET /gold/leaders", "").await).expect("leaders");
        // The results are saved after the last event.
        if !leaders.is_empty() && host.rooms().await.is_empty() {
            break leaders;
        }
    };
    assert_eq!(leaders.iter().map(|leader| leader.gold).sum::<i64>(), 20);
    assert!(leaders[0].won == 1 && leaders[0].gold >= 10, "{leaders:?}");
}

#[tokio::test]
async fn killed_server_loses_and_doubles_no_move() {
    let mut host = Host::start("killed");
    let (ann, bo) = (host.player("Ann").await, host.player("Bo").await);
    let room = ann.open(Settings::default()).await;
    bo.join(&room).await;
    let (mut screen, mut other) = (ann.watch(&room).await, bo.watch(&room).await);
    for _ in 0..3 {
        assert!(one_move(&[&ann, &bo], &mut screen, &room).await);
    }
    let before = screen.view.clone().expect("a view");
    host.crash_and_start();
    assert!(host.rooms().await.iter().any(|open| open.room == room && !open.is_waiting));
    let resumed = screen.next().await;
    assert!(matches!(resumed.what, What::Resumed { turn: Some(_) }), "{resumed:?}");
    let after = screen.view.clone().expect("a view");
    assert_eq!((after.cells, after.n), (before.cells, before.n + 1));
    while one_move(&[&ann, &bo], &mut screen, &room).await {}
    let end = screen.view.clone().expect("a view");
    assert_eq!(end.phase, Phase::Over { why: Verdict::Found });
    assert_eq!(other.until(end.n).await, &end);
    // One who reads the channel from its start sees each event once.
    assert_eq!(host.player("late").await.watch(&room).await.until(end.n).await, &end);
}

#[tokio::test]
async fn stopped_server_ends_and_starts_again() {
    let mut host = Host::start("stopped");
    let ann = host.player("Ann").await;
    let room = ann.open(Settings::default()).await;
    host.signal(Signal::TERM);
    (host.child, host.address) = spawn(&host.folder, &host.address.to_string(), &[]);
    let view = ann.view(&room).await;
    assert_eq!((view.phase, view.seats.len()), (Phase::Waiting, 1));
    // The token is as good as before.
    let bo = host.player("Bo").await;
    bo.join(&room).await;
    assert!(bo.watch(&room).await.turn().await.is_some());
}

#[tokio::test]
async fn second_server_on_the_same_folder_is_refused() {
    let host = Host::start("second");
    let ann = host.player("Ann").await;
    let room = ann.open(Settings::default()).await;
    let second = Command::new(env!("CARGO_BIN_EXE_tautline-gold"))
        .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data"])
        .arg(&host.folder)
        .output()
        .expect("it ends");
    assert!(!second.status.success(), "{second:?}");
    // The first one goes on.
    let bo = host.player("Bo").await;
    bo.join(&room).await;
    assert!(bo.watch(&room).await.turn().await.is_some());
}

#[tokio::test]
async fn code_of_a_mini_program_logs_in_where_the_mock_runs() {
    let host = Host::start_with("code", &["--mock-login"]);
    let url = format!("ws://{}/connect", host.address);
    let code = || async { Ok(Auth::Code { code: "ann.1".into(), provider: "wechat".into() }) };
    let options = ClientOptions::new(url, Login::ask(move |_| code()));
    let client = Client::connect(options).expect("the options are good");
    let ann = Player { id: "wechat:ann".into(), name: "Ann".into(), client };
    let room = ann.open(Settings::default()).await;
    assert_eq!(ann.view(&room).await.seats[0].player, "wechat:ann");
    let bo = host.player("Bo").await;
    bo.join(&room).await;
    assert!(ann.watch(&room).await.turn().await.is_some());
}

#[tokio::test]
async fn stranger_and_bad_settings_are_refused() {
    let host = Host::start("refused");
    let ann = host.player("Ann").await;
    let open = OpenRoom { name: "Ann".into(), settings: Settings { gold: 90, ..Settings::default() } };
    let refused = soon(ann.client.call::<Joined>("gold.open", &open)).await.expect_err("too much gold");
    assert_eq!(refused.code(), "bad_request");
    let nowhere = InRoom { room: "nowhere".into() };
    let refused = soon(ann.client.call::<View>("gold.view", &nowhere)).await.expect_err("no such room");
    assert_eq!(refused.code(), "not_found");
}
