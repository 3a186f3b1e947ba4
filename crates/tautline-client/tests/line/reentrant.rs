//! Code of the app's that runs inside of the client: a login that panics, or asks the client for everything; a condition
//! that looks at the client; two subscriptions for one inbox.

use std::{
    future::{pending, ready},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, value::RawValue};
use tautline_client::{
    Auth, Client, ClientEvent, ClientOptions, DropCause, HistoryPlace, Login, LoginError, ReadFrom,
    RequestOptions, State, SubscribeError,
};
use tautline_gateway::{PublishOptions, Retention};
use tautline_protocol::ChannelName;
use tokio::runtime::Builder;

use crate::{
    SECRET,
    stage::{client, guest, next_publication, open_gateway, serve, soon, subscribed, token_of},
};

/// Long enough for a request to be asked, and to be given up.
const BRIEFLY: RequestOptions = RequestOptions {
    timeout: Some(Duration::from_millis(50)),
    idempotent: false,
    volatile: false,
    without_echo: false,
};

fn as_guest() -> Result<Auth, LoginError> {
    Ok(Auth::Guest { guest: true })
}

/// A client that logs in by `login`; and it, once there is one.
fn client_for<Answer>(
    options: ClientOptions,
    login: impl Fn(Arc<OnceLock<Client>>) -> Answer + Send + Sync + 'static,
) -> Client
where
    Answer: Future<Output = Result<Auth, LoginError>> + Send + 'static,
{
    let line = Arc::new(OnceLock::new());
    let known = Arc::clone(&line);
    let login = Login::ask(move |_renew| login(Arc::clone(&known)));
    let made = client(ClientOptions { login, ..options });
    line.get_or_init(|| made.clone());
    made
}

