//! The time before a gateway serves: the store is opened by a thread, while signals and `/health/live` are answered.
//!
//! A supervisor that hears nothing takes a process for dead and starts it over, and never gets to the end of a long start.

use std::{collections::VecDeque, future::poll_fn, io, task::Poll, thread, time::Duration};

use anyhow::Context as _;
use tautline_gateway::{PROBLEM_JSON, Problem};
use tautline_process::signals::Ending;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

/// How often it is said that it still takes.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Connections that are answered at once; one more takes the place of the oldest, which has said nothing for that long.
const CONNECTIONS_MAX: usize = 64;
/// How long a request may take to come in.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// The longest head of a request that is read.
const HEAD_BYTES_MAX: usize = 8192;

/// Does `work`, which blocks, and answers meanwhile. `Err`: a signal came first, and what was begun is left alone, which a
/// store gets over as it does over a kill.
///
/// # Errors
/// What became of `work`, or that there is no thread for it.
pub(crate) async fn answer_while<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    listeners: &[&TcpListener],
    ending: impl Future<Output = Ending>,
) -> anyhow::Result<Result<T, Ending>> {
    let (give, mut done) = oneshot::channel();
    // No task: the runtime would wait for it at the end.
    thread::Builder::new()
        .name("tautline-start".to_owned())
        .spawn(move || drop(give.send(work())))
        .context("cannot start a thread")?;
    let mut ending = std::pin::pin!(ending);
    let (mut answering, mut oldest) = (JoinSet::new(), VecDeque::new());
    let mut ticks = interval(SAY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut waited = Duration::ZERO;
    loop {
        tokio::select! {
            outcome = &mut done => return outcome.context("the start panicked")?.map(Ok),
            ending = &mut ending => {
                info!(event = "start_interrupted", "{}: ending before the start is over", ending.name());
                return Ok(Err(ending));
            }
            _ = ticks.tick() => {
                waited += SAY_EVERY;
                info!(event = "store_still_opening", seconds = waited.as_secs(), "the store is still being opened");
            }
            accepted = accept_any(listeners) => match accepted {
                Ok(stream) => {
                    oldest.retain(|waiting: &AbortHandle| !waiting.is_finished());
                    if oldest.len() == CONNECTIONS_MAX
                        && let Some(silent) = oldest.pop_front()
                    {
                        silent.abort();
                    }
                    oldest.push_back(answering.spawn(timeout(REQUEST_WITHIN, answer(stream))));
                }
                Err(error) => {
                    warn!(event = "accept_failed", %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = answering.join_next() => {}
        }
    }
}

/// The next connection of any listener; without listeners, none ever.
async fn accept_any(listeners: &[&TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// Answers one request: this process lives, and is not ready for anything else.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if head.starts_with(b"GET /health/live ") {
        ("200 OK\r\ncontent-type: application/json".to_owned(), br#"{"status":"live"}"#.to_vec())
    } else {
        let problem = Problem::unavailable("this node is starting").retry_after(Some(1000));
        let status = "503 Service Unavailable\r\nretry-after: 1";
        (format!("{status}\r\ncontent-type: {PROBLEM_JSON}"), problem.into_json())
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(&[head.into_bytes(), body].concat()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::mpsc};

    use tokio::task::JoinHandle;

    use super::*;

    /// A start that is over when it is told so.
    struct Start {
        running: JoinHandle<anyhow::Result<Result<u32, Ending>>>,
        finish: mpsc::Sender<u32>,
        signal: oneshot::Sender<Ending>,
        address: SocketAddr,
    }

    impl Start {
        async fn begin() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let address = listener.local_addr().expect("it listens");
            let (finish, finished) = mpsc::channel();
            let (signal, signalled) = oneshot::channel();
            let work = move || finished.recv().context("nobody is left to tell");
            let ending = async { signalled.await.expect("the test holds it") };
            let running = tokio::spawn(async move { answer_while(work, &[&listener], ending).await });
            Self { running, finish, signal, address }
        }

        async fn end(self) {
            self.finish.send(7).expect("it waits");
            assert_eq!(self.running.await.expect("no panic").expect("it is over"), Ok(7));
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn long_start_is_live_and_not_ready() {
        let start = Start::begin().await;
        assert!(get(start.address, "/health/live").await.starts_with("HTTP/1.1 200 "));
        for path in ["/health/ready", "/connect", "/api/v1/publish"] {
            let answer = get(start.address, path).await;
            assert!(
                answer.starts_with("HTTP/1.1 503 ") && answer.contains("this node is starting"),
                "{answer}"
            );
        }
        start.end().await;
    }

    #[tokio::test]
    async fn silent_connections_do_not_delay_health_check() {
        let start = Start::begin().await;
        let mut silent = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            silent.push(TcpStream::connect(start.address).await.expect("it listens"));
        }
        let asked = timeout(REQUEST_WITHIN / 2, get(start.address, "/health/live"));
        assert!(asked.await.expect("nobody waits for them").starts_with("HTTP/1.1 200 "));
        start.end().await;
    }

    #[tokio::test]
    async fn start_that_fails_says_why() {
        let Start { running, finish, signal: _signal, .. } = Start::begin().await;
        drop(finish);
        let error = running.await.expect("no panic").expect_err("it failed");
        assert!(error.to_string().contains("nobody is left"), "{error}");
    }

    #[tokio::test]
    async fn signal_ends_start_that_takes_long() {
        let Start { running, finish: _finish, signal, .. } = Start::begin().await;
        signal.send(Ending::Terminate).expect("it listens");
        assert_eq!(running.await.expect("no panic").expect("no failure"), Err(Ending::Terminate));
    }
}
