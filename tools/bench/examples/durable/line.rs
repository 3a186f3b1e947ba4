//! A client that costs next to nothing: our own codec on a plain socket.

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::{Value, json};
use tautline_websocket::{ClientRequest, Decoder, Event, Role, encode_text};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Outcome;

pub struct Line {
    stream: TcpStream,
    decoder: Decoder,
    /// Packets that came together with one that was wanted.
    unheard: VecDeque<String>,
}

impl Line {
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let host = address.to_string();
        let request =
            ClientRequest { host: &host, path: "/connect", protocols: &[], headers: &[], nonce: [7; 16] };
        let mut out = Vec::new();
        let handshake = request.encode(&mut out)?;
        stream.write_all(&out).await?;
        let mut received = Vec::new();
        while handshake.read(&received)?.is_none() {
            if stream.read_buf(&mut received).await? == 0 {
                return Err("the server hung up".into());
            }
        }
        Ok(Self { stream, decoder: Decoder::new(Role::Client, 1 << 20), unheard: VecDeque::new() })
    }

    /// Says hello and returns the welcome.
    pub async fn hello(&mut self, body: &Value) -> Outcome<Value> {
        let mut body = body.clone();
        body["v"] = json!(1);
        self.say(&json!({"hello": body}).to_string()).await?;
        let answer =
            self.hear(|packet| packet.get("welcome").is_some() || packet.get("bye").is_some()).await?;
        answer.get("welcome").cloned().ok_or_else(|| format!("not welcome: {answer}").into())
    }

    /// Publishes and waits until it is acknowledged.
    pub async fn publish(&mut self, id: u64, channel: &str, bytes: usize) -> Outcome<()> {
        self.start_publish(id, channel, bytes).await?;
        let begins = format!("{{\"id\":{id},\"ok\"");
        self.hear_line(|line| line.starts_with(&begins)).await.map(drop)
    }

    pub async fn start_publish(&mut self, id: u64, channel: &str, bytes: usize) -> Outcome<()> {
        let data = "x".repeat(bytes - 2);
        let seen = id - 1;
        self.say(&format!(
            r#"{{"id":{id},"seen":{seen},"publish":{{"channel":"{channel}","data":"{data}"}}}}"#
        ))
        .await
    }

    /// Hears packets up to the one that is wanted.
    pub async fn hear(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Outcome<Value> {
        let is_wanted = |line: &str| serde_json::from_str(line).is_ok_and(|packet| is_wanted(&packet));
        Ok(serde_json::from_str(&self.hear_line(is_wanted).await?)?)
    }

    /// Cut, as a tunnel would.
    pub fn bye_without_a_word(&self) {
        // A reset: nothing lingers in the kernel of a machine that opens thousands of these.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }

    async fn say(&mut self, packet: &str) -> Outcome<()> {
        let mut frame = Vec::new();
        encode_text(&mut frame, packet, Some([7, 1, 9, 4]));
        Ok(self.stream.write_all(&frame).await?)
    }

    async fn hear_line(&mut self, is_wanted: impl Fn(&str) -> bool) -> Outcome<String> {
        loop {
            while let Some(line) = self.unheard.pop_front() {
                if is_wanted(&line) {
                    return Ok(line);
                }
            }
            let mut bytes = Vec::with_capacity(16 * 1024);
            if self.stream.read_buf(&mut bytes).await? == 0 {
                return Err("the server hung up".into());
            }
            let mut unread = bytes.as_mut_slice();
            while let Some(event) = self.decoder.decode(&mut unread)? {
                let Event::Text(text) = event else { return Err(format!("{event:?}").into()) };
                self.unheard.extend(text.lines().map(ToOwned::to_owned));
            }
        }
    }
}
