//! Both applications with real clients.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tautline_client::{
    Client, ClientEvent, ClientOptions, DropCause, Login, Publication, ReadFrom, Subscription,
    SubscriptionEvent,
};
use tautline_embed::{
    orders::{self, Open, Order, Orders},
    quiz::{self, Answer, Verdict},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), what).await.expect("it happens")
}

fn client(address: SocketAddr, login: Login) -> Client {
    Client::connect(ClientOptions::new(format!("ws://{address}/connect"), login))
        .expect("the options are good")
}

async fn next(subscription: &mut Subscription) -> SubscriptionEvent {
    soon(subscription.next()).await.expect("the client is open")
}

async fn next_publication(subscription: &mut Subscription) -> Publication {
    soon(subscription.next_publication()).await.expect("the client is open")
}

async fn post(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the app listens");
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the app reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the app answers");
    answer
}

async fn shop() -> SocketAddr {
    let sessions = [("ali-s3cret", "ali"), ("bo-s3cret", "bo")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let shop = Arc::new(Orders::new(HashMap::from(sessions)));
    let gateway = orders::gateway(&shop).expect("the settings are good");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(async move { axum::serve(listener, orders::app(shop, gateway)).await });
    address
}

#[tokio::test]
async fn customer_hears_of_own_order_once_and_nobody_else_does() {
    let address = shop().await;
    let (ali, bo) = (client(address, Login::token("ali-s3cret")), client(address, Login::token("bo-s3cret")));
    let mut inbox = ali.inbox().await.expect("the inbox is free");
    let order: Order =
        soon(ali.call("orders.open", &Open { item: "tea".into() })).await.expect("it is opened");
    assert_eq!((order.number, order.customer.as_str()), (0, "ali"));

    let mut own = ali.subscribe("order:0", ReadFrom::Start).await.expect("a name");
    assert!(matches!(next(&mut own).await, SubscriptionEvent::Subscribed { .. }));
    let mut foreign = bo.subscribe("order:0", ReadFrom::Start).await.expect("a name");
    let refused = next(&mut foreign).await;
    assert!(
        matches!(&refused, SubscriptionEvent::Ended { message, .. } if message == "this is not an order of yours"),
        "{refused:?}"
    );

    for _ in 0..2 {
        assert!(post(address, "/orders/0/paid").await.starts_with("HTTP/1.1 200"));
    }
    assert!(post(address, "/orders/7/paid").await.starts_with("HTTP/1.1 404"));
    let paid = Order { paid: true, ..order };
    assert_eq!(next_publication(&mut own).await.json::<Order>().expect("an order"), paid);
    let pushed = next_publication(&mut inbox).await;
    assert_eq!(pushed.json::<Order>().expect("an order"), paid);
    // Told twice, published once: the next order's news is the next offset.
    let next_order: Order =
        soon(ali.call("orders.open", &Open { item: "cake".into() })).await.expect("opened");
    assert!(post(address, &format!("/orders/{}/paid", next_order.number)).await.starts_with("HTTP/1.1 200"));
    assert_eq!(next_publication(&mut inbox).await.offset, pushed.offset + 1);
}

#[tokio::test]
async fn unknown_session_is_refused_by_the_shop() {
    let address = shop().await;
    let stranger = client(address, Login::token("no-session"));
    let mut events = stranger.events();
    let dropped = loop {
        if let ClientEvent::Dropped(dropped) = soon(events.recv()).await.expect("the client lives") {
            break dropped;
        }
    };
    assert_eq!(dropped.cause, DropCause::AuthFailed);
    assert!(format!("{dropped:?}").contains("there is no such session"), "{dropped:?}");
}

#[tokio::test]
async fn answers_of_guests_are_judged_and_published() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(quiz::gateway().expect("the settings are good").serve(listener));
    let (player, viewer) = (client(address, Login::guest()), client(address, Login::guest()));
    let mut standings = viewer.subscribe(quiz::STANDINGS, ReadFrom::Start).await.expect("a name");
    let answer = |number| Answer { name: "Ali".into(), number };
    let verdict: Verdict = soon(player.call("quiz.answer", &answer(41))).await.expect("an answer");
    assert_eq!(verdict, Verdict { right: false, points: 0 });
    let verdict: Verdict = soon(player.call("quiz.answer", &answer(42))).await.expect("an answer");
    assert_eq!(verdict, Verdict { right: true, points: 1 });
    let wrong = soon(player.call::<Verdict>("quiz.answer", &"forty-two")).await.expect_err("no such payload");
    assert_eq!(wrong.code(), "bad_request");
    for points in [0, 1] {
        let published = next_publication(&mut standings).await.json::<BTreeMap<String, u32>>();
        assert_eq!(published.expect("standings"), BTreeMap::from([("Ali".to_owned(), points)]));
    }
}
