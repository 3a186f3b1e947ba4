//! What an idle connection costs: opens 10,000 connections to a server process of its own, each a guest's with one
//! subscription, and prints the server's resident bytes a connection, before and after a burst of 4 KiB messages.
//!
//! `cargo run --release --example idle [-- <connections> [<channels>]]`, with all in one channel unless told otherwise.

use std::{
    error::Error,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{json, value::to_raw_value};
use tautline_gateway::{Access, ChannelRule, Gateway, PresenceMode, PublishOptions, Retention};
use tautline_protocol::{ChannelName, Pattern};
use tautline_websocket::{ClientRequest, Decoder, Event, Role, encode_text};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CONNECTIONS: usize = 10_000;
const BURST_MESSAGES: u64 = 20;
const BURST_BYTES: usize = 4096;
/// The server's memory has settled when it did not fall for this long.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("serve") {
        return serve();
    }
    let connections = first.map_or(Ok(CONNECTIONS), |text| text.parse())?;
    let channels = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let mut server = Server::start()?;
    let measured = measure(&mut server, connections, channels);
    server.process.kill()?;
    measured
}

fn measure(server: &mut Server, connections: usize, channels: usize) -> Outcome<()> {
    // The first connections make what all of them share: threads, buffers, tables.
    let mut clients = vec![Client::connect(server.address, "channel:0")?];
    let before = server.settled_bytes()?;
    let begin = Instant::now();
    for number in clients.len()..=connections {
        clients.push(Client::connect(server.address, &format!("channel:{}", number % channels))?);
    }
    let opened = begin.elapsed();
    let report = |when: &str, bytes: u64| {
        let each = bytes.saturating_sub(before) / connections as u64;
        println!("{when}: {each} bytes a connection ({} KiB resident in all)", bytes / 1024);
    };
    println!("{connections} connections in {channels} channels, opened in {opened:.1?}");
    report("idle", server.settled_bytes()?);
    for channel in 0..channels {
        server.say(&format!("channel:{channel}"))?;
    }
    for client in &mut clients {
        client.hear_publications(BURST_MESSAGES)?;
    }
    report("idle after a burst", server.settled_bytes()?);
    Ok(())
}

/// Serves guests, and publishes a burst in each channel that a line on stdin names.
#[tokio::main]
async fn serve() -> Outcome<()> {
    let rule = ChannelRule {
        pattern: Pattern::parse("*")?,
        subscribe: Access::Any,
        publish: Access::None,
        presence: PresenceMode::Off,
        retention: Retention { count: 1, ..Retention::default() },
        ack: false,
    };
    let gateway = Gateway::builder().guests(true).rules(vec![rule]).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(gateway.serve(listener));
    let data = to_raw_value(&"x".repeat(BURST_BYTES))?;
    let reading = tokio::task::spawn_blocking(move || -> Result<(), String> {
        for line in std::io::stdin().lines() {
            let channel = ChannelName::parse(&line.map_err(|error| error.to_string())?)
                .map_err(|error| error.to_string())?;
            for _ in 0..BURST_MESSAGES {
                // Handed over at once; what comes of it is not waited for.
                drop(gateway.publish(&channel, &data, PublishOptions::default()));
            }
        }
        Ok(())
    });
    Ok(reading.await??)
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Outcome<Self> {
        let program = std::env::current_exe()?;
        let mut process =
            Command::new(program).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().ok_or("no stdout")?).read_line(&mut line)?;
        Ok(Self { address: line.trim().parse()?, process })
    }

    fn say(&mut self, line: &str) -> Outcome<()> {
        Ok(writeln!(self.process.stdin.as_mut().ok_or("no stdin")?, "{line}")?)
    }

    /// Resident memory once it does not fall any more: the allocator gives back what was freed a few seconds later.
    fn settled_bytes(&self) -> Outcome<u64> {
        let begin = Instant::now();
        let (mut lowest, mut since) = (u64::MAX, begin);
        while since.elapsed() < SETTLED_AFTER && begin.elapsed() < PATIENCE {
            let bytes = self.resident_bytes()?;
            if bytes < lowest {
                (lowest, since) = (bytes, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(lowest)
    }

    fn resident_bytes(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    /// Connects, says hello, subscribes, and waits for the answers.
    fn connect(address: SocketAddr, channel: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let host = address.to_string();
        let request =
            ClientRequest { host: &host, path: "/connect", protocols: &[], headers: &[], nonce: [7; 16] };
        let mut out = Vec::new();
        let handshake = request.encode(&mut out)?;
        stream.write_all(&out)?;
        let mut received = Vec::new();
        while handshake.read(&received)?.is_none() {
            read_some(&mut stream, &mut received)?;
        }
        let mut client = Self { stream, decoder: Decoder::new(Role::Client, 1 << 20) };
        client.say(&json!({"hello": {"v": 1, "auth": {"guest": true}}}).to_string())?;
        client.say(&json!({"id": 1, "subscribe": {"channel": channel}}).to_string())?;
        client.hear_until(|line| line.starts_with("{\"id\":1,"), 1)?;
        Ok(client)
    }

    fn say(&mut self, packet: &str) -> Outcome<()> {
        let mut frame = Vec::new();
        encode_text(&mut frame, packet, Some([7, 1, 9, 4]));
        Ok(self.stream.write_all(&frame)?)
    }

    /// Hears publications, or the gap that stands for them, up to the last of a burst.
    fn hear_publications(&mut self, last_offset: u64) -> Outcome<()> {
        let last = format!("\"offset\":{last_offset},");
        self.hear_until(|line| line.starts_with("{\"pub\"") && line.contains(&last), 1)
    }

    fn hear_until(&mut self, is_wanted: impl Fn(&str) -> bool, mut wanted: usize) -> Outcome<()> {
        while wanted > 0 {
            let mut bytes = Vec::new();
            read_some(&mut self.stream, &mut bytes)?;
            let mut unread = bytes.as_mut_slice();
            while let Some(event) = self.decoder.decode(&mut unread)? {
                let Event::Text(text) = event else { return Err(format!("{event:?}").into()) };
                wanted = wanted.saturating_sub(text.lines().filter(|line| is_wanted(line)).count());
            }
        }
        Ok(())
    }
}

fn read_some(stream: &mut TcpStream, received: &mut Vec<u8>) -> Outcome<()> {
    let mut buffer = [0; 4096];
    let bytes = stream.read(&mut buffer)?;
    received.extend_from_slice(&buffer[..bytes]);
    if bytes == 0 { Err("the server hung up".into()) } else { Ok(()) }
}
