//! Calls through a hook, beside the rate that the app's back end has without a gateway: `tautline-bench hooks`.
//!
//! Start at [`run`]. The back end is a process of its own (`tautline-bench back-end`): axum, as apps use it.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use axum::{Json, Router, routing::post};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tautline_process::log;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    RunContext, WARM_UP,
    args::Load,
    calls::{self, Ask},
    report::Figures,
    server::pin,
};

/// Runs the back end that `hooks` asks: it answers a call with its payload.
#[derive(Debug, Args)]
pub struct BackEndArgs {
    /// Threads of the runtime
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    threads: usize,
    /// The cores to run on, like 0 or 0,1. [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
}

/// What is read of a question, and what is answered.
#[derive(Deserialize, Serialize)]
struct Payload {
    data: Box<RawValue>,
}

#[derive(Serialize)]
struct Answer {
    result: Payload,
}

/// Serves until the process is ended; prints one line on stdout when it is ready.
///
/// # Errors
/// When it cannot listen.
pub(super) fn serve(args: &BackEndArgs) -> anyhow::Result<()> {
    pin(&args.cores)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(args.threads.max(1)).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        log::announce(&format!("back end listening on http://{}/", listener.local_addr()?));
        let answer = |Json(result): Json<Payload>| async move { Json(Answer { result }) };
        let router = Router::new().route("/", post(answer));
        axum::serve(listener, router).await.context("cannot accept any more")
    })
}

/// `tautline-bench back-end` as a child process. Ended when dropped.
pub(super) struct BackEndProcess {
    child: Child,
    pub(super) url: String,
}

impl BackEndProcess {
    pub(super) fn start(load: &Load) -> anyhow::Result<Self> {
        let server = load.own_server();
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let mut command = Command::new(program);
        command.args(["--log", "warn", "back-end", "--threads", &server.threads.to_string()]);
        if !server.cores.is_empty() {
            let cores: Vec<_> = server.cores.iter().map(usize::to_string).collect();
            command.args(["--cores", &cores.join(",")]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut back_end = Self { child: child.context("cannot start the back end")?, url: String::new() };
        let mut line = String::new();
        let stdout = back_end.child.stdout.as_mut().context("the back end has no stdout")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read what the back end says")?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        back_end.url = url.context("the back end did not start")?.to_owned();
        Ok(back_end)
    }
}

impl Drop for BackEndProcess {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to save either way.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The rate of the back end alone, then that of calls through a gateway.
pub(super) fn run(context: &RunContext<'_>, back_end: &BackEndProcess) -> anyhow::Result<Figures> {
    let address = back_end.url.trim_start_matches("http://").trim_end_matches('/').parse();
    let address: SocketAddr = address.context("the back end's address")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    context.progress.begin("asking the back end alone", 1000);
    let at_once = (context.plan.connections * context.plan.in_flight).min(MAX_AT_ONCE);
    let alone = runtime.block_on(rate(address, at_once, context.plan.payload, context.plan.lasts))?;
    let mut figures = calls::run(context, Ask::Hook)?;
    let through = figures.0.iter().find(|figure| figure.name == "answers_per_s");
    let through = through.context("calls have a rate")?.value;
    figures.add("back_end_alone_per_s", alone);
    figures.add("share_of_back_end", through / alone);
    Ok(figures)
}

/// As many as the hook has at once by default.
const MAX_AT_ONCE: usize = 256;

/// Answers a second, over so many connections that are kept.
async fn rate(address: SocketAddr, at_once: usize, payload: usize, lasts: Duration) -> anyhow::Result<f64> {
    let mut asking = JoinSet::new();
    let begin = Instant::now() + WARM_UP;
    for _ in 0..at_once {
        asking.spawn(ask(address, payload, begin, begin + lasts));
    }
    let mut answers = 0;
    while let Some(asked) = asking.join_next().await {
        answers += asked.context("a task panicked")??;
    }
    Ok(f64::from(answers) / lasts.as_secs_f64())
}

async fn ask(address: SocketAddr, payload: usize, begin: Instant, end: Instant) -> anyhow::Result<u32> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect to the back end")?;
    stream.set_nodelay(true)?;
    let body = format!(r#"{{"kind":"call","method":"hook","data":"{}"}}"#, "x".repeat(payload - 2));
    let request = format!(
        "POST / HTTP/1.1\r\nhost: back-end\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // All answers are alike: the first one says how long they are.
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"}}") {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the back end hung up");
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let mut answers = 0;
    loop {
        stream.write_all(request.as_bytes()).await?;
        stream.read_exact(&mut answer).await?;
        match Instant::now() {
            now if now >= end => return Ok(answers),
            now if now >= begin => answers += 1,
            _ => {}
        }
    }
}
