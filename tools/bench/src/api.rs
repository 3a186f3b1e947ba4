//! Publications through the HTTP API, one or many in a request, over connections that are kept: `tautline-bench api`.
//!
//! Start at [`run`]. At the end the server is asked how many it has: as many as were answered, or the run fails.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

use super::{
    RunContext, WARM_UP,
    args::{Load, Target},
    delivery_tracker::{histogram, record},
    procfs::Window,
    report::Figures,
    server::API_KEY,
};

/// What `api` can be told beside the usual.
#[derive(Clone, Debug, Args)]
pub struct ApiArgs {
    #[command(flatten)]
    pub(super) load: Load,
    /// Publications of one request; 1 is `publish`, more are a `batch`
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
}

/// What the connections have done since the last look.
#[derive(Clone)]
struct Tally(Rc<Counted>);

struct Counted {
    published: Cell<u64>,
    requests: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
    is_over: Cell<bool>,
}

pub(super) fn run(context: &RunContext<'_>, args: &ApiArgs) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(context, args.batch))
}

async fn measure(context: &RunContext<'_>, batch: u64) -> anyhow::Result<Figures> {
    let tally = Tally(Rc::new(Counted {
        published: Cell::new(0),
        requests: Cell::new(0),
        latency: histogram().into(),
        is_over: Cell::new(false),
    }));
    let before = published_by(&context.target).await?;
    let asking: Vec<_> = (0..context.plan.connections)
        .map(|index| {
            let request = request_of(context, index, batch);
            tokio::task::spawn_local(publish(context.target.clone(), request, batch, tally.clone()))
        })
        .collect();
    context.progress.begin("warming up", 1000);
    tokio::time::sleep(WARM_UP).await;
    let (published, requests) = (tally.0.published.get(), tally.0.requests.get());
    tally.0.latency.borrow_mut().reset();
    let window = Window::open(context.pid)?;
    context.progress.begin("publishing", 1000);
    tokio::time::sleep(context.plan.lasts).await;
    let used = window.close()?;
    let (published, requests) = (tally.0.published.get() - published, tally.0.requests.get() - requests);
    tally.0.is_over.set(true);
    for asked in asking {
        asked.await.context("a task panicked")??;
    }
    let (all, stored) = (tally.0.published.get(), published_by(&context.target).await? - before);
    ensure!(all == stored, "{all} publications were answered, and the server has {stored}");

    let mut figures = Figures::default();
    if let Some(server) = used.server {
        figures.add_cpu("server_cpu_s_per_1m_publications", server, published);
    }
    figures.add("publications_per_s", published as f64 / used.lasted.as_secs_f64());
    figures.add("requests_per_s", requests as f64 / used.lasted.as_secs_f64());
    let latency = tally.0.latency.borrow();
    figures.add_latency(["latency_p50_ms", "latency_p99_ms", "latency_max_ms"], &latency);
    figures.add_load(&used);
    Ok(figures)
}

/// One request, which is sent again and again.
fn request_of(context: &RunContext<'_>, index: usize, batch: u64) -> Vec<u8> {
    let channel = format!("{}:{}", context.name, index % context.plan.channels);
    let data = "x".repeat(context.plan.payload - 2);
    let one = format!(r#"{{"channel":"{channel}","data":"{data}"}}"#);
    if batch == 1 {
        return http(&context.target, "POST /api/v1/publish", &one);
    }
    let mut body = String::from(r#"{"entries":["#);
    for entry in 0..batch {
        let comma = if entry == 0 { "" } else { "," };
        write!(body, r#"{comma}{{"publish":{one}}}"#).expect("a string takes everything");
    }
    http(&context.target, "POST /api/v1/batch", &(body + "]}"))
}

fn http(target: &Target, line: &str, body: &str) -> Vec<u8> {
    let (host, length) = (&target.host, body.len());
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {API_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + body).into_bytes()
}

async fn publish(target: Target, request: Vec<u8>, batch: u64, tally: Tally) -> anyhow::Result<()> {
    let mut line = Line::open(&target).await?;
    while !tally.0.is_over.get() {
        let asked = Instant::now();
        let body = line.ask(&request).await?;
        let stored = memmem::find_iter(body, b"\"offset\":").count() as u64;
        ensure!(stored == batch, "{stored} of {batch}: {}", String::from_utf8_lossy(body));
        tally.0.published.set(tally.0.published.get() + batch);
        tally.0.requests.set(tally.0.requests.get() + 1);
        record(&mut tally.0.latency.borrow_mut(), asked, Instant::now());
    }
    Ok(())
}

/// Publications since the server was started.
async fn published_by(target: &Target) -> anyhow::Result<u64> {
    let mut line = Line::open(target).await?;
    let stats: serde_json::Value =
        serde_json::from_slice(line.ask(&http(target, "GET /api/v1/stats", "")).await?)?;
    stats["publications"].as_u64().context("the server counts its publications")
}

/// A connection that is kept.
struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Every answer comes within this time, or it is lost.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

impl Line {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address).await.context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Returns the body of the answer.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        tokio::time::timeout(ANSWERED_WITHIN, self.exchange(request)).await.context("lost: no answer")?
    }

    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let body = loop {
            if let Some(end) = memmem::find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server hung up");
        };
        let head = String::from_utf8_lossy(&self.read[..body]).to_ascii_lowercase();
        ensure!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&self.read));
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.context("an answer has a length")?.parse()?;
        while self.read.len() < body + length {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server hung up");
        }
        Ok(&self.read[body..body + length])
    }
}
