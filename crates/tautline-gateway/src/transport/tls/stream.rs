//! A TCP stream inside of TLS that holds no buffer while it is idle.
//!
//! rustls keeps the keys; the records are decrypted and encrypted in buffers of the thread. A stream has
//! memory of its own only for an incomplete record, for plaintext that its reader has not taken, and for
//! records that the socket has not taken. The handshake is part of the first read.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{
    ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::scratch::{INCOMPLETE_BYTES_MAX, Scratch};
use crate::transport::stream::Stream;

/// The plaintext of one record, in bytes (RFC 8446 §5.1). More of one write could be held back by a socket
/// that takes nothing.
const PLAIN_BYTES_MAX: usize = 16 * 1024;

/// A server's end of TLS.
pub(crate) struct TlsStream {
    tcp: TcpStream,
    tls: Box<UnbufferedServerConnection>,
    rare: Option<Box<Rare>>,
    /// The peer sends nothing more.
    is_read_closed: bool,
    /// The peer is told that nothing more is sent, or what was wrong.
    is_write_closed: bool,
}

/// Bytes that have to wait: idle streams have none.
#[derive(Default)]
struct Rare {
    /// An incomplete record, or more records than the reader had room for.
    incoming: Vec<u8>,
    /// Decrypted bytes that the reader has not taken.
    plain: Pending,
    /// Records that the socket has not taken.
    outgoing: Pending,
}

/// Bytes that are taken from the front.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    taken: usize,
}

impl Pending {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The state of a connection whose records are all processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It needs more records to go on.
    NeedsRecords,
    /// The handshake is over: it may write.
    Open,
    /// The reader has no more room.
    ReaderFull,
    /// The peer has sent its last record.
    Ended,
}

