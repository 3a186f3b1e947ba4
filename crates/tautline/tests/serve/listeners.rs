//! Several listeners of one process: TLS whose certificate is replaced, and a Unix socket.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach the helpers beside them")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

use crate::process::Server;

const PATIENCE: Duration = Duration::from_secs(30);
const HEALTH: &[u8] = b"GET /health/ready HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// A folder with a configuration and the files of a certificate.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, config: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tautline.toml"), config.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        Self(folder)
    }

    /// Writes a new certificate, which signs for itself.
    fn issue(&self) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.write_key(&key.serialize_pem());
        fs::write(self.0.join("chain.pem"), certificate.pem()).unwrap();
        certificate.der().clone()
    }

    fn write_key(&self, pem: &str) {
        let path = self.0.join("key.pem");
        fs::write(&path, pem).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn serve(&self) -> Server {
        Server::start(&["--config", self.0.join("tautline.toml").to_str().unwrap()], &[])
    }
}

/// Whether a handshake with this certificate, and a request behind it, succeed.
fn answers_with(address: &str, certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let name = ServerName::try_from("a.example").unwrap();
    let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap();
    let tcp = TcpStream::connect(address).expect("it listens");
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    let mut answer = String::new();
    stream.write_all(HEALTH).and_then(|()| stream.read_to_string(&mut answer)).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

#[test]
fn sighup_reloads_certificates_and_keeps_good_ones() {
    let tls = "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = true\n[[tls]]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    let folder = Folder::new("certificates", tls);
    let old = folder.issue();
    let mut server = folder.serve();
    let (_, address) = server.line.split_once("https://").expect("the line has the address of TLS");
    let address = address.split_once(' ').unwrap().0.to_owned();
    assert!(answers_with(&address, &old));

    let new = folder.issue();
    server.signal(Signal::HUP);
    let begin = Instant::now();
    while !answers_with(&address, &new) {
        assert!(begin.elapsed() < PATIENCE, "the new certificate is never used");
    }
    assert!(!answers_with(&address, &old));

    folder.write_key("no key");
    server.signal(Signal::HUP);
    let line = server.log_line("cannot reload certificates");
    assert!(line.contains("those in use stay") && line.contains("key.pem"), "{line}");
    assert!(answers_with(&address, &new));
}

#[test]
fn unix_socket_answers_and_is_removed_at_the_end() {
    let config = "[[listen]]\naddress = \"unix:FOLDER/t.sock\"\nmode = \"0600\"\nserves = [\"internal\"]\n";
    let folder = Folder::new("unix", config);
    let path = folder.0.join("t.sock");
    let server = folder.serve();
    assert!(server.line.contains(&format!("unix:{}", path.display())), "{}", server.line);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(HEALTH).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.signal(Signal::TERM);
    let (code, _, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!path.exists());
}

#[test]
fn unusable_certificate_stops_the_start() {
    let tls = "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = true\n[[tls]]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    let folder = Folder::new("no-certificate", tls);
    let (code, _, log) = folder.serve().end();
    assert_eq!(code, Some(1));
    assert!(log.contains("cannot serve TLS") && log.contains("chain.pem"), "{log}");
}
