//! The chaos proxy on real sockets: what each end of a connection sees when the network fails.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach the helpers beside them")]

#[path = "chaos/control.rs"]
mod control;
#[path = "chaos/stage.rs"]
mod stage;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use stage::{Stage, expect, expect_end, expect_nothing, expect_reset, group, name_of, say, soon, until};
use tautline_chaos::{Chaos, ChaosError, Selector};
use tautline_netem::{Direction, Fault, Rules, StormPlan, Unplugged};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[tokio::test]
async fn bytes_pass_unchanged_under_jitter_and_loss() {
    let rules = Rules { latency_ms: 2, jitter_ms: 5, loss: 0.1, loss_penalty_ms: 10, ..Rules::default() };
    let stage = Stage::under(rules).await;
    let pair = stage.pair("a").await;
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let pass = async |mut from: TcpStream, to: &mut TcpStream| {
        let mut read = vec![0; sent.len()];
        let (wrote, all) = tokio::join!(from.write_all(&sent), to.read_exact(&mut read));
        wrote.unwrap();
        all.unwrap();
        assert_eq!(read, sent);
        from
    };
    let (mut client, mut server) = (pair.client, pair.server);
    client = soon(pass(client, &mut server)).await;
    soon(pass(server, &mut client)).await;
}

#[tokio::test]
async fn latency_is_felt_both_ways() {
    let stage = Stage::under(Rules { latency_ms: 40, ..Rules::default() }).await;
    let mut pair = stage.pair("a").await;
    let sent = Instant::now();
    say(&mut pair.client, "ping").await;
    expect(&mut pair.server, "ping").await;
    say(&mut pair.server, "pong").await;
    expect(&mut pair.client, "pong").await;
    assert!(sent.elapsed() >= Duration::from_millis(80), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn an_orderly_close_passes_through_half_by_half() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    pair.client.shutdown().await.unwrap();
    expect_end(&mut pair.server).await;
    say(&mut pair.server, "last words").await;
    drop(pair.server);
    expect(&mut pair.client, "last words").await;
    expect_end(&mut pair.client).await;
    until(|| stage.chaos.connections().len(), 0).await;
}

#[tokio::test]
async fn dying_peer_resets_the_other_end() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    pair.client.set_zero_linger().unwrap();
    drop(pair.client);
    expect_reset(&mut pair.server).await;
    until(|| stage.chaos.connections().len(), 0).await;
}

#[tokio::test]
async fn a_cut_resets_both_ends() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    assert_eq!(stage.chaos.fault(Fault::Cut, &Selector::All).unwrap(), 1);
    expect_reset(&mut pair.client).await;
    expect_reset(&mut pair.server).await;
    until(|| stage.chaos.connections().len(), 0).await;
}

#[tokio::test]
async fn a_cut_reaches_a_client_that_reads_nothing() {
    let stage = Stage::new().await;
    let pair = stage.pair("a").await;
    // Full is when no socket on the way has taken a byte for a while.
    let chunk = vec![0; 64 * 1024];
    while timeout(Duration::from_millis(200), pair.server.writable()).await.is_ok() {
        let wrote = pair.server.try_write(&chunk).map_err(|error| error.kind());
        assert!(matches!(wrote, Ok(_) | Err(ErrorKind::WouldBlock)), "{wrote:?}");
    }
    stage.chaos.fault(Fault::Cut, &Selector::All).unwrap();
    until(|| stage.chaos.connections().len(), 0).await;
    let mut client = pair.client;
    let read = soon(client.read_to_end(&mut Vec::new())).await;
    assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_fin_closes_both_ends_in_order() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    stage.chaos.fault(Fault::Fin, &Selector::All).unwrap();
    expect_end(&mut pair.client).await;
    expect_end(&mut pair.server).await;
}

#[tokio::test]
async fn half_open_up_drops_bytes_and_stays_open() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    let fault = Fault::HalfOpen { direction: Direction::Up, for_ms: None };
    stage.chaos.fault(fault, &Selector::Connection(stage.only_connection())).unwrap();
    say(&mut pair.client, "hello?").await;
    until(|| stage.swallowed_bytes(), 6).await;
    say(&mut pair.server, "anybody there?").await;
    expect(&mut pair.client, "anybody there?").await;
    expect_nothing(&pair.server);
    expect_nothing(&pair.client);
}

#[tokio::test]
async fn client_close_behind_half_open_is_not_forwarded() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    stage.chaos.fault(Fault::half_open(), &Selector::All).unwrap();
    say(&mut pair.client, "bye").await;
    drop(pair.client);
    until(|| stage.swallowed_bytes(), 3).await;
    expect_nothing(&pair.server);
    stage.chaos.heal(&Selector::All).unwrap();
    expect_reset(&mut pair.server).await;
}

#[tokio::test]
async fn a_stall_delivers_everything_when_it_is_over() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    stage.chaos.fault(Fault::Stall { direction: Direction::Both, for_ms: None }, &Selector::All).unwrap();
    say(&mut pair.client, "patience").await;
    say(&mut pair.server, "a virtue").await;
    stage.chaos.heal(&Selector::All).unwrap();
    expect(&mut pair.server, "patience").await;
    expect(&mut pair.client, "a virtue").await;
}

#[tokio::test]
async fn background_kill_reports_only_to_the_client() {
    let stage = Stage::new().await;
    let mut pair = stage.pair("a").await;
    let fault = Fault::BackgroundKill { after_ms: 0, server_told_ms: None, client_told_ms: Some(10) };
    stage.chaos.fault(fault, &Selector::All).unwrap();
    expect_end(&mut pair.client).await;
    say(&mut pair.server, "are you asleep?").await;
    until(|| stage.swallowed_bytes(), 15).await;
    expect_nothing(&pair.server);
}

