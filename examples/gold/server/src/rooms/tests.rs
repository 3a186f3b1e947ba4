//! Rooms on a gateway without a socket: what is refused for good, what was saved without an answer, how many there may be.

use std::time::Duration;

use serde_json::value::RawValue;
use tautline_gateway::{ErrorCode, PublishOptions};
use tautline_gold_rules::{Entry, Verdict};
use tokio::time::timeout;

use super::*;
use crate::store::tests::TestStore;

struct Rig {
    test: TestStore,
    gateway: Gateway,
    rooms: Rooms,
}

impl Rig {
    async fn start(test: &str) -> Self {
        let test = TestStore::open(test).await;
        let gateway = Gateway::builder().build().unwrap();
        let rooms = Rooms::start(gateway.clone(), test.store.clone(), Limits::default()).await.unwrap();
        Self { test, gateway, rooms }
    }

    /// As after a restart: the same store, other tasks. The gateway keeps its logs in memory, so it is the same.
    async fn restart(&mut self) {
        self.rooms =
            Rooms::start(self.gateway.clone(), self.test.store.clone(), Limits::default()).await.unwrap();
    }

    /// Somebody else writes into the room's channel under the key of this event.
    async fn write_event(&self, room: &str, key: &str) {
        let data = RawValue::from_string(r#"{"n":1,"type":"another history"}"#.into()).unwrap();
        let options = PublishOptions { idempotency_key: Some(key), ..PublishOptions::default() };
        self.gateway.publish(&channel_of(room).unwrap(), &data, options).await.unwrap();
    }

    async fn open(&self, room: &str, player: &str) -> Result<(), CallError> {
        self.rooms.open_room(room, player, Settings { seats: 3, ..Settings::default() }).await?;
        self.rooms.apply(room, join(player)).await.map(drop)
    }

    /// Until the room is over, and no longer among the open ones.
    async fn end_of(&self, room: &str) -> View {
        let ended = async {
            while self.rooms.open().contains_key(room) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), ended).await.unwrap();
        self.rooms.view(room).await.unwrap()
    }
}

fn join(player: &str) -> Input {
    Input::Join { player: player.into(), name: player.into() }
}

fn leave(player: &str) -> Input {
    Input::Leave { player: player.into() }
}

fn code<T>(result: Result<T, CallError>) -> Option<String> {
    result.err().map(|error| error.code.to_string())
}

#[tokio::test]
async fn room_whose_event_is_refused_ends_as_broken() {
    let rig = Rig::start("refused").await;
    rig.write_event("r", "3").await;
    rig.open("r", "ann").await.unwrap();
    rig.rooms.apply("r", join("bo")).await.unwrap();
    assert_eq!(rig.end_of("r").await.phase, Phase::Over { why: Verdict::Broken });
    assert_eq!(rig.test.store.open_rooms().await.unwrap(), Vec::<String>::new());
    assert_eq!(code(rig.rooms.apply("r", join("cy")).await).as_deref(), Some("over"));
    // The end was published under its own key: the same key with other data is refused.
    let data = RawValue::from_string("1".into()).unwrap();
    let options = PublishOptions { idempotency_key: Some("end"), ..PublishOptions::default() };
    let again = rig.gateway.publish(&channel_of("r").unwrap(), &data, options).await;
    assert_eq!(again.unwrap_err().code, ErrorCode::CONFLICT);
}

#[tokio::test]
async fn resumed_room_with_another_history_ends_as_broken() {
    let mut rig = Rig::start("history").await;
    let stored = StoredRoom {
        room: "r".into(),
        settings: Settings::default(),
        seed: 1,
        opened_at: 1,
        log: Vec::new(),
    };
    assert!(rig.test.store.add_room(&stored).await.unwrap());
    rig.write_event("r", "1").await;
    rig.restart().await;
    assert_eq!(rig.end_of("r").await.phase, Phase::Over { why: Verdict::Broken });
}

#[tokio::test]
async fn input_that_was_saved_without_an_answer_counts_once() {
    let rig = Rig::start("answer").await;
    rig.open("r", "ann").await.unwrap();
    // The answer to bo's join is lost between the disk and the room.
    let entry = serde_json::to_string(&Entry { at: wall_ms(), input: join("bo") }).unwrap();
    rig.test.store.add_inputs(&[("r", 1, &entry)]).await.unwrap();
    for player in ["bo", "cy"] {
        rig.rooms.apply("r", join(player)).await.unwrap();
    }
    let view = rig.rooms.view("r").await.unwrap();
    assert_eq!(view.seats.iter().map(|seat| &*seat.player).collect::<Vec<_>>(), ["ann", "bo", "cy"]);
    assert_eq!(rig.test.store.room("r").await.unwrap().unwrap().replay().unwrap().0.view(), &view);
}

