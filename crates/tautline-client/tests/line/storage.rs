//! A client that outlives its process: here a process is a runtime, which is dropped with everything that runs in it.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tautline_client::{
    Client, ClientEvent, ClientOptions, ConnectError, Durability, HistoryPlace, ReadFrom, Storage,
};
use tautline_gateway::Retention;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
};

use crate::stage::{Cable, client, guest, next_publication, open_gateway, serve, soon, subscribed};

/// A folder for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tautline-client-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("session")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What goes on while processes come and go.
fn world() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread can be had")
}

/// Runs only while it is waited for, so that nothing in it notices its end.
fn process() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be had")
}

fn stored(options: ClientOptions, file: &Path) -> Client {
    let storage = Storage::file(file).durability(Durability::Process);
    client(ClientOptions { storage: Some(storage), ..options })
}

/// Waits until what is stored is as it should be.
async fn until_stored(file: &Path, is_right: impl Fn(&Value) -> bool) {
    soon(async {
        loop {
            let text = fs::read_to_string(file).unwrap_or_default();
            if serde_json::from_str(&text).is_ok_and(|stored| is_right(&stored)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn what_was_published_offline_by_a_process_that_was_destroyed_is_published_once_by_the_next_one() {
    let folder = Folder::new();
    let world = world();
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let mut cable = world.block_on(async { Cable::to(serve(&gateway).await).await });
    cable.plug(false);

    let doomed = process();
    doomed.block_on(async {
        let line = stored(guest(cable.address), &folder.file());
        tokio::spawn(async move { line.publish("room:7", &"from the tunnel").await });
        until_stored(&folder.file(), |stored| stored["requests"][0]["verb"] == "publish").await;
    });
    // Nothing is closed, nobody says goodbye.
    drop(doomed);
    world.block_on(async {
        cable.accepted(1).await;
        cable.plug(true);
        let line = stored(guest(cable.address), &folder.file());
        let [restored] = <[_; 1]>::try_from(line.restored()).unwrap();
        assert_eq!(restored.body.get(), r#"{"channel":"room:7","data":"from the tunnel"}"#);
        let published: Value = serde_json::from_str(soon(restored.settled()).await.unwrap().get()).unwrap();
        assert_eq!(published["offset"], 1);
        assert_eq!(soon(line.publish("room:7", &"another")).await.unwrap().offset, 2);
        let page = soon(line.history("room:7", HistoryPlace::Oldest, 10)).await.unwrap();
        assert_eq!(page.publications.len(), 2);
        assert!(line.restored().is_empty());
    });
}

#[test]
fn a_call_whose_answer_did_not_come_before_the_process_was_destroyed_is_executed_once() {
    let folder = Folder::new();
    let world = world();
    let (calls, mut called) = watch::channel(0);
    let gate = Arc::new(Semaphore::new(0));
    let gateway = {
        let gate = Arc::clone(&gate);
        let bind = move |_| {
            calls.send_modify(|count| *count += 1);
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(serde_json::value::to_raw_value(&"bound").unwrap())
            }
        };
        open_gateway(Retention::default()).call("bind", bind).build().unwrap()
    };
    let address = world.block_on(serve(&gateway));

    let doomed = process();
    doomed.block_on(async {
        let line = stored(guest(address), &folder.file());
        tokio::spawn(async move { line.call::<String>("bind", &1).await });
        soon(called.wait_for(|count| *count == 1)).await.unwrap();
    });
    drop(doomed);
    world.block_on(async {
        let line = stored(guest(address), &folder.file());
        let [restored] = <[_; 1]>::try_from(line.restored()).unwrap();
        // Old numbers and new ones are not confused.
        assert_eq!(soon(line.call::<u32>("echo", &7)).await.unwrap(), 7);
        gate.add_permits(2);
        assert_eq!(soon(restored.settled()).await.unwrap().get(), r#"{"data":"bound"}"#);
        assert_eq!(*called.borrow(), 1);
    });
}

#[test]
fn a_channel_goes_on_where_the_destroyed_process_was_and_what_may_come_twice_is_marked() {
    let folder = Folder::new();
    let world = world();
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let address = world.block_on(serve(&gateway));

    let doomed = process();
    doomed.block_on(async {
        let line = stored(guest(address), &folder.file());
        let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
        subscribed(&mut room).await;
        for number in 1..=3 {
            soon(line.publish("room:7", &number)).await.unwrap();
            assert!(!next_publication(&mut room).await.redelivered);
        }
        // Asking for the third said that the second is done with; the third may be, or not.
        until_stored(&folder.file(), |stored| stored["cursors"]["room:7"]["offset"] == 2).await;
        std::mem::forget(room);
    });
    drop(doomed);
    world.block_on(async {
        let line = stored(guest(address), &folder.file());
        let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
        let again = next_publication(&mut room).await;
        assert_eq!((again.offset, again.redelivered), (3, true));
        soon(line.publish("room:7", &4)).await.unwrap();
        let new = next_publication(&mut room).await;
        assert_eq!((new.offset, new.redelivered), (4, false));
    });
}

#[tokio::test]
async fn a_client_that_is_closed_leaves_nothing_behind() {
    let folder = Folder::new();
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = stored(guest(serve(&gateway).await), &folder.file());
    soon(line.publish("room:7", &1)).await.unwrap();
    assert!(folder.file().exists());
    soon(line.close()).await;
    assert!(!folder.file().exists());
}

#[tokio::test]
async fn two_clients_at_once_cannot_share_a_file_and_one_after_the_other_can() {
    let folder = Folder::new();
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let options = guest(serve(&gateway).await);
    let line = stored(options.clone(), &folder.file());
    let second = ClientOptions { storage: Some(Storage::file(folder.file())), ..options.clone() };
    let error = Client::connect(second).unwrap_err();
    assert!(matches!(&error, ConnectError::StorageInUse(path) if *path == folder.file()), "{error}");
    soon(line.close()).await;
    soon(stored(options, &folder.file()).publish("room:7", &1)).await.unwrap();
}

#[tokio::test]
async fn where_the_disk_takes_nothing_the_app_is_told_once_and_the_client_goes_on() {
    let folder = Folder::new();
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let mut cable = Cable::to(serve(&gateway).await).await;
    cable.plug(false);
    let line = stored(guest(cable.address), &folder.file());
    let mut events = line.events();
    cable.accepted(1).await;
    fs::remove_dir_all(&folder.0).unwrap();
    cable.plug(true);
    for number in 1..=3 {
        assert_eq!(soon(line.call::<u32>("echo", &number)).await.unwrap(), number);
    }
    let mut losses = 0;
    while let Ok(event) = events.try_recv() {
        losses += u32::from(matches!(event, ClientEvent::StorageLost(_)));
    }
    assert_eq!(losses, 1);
}

#[tokio::test]
async fn a_file_that_is_damaged_begins_afresh_and_what_is_written_survives_a_power_cut() {
    let folder = Folder::new();
    fs::write(folder.file(), "{\"v\":1,\"tick").unwrap();
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let options =
        ClientOptions { storage: Some(Storage::file(folder.file())), ..guest(serve(&gateway).await) };
    let set_mode = |mode| fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o666);
    let refused = Client::connect(options.clone()).unwrap_err();
    assert!(matches!(refused, ConnectError::Storage { .. }), "anybody can have written it: {refused}");
    set_mode(0o600);
    let line = client(options);
    soon(line.publish("room:7", &1)).await.unwrap();
    let stored: Value = serde_json::from_str(&fs::read_to_string(folder.file()).unwrap()).unwrap();
    assert_eq!((&stored["v"], &stored["next_id"]), (&json!(1), &json!(2)));
    assert!(!folder.0.join("session.new").exists());
}
