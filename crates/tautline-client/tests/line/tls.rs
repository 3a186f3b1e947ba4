//! The same line inside of TLS, to a terminator in this process that a private authority vouches for.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tautline_client::{
    Client, ClientEvent, ClientOptions, DropCause, Dropped, HistoryPlace, ReadFrom, State, Tls,
};
use tautline_gateway::{Retention, Tls as ServerTls, TlsCertificate};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        version::{TLS12, TLS13},
    },
};

use crate::stage::{Cable, client, guest, next_publication, open_gateway, serve, soon, subscribed};

/// Vouches for servers, and is known to nobody who was not told.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs for itself"))
    }

    /// Trusts this authority, and nobody else.
    fn trusted(&self) -> Tls {
        Tls::default().without_system_roots().with_roots(self.0.pem()).expect("it can be a root")
    }

    /// A new certificate for `name`, as the gateway takes it.
    fn issue(&self, name: &str) -> TlsCertificate {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("the authority signs").pem();
        TlsCertificate::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes())
            .expect("both are whole")
    }

    /// Ends TLS in front of `upstream`, for who wants to talk to `name`.
    async fn terminate(
        &self,
        name: &str,
        version: &'static SupportedProtocolVersion,
        upstream: SocketAddr,
    ) -> SocketAddr {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("the authority signs");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("ring knows it")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        // As a load balancer would: who does not ask for HTTP/1.1 gets what no WebSocket is opened on.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut near = acceptor.accept(near).await?;
                    assert_eq!(near.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
                    let mut far = TcpStream::connect(upstream).await?;
                    copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        address
    }
}