#[tokio::test]
async fn other_input_is_behind_one_that_was_saved_without_an_answer() {
    let rig = Rig::start("behind").await;
    rig.open("r", "ann").await.unwrap();
    let entry = serde_json::to_string(&Entry { at: wall_ms(), input: join("bo") }).unwrap();
    rig.test.store.add_inputs(&[("r", 1, &entry)]).await.unwrap();
    rig.rooms.apply("r", join("cy")).await.unwrap();
    let view = rig.rooms.view("r").await.unwrap();
    assert_eq!(view.seats.iter().map(|seat| &*seat.player).collect::<Vec<_>>(), ["ann", "bo", "cy"]);
}

#[tokio::test]
async fn room_without_its_task_is_resumed_by_the_next_input() {
    let rig = Rig::start("orphan").await;
    let stored = StoredRoom {
        room: "r".into(),
        settings: Settings::default(),
        seed: 1,
        opened_at: 1,
        log: Vec::new(),
    };
    assert!(rig.test.store.add_room(&stored).await.unwrap());
    assert!(rig.rooms.apply("r", join("ann")).await.is_ok());
    assert!(rig.rooms.open().contains_key("r"));
}

#[tokio::test]
async fn room_that_cannot_be_read_holds_up_no_other() {
    let mut rig = Rig::start("unread").await;
    rig.open("good", "ann").await.unwrap();
    rig.open("bad", "bo").await.unwrap();
    rig.test.store.add_inputs(&[("bad", 1, r#"{"at":1,"type":"of another version"}"#)]).await.unwrap();
    rig.restart().await;
    assert!(rig.rooms.apply("good", join("cy")).await.is_ok());
    assert_eq!(rig.test.store.open_rooms().await.unwrap(), ["good"]);
}

#[tokio::test]
async fn player_has_a_seat_in_four_rooms_at_most() {
    let mut rig = Rig::start("four").await;
    for room in ["a", "b", "c", "d"] {
        rig.open(room, "ann").await.unwrap();
    }
    rig.open("e", "bo").await.unwrap();
    assert_eq!(code(rig.open("f", "ann").await).as_deref(), Some("limit"));
    assert_eq!(code(rig.rooms.apply("e", join("ann")).await).as_deref(), Some("limit"));
    // A seat that the player has is no new one.
    assert_eq!(code(rig.open("a", "ann").await), None);
    assert!(rig.test.store.room("f").await.unwrap().is_none(), "no room is left behind");
    rig.restart().await;
    assert_eq!(code(rig.rooms.apply("e", join("ann")).await).as_deref(), Some("limit"));
    rig.rooms.apply("a", leave("ann")).await.unwrap();
    assert_eq!(code(rig.rooms.apply("e", join("ann")).await), None);
}

#[tokio::test]
async fn seat_that_was_refused_does_not_count() {
    let rig = Rig::start("seat").await;
    rig.open("full", "ann").await.unwrap();
    for player in ["bo", "cy"] {
        rig.rooms.apply("full", join(player)).await.unwrap();
    }
    for room in ["a", "b", "c", "d"] {
        assert_eq!(code(rig.rooms.apply("full", join("di")).await).as_deref(), Some("begun"));
        rig.open(room, "di").await.unwrap();
    }
    rig.rooms.apply("full", leave("ann")).await.unwrap();
    rig.rooms.apply("full", leave("bo")).await.unwrap();
    // A game that is over gives the seat of the last player back.
    assert_eq!(rig.end_of("full").await.phase, Phase::Over { why: Verdict::Deserted });
    for room in ["g", "h", "i", "j"] {
        rig.open(room, "cy").await.unwrap();
    }
}

#[tokio::test]
async fn room_that_is_opened_twice_is_one() {
    let rig = Rig::start("once").await;
    let (one, other) = tokio::join!(rig.open("r", "ann"), rig.open("r", "ann"));
    assert_eq!((code(one), code(other)), (None, None));
    assert_eq!(rig.rooms.view("r").await.unwrap().seats.len(), 1);
    rig.rooms.apply("r", leave("ann")).await.unwrap();
    rig.end_of("r").await;
    // Over is over: the call again makes no new room.
    assert_eq!(code(rig.open("r", "ann").await).as_deref(), Some("over"));
    assert!(rig.rooms.open().is_empty());
}
