//! The same line in msgpack.

use serde_json::{Value, json};
use tautline_client::{ClientOptions, Format, HistoryPlace, ReadFrom};
use tautline_gateway::Retention;

use crate::{
    pull_the_cable,
    stage::{client, guest, next_publication, open_gateway, serve, soon, subscribed},
};

#[tokio::test]
async fn a_line_in_msgpack_does_what_one_in_json_does_and_they_understand_each_other() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let address = serve(&gateway).await;
    let (line, other) =
        (client(ClientOptions { format: Format::Msgpack, ..guest(address) }), client(guest(address)));
    let data =
        json!({"photo": {"$bin": "AAECAw=="}, "big": u64::MAX, "small": i64::MIN, "half": 0.5, "none": null});
    assert_eq!(soon(line.call::<Value>("echo", &data)).await.unwrap(), data);

    let mut rooms = Vec::new();
    for line in [&line, &other] {
        let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
        subscribed(&mut room).await;
        rooms.push(room);
    }
    for line in [&line, &other] {
        soon(line.publish("room:7", &data)).await.unwrap();
    }
    for room in &mut rooms {
        for offset in 1..=2 {
            let publication = next_publication(room).await;
            assert_eq!((publication.offset, publication.json::<Value>().unwrap()), (offset, data.clone()));
        }
    }
    let page = soon(line.history("room:7", HistoryPlace::Newest, 1)).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(page.publications[0].data.get()).unwrap(), data);
}

#[tokio::test]
async fn a_cable_that_is_pulled_loses_nothing_in_msgpack_either() {
    pull_the_cable(Format::Msgpack).await;
}