/// How the first line that was lost was lost.
async fn first_drop(events: &mut tokio::sync::broadcast::Receiver<ClientEvent>) -> (DropCause, String) {
    loop {
        if let ClientEvent::Dropped(dropped) = soon(events.recv()).await.expect("an event") {
            return (dropped.cause, dropped.message.unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn a_login_that_panics_is_asked_again() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let asked = AtomicUsize::new(0);
    let line = client_for(guest(serve(&gateway).await), move |_| {
        assert!(asked.fetch_add(1, Ordering::SeqCst) > 0, "out of luck");
        ready(as_guest())
    });
    let mut events = line.events();
    assert_eq!(soon(line.call::<u64>("echo", &7)).await.unwrap(), 7);
    let (cause, message) = first_drop(&mut events).await;
    assert_eq!((cause, message.as_str()), (DropCause::AuthFailed, "the login panicked: out of luck"));
}

#[tokio::test]
async fn a_login_that_panics_while_it_waits_is_asked_again() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let line = client_for(guest(serve(&gateway).await), move |_| {
        let asked = Arc::clone(&asked);
        async move {
            tokio::task::yield_now().await;
            let number = asked.fetch_add(1, Ordering::SeqCst);
            assert!(number > 0, "unlucky number {number}");
            as_guest()
        }
    });
    let mut events = line.events();
    assert_eq!(soon(line.call::<u64>("echo", &7)).await.unwrap(), 7);
    assert_eq!(first_drop(&mut events).await.1, "the login panicked: unlucky number 0");
}

#[tokio::test]
async fn with_a_login_that_always_panics_requests_expire_and_close_returns() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line =
        client_for(guest(serve(&gateway).await), |_| -> std::future::Ready<Result<Auth, LoginError>> {
            panic!("never")
        });
    let error = soon(line.publish_with("room:7", &1, BRIEFLY)).await.unwrap_err();
    assert_eq!(error.code(), "expired");
    let waiting = tokio::spawn({
        let line = line.clone();
        async move { line.publish("room:7", &2).await }
    });
    soon(line.close()).await;
    assert_eq!(soon(waiting).await.unwrap().unwrap_err().code(), "closed");
    assert_eq!(line.state(), State::Closed);
}

#[tokio::test]
async fn a_login_may_ask_its_own_client_for_everything() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client_for(guest(serve(&gateway).await), |line| async move {
        while line.get().is_none() {
            tokio::task::yield_now().await;
        }
        let line = line.get().expect("it was set");
        let room = line.subscribe("room:7", ReadFrom::Start).await?;
        drop(room);
        drop(line.inbox().await?);
        assert_eq!(line.publish_with("room:7", &1, BRIEFLY).await.unwrap_err().code(), "expired");
        assert_eq!(line.call_with::<Value>("echo", &1, BRIEFLY).await.unwrap_err().code(), "expired");
        // Those take as long as any request; the app gives them up.
        let briefly = Duration::from_millis(5);
        assert!(
            tokio::time::timeout(briefly, line.history("room:7", HistoryPlace::Newest, 1)).await.is_err()
        );
        assert!(tokio::time::timeout(briefly, line.presence("room:7")).await.is_err());
        line.reconnect().await;
        assert!(line.wait_for(|state| *state == line.state()).await);
        assert!(line.restored().is_empty());
        drop(line.events());
        as_guest()
    });
    let mut room = line.subscribe("room:9", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;
    assert_eq!(soon(line.presence("room:9")).await.unwrap().count, 1);
    let page = soon(line.history("room:7", HistoryPlace::Oldest, 9)).await.unwrap();
    assert!(page.publications.is_empty(), "what expired was never sent");
}

#[tokio::test]
async fn a_login_that_closes_its_client_ends_it() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client_for(guest(serve(&gateway).await), |line| async move {
        while line.get().is_none() {
            tokio::task::yield_now().await;
        }
        line.get().expect("it was set").close().await;
        pending().await
    });
    assert_eq!(soon(line.publish("room:7", &1)).await.unwrap_err().code(), "closed");
    assert!(soon(line.wait_for(|state| *state == State::Closed)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_looks_at_the_client_holds_nothing_up() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let reached = soon(line.wait_for(|_| {
        // What it was told first is overtaken while it looks.
        let until = Instant::now() + Duration::from_secs(10);
        while line.state() != State::Online && Instant::now() < until {
            std::thread::yield_now();
        }
        line.state() == State::Online
    }));
    assert!(reached.await);
}

#[test]
fn a_client_whose_runtime_has_ended_is_closed() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let line = runtime.block_on(async {
        let gateway = open_gateway(Retention::default()).build().unwrap();
        let line = client(guest(serve(&gateway).await));
        assert!(soon(line.wait_for(|state| *state == State::Online)).await);
        line
    });
    let mut events = line.events();
    drop(runtime);
    assert_eq!(line.state(), State::Closed);
    // Behind events that came between the look at the state and the subscription to them.
    let is_closed = |event| matches!(event, ClientEvent::State(State::Closed));
    assert!(std::iter::from_fn(|| events.try_recv().ok()).any(is_closed));
}

#[tokio::test]
async fn an_inbox_and_its_own_name_are_not_both_taken() {
    let gateway = open_gateway(Retention::default()).jwt_hs256(SECRET).build().unwrap();
    let login = Login::token(token_of("u42", SECRET));
    let line = client(ClientOptions { login, ..guest(serve(&gateway).await) });
    let mut inbox = line.inbox().await.unwrap();
    let error = line.subscribe("user:u42", ReadFrom::Start).await.unwrap_err();
    assert_eq!(error, SubscribeError::Already("user:u42".to_owned()));
    let name = ChannelName::parse("user:u42").unwrap();
    let one = RawValue::from_string("1".to_owned()).unwrap();
    gateway.publish(&name, &one, PublishOptions::default()).await.unwrap();
    assert_eq!(next_publication(&mut inbox).await.offset, 1, "the inbox hears");

    drop(inbox);
    let mut by_name = line.subscribe("user:u42", ReadFrom::Start).await.unwrap();
    assert_eq!(next_publication(&mut by_name).await.offset, 1);
    assert_eq!(line.inbox().await.unwrap_err(), SubscribeError::Already("user:".to_owned()));
}

#[tokio::test]
async fn a_timeout_beyond_any_clock_is_a_timeout() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let mut options = guest(serve(&gateway).await);
    options.session.idle_ms = u64::MAX;
    options.session.connect_timeout_ms = u64::MAX;
    options.session.auth_timeout_ms = u64::MAX;
    let line = client(options);
    let for_ever = RequestOptions { timeout: Some(Duration::MAX), ..RequestOptions::default() };
    assert_eq!(soon(line.call_with::<u64>("echo", &7, for_ever)).await.unwrap(), 7);
    assert_eq!(soon(line.publish_with("room:7", &7, for_ever)).await.unwrap().offset, 1);
}
