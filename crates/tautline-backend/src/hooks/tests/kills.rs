//! A back end that is killed again and again, while calls are made.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::*;

const KILLS: u64 = 20;
const WORKERS: u64 = 16;

/// How many calls are made: few, or as many as the variable says (`TAUTLINE_HOOK_CALLS=10000`).
fn calls() -> u64 {
    std::env::var("TAUTLINE_HOOK_CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(400)
}

#[tokio::test]
async fn idempotent_calls_run_once_while_back_end_is_killed() {
    let (calls, executed) = (calls(), Arc::new(Mutex::new(HashMap::<String, u32>::new())));
    let (count, mut counted) = watch::channel(0_u64);
    let act = {
        let executed = Arc::clone(&executed);
        move |_: usize, seen: &Seen| {
            let key = seen.header("idempotency-key").to_owned();
            let mut executed = executed.lock().unwrap();
            let is_new = !executed.contains_key(&key);
            if is_new {
                // The effect; a repetition finds the key and has none.
                executed.insert(key.clone(), 1);
            }
            count.send_modify(|count| *count += 1);
            // Sometimes the answer is lost, and the call is executed.
            let is_lost = is_new && executed.len() % 10 == 0;
            if is_lost { Reply::Die } else { data(json!(key)) }
        }
    };
    let act = Arc::new(act);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut back_end = BackEnd::on(listener, Arc::default(), act.clone());
    let hook = HookOptions { idempotent: true, retries_max: 20, ..options([HookKind::Call], &back_end.url) };
    let (hooks, next) = (Arc::new(hooks(&[hook])), Arc::new(AtomicU64::new(1)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (hooks, next) = (Arc::clone(&hooks), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id > calls {
                    return;
                }
                assert_eq!(call(&hooks, id, "buy").await.unwrap(), format!("\"{}\"", key(id)));
            }
        });
    }
    for kill in 1..=KILLS {
        counted.wait_for(|count| *count >= kill * calls / (KILLS + 1)).await.unwrap();
        back_end.kill().await;
        let listener = TcpListener::bind(address).await.unwrap();
        back_end = BackEnd::on(listener, Arc::default(), act.clone());
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let executed = executed.lock().unwrap();
    assert_eq!(executed.len() as u64, calls, "each call has one key, however often it was sent");
    assert!(*counted.borrow() > calls, "some were sent again");
}