#[tokio::test]
async fn unplug_affects_one_group_only() {
    let stage = Stage::new().await;
    let mut a = stage.pair("phone-a").await;
    let mut b = stage.pair("phone-b").await;
    assert_eq!(stage.chaos.unplug(&name_of("phone-a"), Unplugged::Refuse).unwrap(), 1);

    say(&mut a.client, "lost").await;
    until(|| stage.swallowed_bytes(), 4).await;
    expect_nothing(&a.server);
    expect_nothing(&a.client);
    say(&mut b.client, "fine").await;
    expect(&mut b.server, "fine").await;
    expect_reset(&mut stage.knock("phone-a").await).await;

    stage.chaos.plug(&name_of("phone-a"));
    expect_reset(&mut a.client).await;
    expect_reset(&mut a.server).await;
    let mut again = stage.pair("phone-a").await;
    say(&mut again.client, "back").await;
    expect(&mut again.server, "back").await;
}

#[tokio::test]
async fn hanging_connection_is_admitted_on_plug() {
    let stage = Stage::new().await;
    stage.chaos.unplug(&name_of("a"), Unplugged::Hang).unwrap();
    let mut client = stage.knock("a").await;
    let hanging = || stage.chaos.connections().iter().filter(|connection| connection.hanging).count();
    until(hanging, 1).await;
    expect_nothing(&client);
    stage.chaos.plug(&name_of("a"));
    let mut server = stage.welcome("a").await;
    say(&mut server, "there you are").await;
    expect(&mut client, "there you are").await;
    assert_eq!(hanging(), 0);
}

#[tokio::test]
async fn hanging_client_that_leaves_is_forgotten() {
    let stage = Stage::new().await;
    stage.chaos.unplug(&name_of("a"), Unplugged::Hang).unwrap();
    let client = stage.knock("a").await;
    until(|| stage.chaos.connections().len(), 1).await;
    drop(client);
    until(|| stage.chaos.connections().len(), 0).await;
}

#[tokio::test]
async fn refusal_affects_new_connections_of_one_group() {
    let stage = Stage::new().await;
    let mut old = stage.pair("a").await;
    assert_eq!(stage.chaos.fault(Fault::Refuse { for_ms: None }, &group("a")).unwrap(), 0);
    expect_reset(&mut stage.knock("a").await).await;
    say(&mut old.client, "still here").await;
    expect(&mut old.server, "still here").await;
    stage.pair("b").await;
    stage.chaos.heal(&group("a")).unwrap();
    stage.pair("a").await;
}

#[tokio::test]
async fn missing_upstream_resets_the_client() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stage = Stage::with(|builder| builder.upstream(gone.to_string())).await;
    expect_reset(&mut stage.knock("a").await).await;
}

#[tokio::test]
async fn one_connection_too_many_is_reset() {
    let stage = Stage::with(|builder| builder.connections_max(1)).await;
    let _pair = stage.pair("a").await;
    let mut client = TcpStream::connect(stage.chaos.addr()).await.unwrap();
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn silent_client_is_admitted_after_a_second() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let chaos = Chaos::builder().upstream(upstream).start().await.unwrap();
    let mut client = TcpStream::connect(chaos.addr()).await.unwrap();
    let (mut greeter, _) = soon(server.accept()).await.unwrap();
    say(&mut greeter, "220 welcome").await;
    expect(&mut client, "220 welcome").await;
}

#[tokio::test]
async fn a_storm_hits_and_fair_weather_follows() {
    let stage = Stage::new().await;
    let mut pairs = Vec::new();
    for _ in 0..8 {
        pairs.push(stage.pair("a").await);
    }
    let plan = StormPlan { lasts_ms: 300, every_ms_least: 5, every_ms_most: 20, ..StormPlan::default() };
    let report = soon(stage.chaos.run_storm(7, plan, &Selector::All)).await.unwrap();
    assert!(report.faults >= 15 && report.hits > 0, "{report:?}");
    stage.chaos.heal(&Selector::All).unwrap();
    let mut pair = stage.pair("a").await;
    say(&mut pair.client, "calm").await;
    expect(&mut pair.server, "calm").await;
}

#[tokio::test]
async fn dropped_proxy_closes_its_connections() {
    let Stage { chaos, .. } = Stage::new().await;
    let addr = chaos.addr();
    let mut client = TcpStream::connect(addr).await.unwrap();
    drop(chaos);
    let read = soon(client.read(&mut [0; 8])).await;
    assert!(!matches!(read, Ok(1..)), "{read:?}");
    let refused = async || TcpStream::connect(addr).await.is_err();
    while !soon(refused()).await {}
}

#[tokio::test]
async fn a_proxy_that_cannot_be_says_why() {
    let error = |builder: tautline_chaos::ChaosBuilder| async move { builder.start().await.err().unwrap() };
    assert!(matches!(error(Chaos::builder()).await, ChaosError::NoUpstream));
    let lossy = Chaos::builder().upstream("x:1").rules(Rules { loss: 2.0, ..Rules::default() });
    assert!(matches!(error(lossy).await, ChaosError::Rules(_)));
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = Chaos::builder().upstream("x:1").listen(taken.local_addr().unwrap());
    assert!(matches!(error(listen).await, ChaosError::Listen { .. }));
}
