//! An app's back end that answers as a test says, and remembers what it was asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) headers: HashMap<String, String>,
    pub(super) raw: Vec<u8>,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.raw).expect("a body in JSON")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}"))
    }
}

/// What it does with a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A status and a body in JSON.
    Json(u16, Value),
    /// All that is sent, and then the connection closes.
    Raw(&'static str),
    /// Nothing, ever.
    Hang,
    /// The connection closes.
    Die,
    /// This much of a body, as fast as it is taken.
    Huge(usize),
    /// A body of one byte each 10 ms.
    Trickle,
}

pub(super) struct BackEnd {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

pub(super) type Act = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

impl BackEnd {
    /// Answers each request; `act` is told how many there were before it.
    pub(super) async fn new(act: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, Arc::new(Mutex::default()), Arc::new(act))
    }

    pub(super) async fn always(reply: Reply) -> Self {
        Self::new(move |_, _| reply.clone()).await
    }

    pub(super) fn on(listener: TcpListener, seen: Arc<Mutex<Vec<Seen>>>, act: Arc<Act>) -> Self {
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let of_task = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            // Dropped with this task: a back end that is killed loses its connections.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of_task), Arc::clone(&act)));
            }
        });
        Self { url, seen, serving }
    }

    /// Ends it, with all its connections.
    pub(super) async fn kill(mut self) {
        self.serving.abort();
        assert!((&mut self.serving).await.is_err(), "it served until now");
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panicked here").clone()
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, act: Arc<Act>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let before = {
            let mut seen = seen.lock().expect("no test panicked here");
            seen.push(request.clone());
            seen.len() - 1
        };
        let reply = act(before, &request);
        let stream = stream.get_mut();
        match reply {
            Reply::Json(status, body) => {
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
            }
            Reply::Raw(text) => return stream.write_all(text.as_bytes()).await,
            Reply::Hang => std::future::pending().await,
            Reply::Die => return Ok(()),
            Reply::Huge(bytes) => {
                stream
                    .write_all(format!("HTTP/1.1 200 x\r\ncontent-length: {bytes}\r\n\r\n").as_bytes())
                    .await?;
                let block = vec![b' '; 64 * 1024];
                for _ in 0..bytes.div_ceil(block.len()) {
                    stream.write_all(&block).await?;
                }
            }
            Reply::Trickle => {
                stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 100000\r\n\r\n").await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let (mut headers, mut line) = (HashMap::new(), String::new());
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut raw = vec![0; length];
    stream.read_exact(&mut raw).await?;
    Ok(Some(Seen { headers, raw }))
}