#[tokio::test]
async fn clients_stay_through_reloads_of_the_gateways_certificate() {
    const CLIENTS: usize = 30;
    const RELOADS: u64 = 20;
    let (authority, another) = (Authority::new("ours"), Authority::new("another"));
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let certificates = ServerTls::new(vec![authority.issue("127.0.0.1")]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(gateway.serve_tls(listener, certificates.clone()));
    let mut rooms = Vec::new();
    for _ in 0..CLIENTS {
        let line = client(secure(address, authority.trusted()));
        let events = line.events();
        let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
        subscribed(&mut room).await;
        rooms.push((line, events, room));
    }
    for number in 1..=RELOADS {
        certificates.replace(vec![another.issue("127.0.0.1")]).unwrap();
        // New handshakes see the new certificate; everybody else stays.
        let refused = drops(&client(secure(address, authority.trusted())), 1).await.remove(0);
        assert_eq!(refused.cause, DropCause::TlsFailed);
        rooms[0].0.publish("room:7", &number).await.unwrap();
        for (_, _, room) in &mut rooms {
            assert_eq!(next_publication(room).await.offset, number);
        }
    }
    for (_, events, _) in &mut rooms {
        while let Ok(event) = events.try_recv() {
            assert!(!matches!(event, ClientEvent::Dropped(_)), "{event:?}");
        }
    }
}

fn secure(address: SocketAddr, tls: Tls) -> ClientOptions {
    ClientOptions { url: format!("wss://{address}/connect"), tls, ..guest(address) }
}

async fn drops(line: &Client, count: usize) -> Vec<Dropped> {
    let mut events = line.events();
    let mut drops = Vec::new();
    while drops.len() < count {
        if let ClientEvent::Dropped(dropped) = soon(events.recv()).await.expect("the client lives") {
            drops.push(dropped);
        }
    }
    drops
}

#[tokio::test]
async fn a_line_that_is_cut_without_a_goodbye_of_tls_resumes_and_loses_nothing() {
    const PUBLICATIONS: u64 = 200;
    for version in [&TLS13, &TLS12] {
        let authority = Authority::new("ours");
        let gateway = open_gateway(Retention::default()).build().unwrap();
        let terminator = authority.terminate("127.0.0.1", version, serve(&gateway).await).await;
        // Between the client and TLS: what is pulled sends no close_notify.
        let cable = Cable::to(terminator).await;
        let line = client(secure(cable.address, authority.trusted()));
        let mut events = line.events();
        let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
        subscribed(&mut room).await;
        let publisher = tokio::spawn({
            let line = line.clone();
            async move {
                for number in 1..=PUBLICATIONS {
                    let published = line.publish("room:7", &number).await.expect("each publish settles well");
                    assert_eq!(published.offset, number, "executed once, in order");
                }
            }
        });
        for expected in 1..=PUBLICATIONS {
            assert_eq!(next_publication(&mut room).await.offset, expected);
            if expected % 40 == 0 {
                cable.pull();
            }
        }
        soon(publisher).await.expect("the publisher is content");

        let (mut welcomes, mut resumed) = (0, 0);
        while let Ok(event) = events.try_recv() {
            match event {
                ClientEvent::Welcome(welcome) => {
                    welcomes += 1;
                    resumed += u32::from(welcome.resumed);
                }
                ClientEvent::Dropped(dropped) => assert_eq!(dropped.cause, DropCause::Unknown, "{dropped:?}"),
                _ => {}
            }
        }
        assert!(welcomes > 1 && resumed == welcomes - 1, "{resumed} of {welcomes}");
        soon(line.close()).await;
    }
}

#[tokio::test]
async fn what_is_many_records_long_goes_through_in_both_directions_and_to_the_letter() {
    let authority = Authority::new("ours");
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let terminator = authority.terminate("127.0.0.1", &TLS13, serve(&gateway).await).await;
    let mut options = secure(terminator, authority.trusted());
    options.session.outbox_bytes_max = 8 * 1024 * 1024;
    let line = client(options);
    let long = "0123456789abcdef".repeat(60 * 64);
    let publishers = (0..12).map(|_| {
        let (line, long) = (line.clone(), long.clone());
        tokio::spawn(async move { line.publish("room:7", &long).await })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        soon(publisher).await.unwrap().unwrap();
    }
    let mut room = line.subscribe("room:7", ReadFrom::Start).await.unwrap();
    for _ in 0..12 {
        assert_eq!(next_publication(&mut room).await.json::<String>().unwrap(), long);
    }
    let page = soon(line.history("room:7", HistoryPlace::Newest, 2)).await.unwrap();
    assert_eq!(page.publications.len(), 2);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_cause_of_its_own_and_is_not_tried_again_in_a_storm() {
    let (authority, another) = (Authority::new("ours"), Authority::new("another"));
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let terminator = authority.terminate("127.0.0.1", &TLS13, serve(&gateway).await).await;
    let mut cable = Cable::to(terminator).await;
    let mut options = secure(cable.address, another.trusted());
    options.session.retry_base_ms = 3_600_000;
    options.session.retry_max_ms = 3_600_000;
    let line = client(options);
    // The first retry is at once, as always; then it waits.
    for dropped in drops(&line, 2).await {
        assert_eq!((dropped.cause, dropped.online), (DropCause::TlsFailed, false));
        let message = dropped.message.expect("TLS says why");
        assert!(message.contains("Tls::with_roots"), "{message}");
    }
    assert!(soon(line.wait_for(|state| matches!(state, State::Waiting { .. }))).await);
    cable.accepted(2).await;
    assert_eq!(cable.accepted_count(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_name_and_a_server_without_tls_are_named_as_they_are() {
    let authority = Authority::new("ours");
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let plain = serve(&gateway).await;
    let other_name = authority.terminate("line.example", &TLS13, plain).await;
    for (address, words) in [(other_name, "not valid for name"), (plain, "is it ws:// there?")] {
        let dropped = drops(&client(secure(address, authority.trusted())), 1).await.remove(0);
        assert_eq!(dropped.cause, DropCause::TlsFailed);
        let message = dropped.message.expect("TLS says why");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_server_that_takes_the_connection_and_never_answers_costs_no_more_than_the_connect_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = secure(silent.local_addr().unwrap(), Authority::new("ours").trusted());
    options.session.connect_timeout_ms = 50;
    let dropped = drops(&client(options), 1).await.remove(0);
    assert_eq!(dropped.cause, DropCause::ConnectTimeout);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_not_found_before_any_tls() {
    let mut options = secure("127.0.0.1:1".parse().unwrap(), Authority::new("ours").trusted());
    options.url = "wss://nobody.invalid".to_owned();
    assert_eq!(drops(&client(options), 1).await[0].cause, DropCause::DnsFailed);
}