impl TlsStream {
    /// The stream behind a socket on which nothing was read yet.
    pub(crate) fn new(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = Box::new(UnbufferedServerConnection::new(config).map_err(io::Error::other)?);
        Ok(Self { tcp, tls, rare: None, is_read_closed: false, is_write_closed: false })
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn drop_empty_rare(&mut self) {
        self.rare
            .take_if(|rare| rare.incoming.is_empty() && rare.plain.is_empty() && rare.outgoing.is_empty());
    }

    /// Writes the records that the socket has not taken before.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rare) = &mut self.rare
            && !rare.outgoing.is_empty()
        {
            let bytes = ready!(Pin::new(&mut self.tcp).poll_write(cx, rare.outgoing.rest()))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rare.outgoing.take(bytes);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes plaintext of an earlier read.
    fn take_plain(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let Some(rare) = &mut self.rare else { return false };
        let rest = rare.plain.rest();
        let bytes = rest.len().min(into.remaining());
        into.put_slice(&rest[..bytes]);
        if bytes > 0 {
            rare.plain.take(bytes);
        }
        bytes > 0
    }

    /// Reads and decrypts until the reader gets something.
    fn poll_decrypt(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
        scratch: &mut Scratch,
    ) -> Poll<io::Result<()>> {
        let incoming = &mut scratch.incoming;
        let mut used = 0;
        if let Some(rare) = &mut self.rare {
            used = rare.incoming.len();
            incoming[..used].copy_from_slice(&rare.incoming);
            rare.incoming = Vec::new();
        }
        let before = into.filled().len();
        let polled = loop {
            let (taken, step) = self.process(&mut incoming[..used], Some(into));
            incoming.copy_within(taken..used, 0);
            used -= taken;
            // An alert goes out as far as the socket takes it.
            let flushed = self.poll_outgoing(cx);
            match step {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(Step::Ended) => self.is_read_closed = true,
                Ok(_) => {}
            }
            if into.filled().len() > before || self.is_read_closed {
                break Poll::Ready(Ok(()));
            }
            match flushed {
                Poll::Ready(Ok(())) => {}
                // Reading goes no further than writing: a peer that reads no answers gets no more.
                unwritten => break unwritten,
            }
            if used > INCOMPLETE_BYTES_MAX {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "oversized handshake message",
                )));
            }
            let mut read = ReadBuf::new(&mut incoming[used..]);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    self.is_read_closed = true;
                    break Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) => used += read.filled().len(),
                not_read => break not_read,
            }
        };
        if used > 0 {
            self.rare().incoming = incoming[..used].to_vec();
        }
        polled
    }

    /// Processes records until more are needed or the reader is full. Returns how many bytes of `incoming` are
    /// done with. Plaintext goes to `into` first.
    fn process(
        &mut self,
        incoming: &mut [u8],
        mut into: Option<&mut ReadBuf<'_>>,
    ) -> (usize, io::Result<Step>) {
        if self.is_read_closed && self.is_write_closed {
            return (incoming.len(), Ok(Step::Ended));
        }
        let mut taken = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut incoming[taken..]);
            let step = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let rare = self.rare.get_or_insert_default();
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        let room = into.as_ref().map_or(0, |into| into.remaining());
                        let (now, later) = record.payload.split_at(room.min(record.payload.len()));
                        if let Some(into) = &mut into {
                            into.put_slice(now);
                        }
                        rare.plain.push(later);
                    }
                    let is_full = into.as_ref().is_some_and(|into| into.remaining() == 0);
                    is_full.then_some(Step::ReaderFull)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let rare = self.rare.get_or_insert_default();
                    append(&mut rare.outgoing.bytes, |room| data.encode(room));
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // From here on it goes before everything else.
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Step::Ended),
                Ok(ConnectionState::BlockedHandshake) => Some(Step::NeedsRecords),
                Ok(ConnectionState::WriteTraffic(_)) => Some(Step::Open),
                Ok(_) => {
                    let words = "the peer sends data before the handshake is over";
                    return (taken, Err(io::Error::new(io::ErrorKind::InvalidData, words)));
                }
                Err(error) => {
                    self.encode_alert();
                    return (taken + discard, Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            };
            taken += discard;
            if let Some(step) = step {
                return (taken, Ok(step));
            }
        }
    }

    /// What TLS has to say about an error that has ended it. It must not look at the bytes at fault again, or at any others.
    fn encode_alert(&mut self) {
        while self.tls.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) = self.tls.process_tls_records(&mut []).state
        {
            let rare = self.rare.get_or_insert_default();
            append(&mut rare.outgoing.bytes, |room| data.encode(room));
        }
        (self.is_read_closed, self.is_write_closed) = (true, true);
    }

    /// Processes what has been read before, so that the connection can write.
    fn settle(&mut self) -> io::Result<Step> {
        let mut incoming =
            self.rare.as_mut().map(|rare| std::mem::take(&mut rare.incoming)).unwrap_or_default();
        let (taken, step) = self.process(&mut incoming, None);
        incoming.drain(..taken);
        if !incoming.is_empty() {
            self.rare().incoming = incoming;
        }
        self.is_read_closed |= matches!(step, Ok(Step::Ended));
        step
    }

    /// Encrypts by `encrypt` into the thread's buffer, and writes as much as the socket takes.
    fn poll_encrypt(
        &mut self,
        cx: &mut Context<'_>,
        encrypt: impl FnOnce(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Poll<io::Result<()>> {
        if self.is_write_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if matches!(self.settle()?, Step::NeedsRecords) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the TLS handshake is not over",
            )));
        }
        ready!(self.poll_outgoing(cx))?;
        Scratch::with(|scratch| {
            let incoming = self.rare.as_mut().map(|rare| rare.incoming.as_mut_slice()).unwrap_or_default();
            let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.tls.process_tls_records(incoming).state
            else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            let bytes = encrypt(&mut traffic, &mut scratch.outgoing).map_err(io::Error::other)?;
            let mut sent = 0;
            while sent < bytes {
                match Pin::new(&mut self.tcp).poll_write(cx, &scratch.outgoing[sent..bytes])? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(more) => sent += more,
                    Poll::Pending => {
                        self.rare().outgoing.push(&scratch.outgoing[sent..bytes]);
                        break;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// Appends what `encode` writes, once it is given the room that it needs.
fn append(bytes: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let before = bytes.len();
    if let Err(EncodeError::InsufficientSize(needed)) = encode(&mut []) {
        bytes.resize(before + needed.required_size, 0);
        let encoded = encode(&mut bytes[before..]).expect("it has the room it asked for");
        bytes.truncate(before + encoded);
    }
}

impl Stream for TlsStream {
    fn address(&self) -> Option<SocketAddr> {
        self.tcp.peer_addr().ok()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.take_plain(into) || (this.is_read_closed && this.rare.is_none()) {
            this.drop_empty_rare();
            return Poll::Ready(Ok(()));
        }
        let polled = Scratch::with(|scratch| this.poll_decrypt(cx, into, scratch));
        this.drop_empty_rare();
        polled
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_outgoing(cx))?;
        let plain = &bytes[..bytes.len().min(PLAIN_BYTES_MAX)];
        ready!(this.poll_encrypt(cx, |traffic, into| traffic.encrypt(plain, into)))?;
        this.drop_empty_rare();
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_outgoing(cx))?;
        this.drop_empty_rare();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_outgoing(cx))?;
        if !this.is_write_closed {
            match ready!(this.poll_encrypt(cx, |traffic, into| traffic.queue_close_notify(into))) {
                // Before the handshake is over there is nothing to be ended.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                told => told?,
            }
            this.is_write_closed = true;
        }
        ready!(this.poll_outgoing(cx))?;
        this.drop_empty_rare();
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::{Read as _, Write as _},
    };

    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring, pki_types::ServerName,
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{Tls, TlsCertificate};

    type Client = StreamOwned<ClientConnection, std::net::TcpStream>;

    /// Both ends; the handshake waits for the first bytes.
    async fn pair() -> (Client, TlsStream) {
        let key = rcgen::KeyPair::generate().unwrap();
        let issued =
            rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let certificate = TlsCertificate::from_pem(issued.pem().as_bytes(), key.serialize_pem().as_bytes());
        let tls = Tls::new(vec![certificate.unwrap()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issued.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let name = ServerName::try_from("a.example").unwrap();
        let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (StreamOwned::new(connection, tcp), TlsStream::new(accepted, tls.config()).unwrap())
    }

    #[tokio::test]
    async fn idle_stream_holds_no_buffer() {
        let (mut client, mut server) = pair().await;
        let talking = std::thread::spawn(move || {
            client.write_all(b"question").unwrap();
            let mut answer = vec![0; 100_000];
            client.read_exact(&mut answer).unwrap();
            assert!(answer.iter().all(|byte| *byte == b'a'));
            client
        });
        let mut question = [0; 8];
        // In parts: what the reader has no room for waits.
        for part in question.chunks_mut(3) {
            server.read_exact(part).await.unwrap();
        }
        assert_eq!(&question, b"question");
        server.write_all(&[b'a'; 100_000]).await.unwrap();
        server.flush().await.unwrap();
        let _client = talking.join().unwrap();
        let is_idle = poll_fn(|cx| {
            let mut into = [0; 64];
            Poll::Ready(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut into)).is_pending())
        });
        assert!(is_idle.await && server.rare.is_none());
        assert!(size_of::<TlsStream>() <= size_of::<TcpStream>() + 24);
    }

    #[tokio::test]
    async fn both_ends_say_that_they_close() {
        let (mut client, mut server) = pair().await;
        let talking = std::thread::spawn(move || {
            client.write_all(b"bye").unwrap();
            client.conn.send_close_notify();
            client.flush().unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).map(|_| rest)
        });
        let mut said = Vec::new();
        server.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"bye");
        server.write_all(b"so long").await.unwrap();
        server.shutdown().await.unwrap();
        // Without close_notify this would be an error: the end could have been cut off.
        assert_eq!(talking.join().unwrap().unwrap(), b"so long");
    }

    /// What the server answers to `bytes` in place of the next record, until it ends the connection.
    async fn answer_to(bytes: &[u8], is_open: bool) -> Vec<u8> {
        let (mut client, mut server) = pair().await;
        if is_open {
            let talking = std::thread::spawn(move || {
                client.write_all(b"hello").unwrap();
                client
            });
            server.read_exact(&mut [0; 5]).await.unwrap();
            client = talking.join().unwrap();
        }
        client.sock.write_all(bytes).unwrap();
        let error = server.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        // Whoever has it may go on with it for a while.
        assert_eq!(server.read(&mut [0; 64]).await.unwrap(), 0);
        assert_eq!(server.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        server.shutdown().await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        // Bytes that the server has not read make its end a reset.
        let _ = client.sock.read_to_end(&mut answer);
        answer
    }

    #[tokio::test]
    async fn bytes_that_are_no_record_are_answered_by_one_alert() {
        const ALERT: u8 = 21;
        let answer = answer_to(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n", false).await;
        assert_eq!((answer.first(), answer.len()), (Some(&ALERT), 7), "{answer:?}");
        // A handshake message that would be too large: rustls has no alert for it.
        assert_eq!(answer_to(b"\x16\x03\x01\x00\x05hello", false).await, b"");
        // Application data that nobody has encrypted.
        let forged = [b"\x17\x03\x03\x00\x20".as_slice(), &[0; 32]].concat();
        for bytes in [forged.as_slice(), b"GET / HTTP/1.1\r\n\r\n"] {
            let answer = answer_to(bytes, true).await;
            // Behind the handshake an alert is encrypted, and looks like data.
            assert!(!answer.is_empty() && answer.len() < 1_024, "{bytes:?}: {answer:?}");
        }
    }
}
