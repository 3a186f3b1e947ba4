//! A back end that hangs, fails, talks nonsense or is not there.

use std::time::Instant;

use serde_json::json;
use tokio::net::TcpListener;

use super::*;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn each_misbehaviour_has_its_error_in_time() {
    const REDIRECT: &str = "HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    for (reply, code_of_it) in [
        (Reply::Hang, "timeout"),
        (Reply::Trickle, "timeout"),
        (Reply::Json(500, json!({"error": {"code": "secret"}})), "internal"),
        (Reply::Json(401, json!({})), "internal"),
        (Reply::Json(503, json!({})), "unavailable"),
        (Reply::Json(502, json!({})), "in_doubt"),
        (Reply::Json(200, json!([])), "internal"),
        (Reply::Raw("HTTP/1.1 200 x\r\ncontent-length: 5\r\n\r\n<htm>"), "internal"),
        (Reply::Raw(REDIRECT), "internal"),
        (Reply::Raw("SSH-2.0-OpenSSH\r\n"), "in_doubt"),
        (Reply::Raw("HTTP/1.1 200 x\r\ncontent-length: 50\r\n\r\n{\"resu"), "in_doubt"),
        (Reply::Die, "in_doubt"),
        (Reply::Huge(100 * 1024 * 1024), "internal"),
    ] {
        let back_end = BackEnd::always(reply.clone()).await;
        let short = matches!(reply, Reply::Hang | Reply::Trickle);
        let timeout = if short { SHORT } else { Duration::from_secs(30) };
        let hook = HookOptions { timeout: Some(timeout), ..options([HookKind::Call], &back_end.url) };
        let hooks = hooks(&[hook]);
        let begun = Instant::now();
        assert_eq!(code(&hooks, 1).await, code_of_it, "{reply:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{reply:?}");
        assert_eq!(back_end.seen().len(), 1, "a call that may have been executed is not repeated: {reply:?}");
    }
}

#[tokio::test]
async fn back_end_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let hooks = hooks(&[options([HookKind::Call], &url)]);
    assert_eq!(code(&hooks, 1).await, "unavailable");
}

#[tokio::test]
async fn address_of_a_private_network_is_not_asked() {
    let back_end = BackEnd::always(data(json!(1))).await;
    let port = back_end.url.rsplit(':').next().unwrap().to_owned();
    let hook = HookOptions {
        // Its name is public, its address is not.
        url: Some(format!("https://localhost:{port}")),
        allow_networks: Vec::new(),
        ..options([HookKind::Call], "")
    };
    assert_eq!(code(&hooks(&[hook]), 1).await, "unavailable");
    assert_eq!(back_end.seen().len(), 0);
}

#[tokio::test]
async fn idempotent_call_is_repeated_under_its_key() {
    let back_end = BackEnd::new(|before, _| match before {
        0 => Reply::Json(503, json!({})),
        1 => Reply::Die,
        2 => Reply::Json(504, json!({})),
        _ => data(json!("done")),
    });
    let back_end = back_end.await;
    let hooks = hooks(&[HookOptions { idempotent: true, ..options([HookKind::Call], &back_end.url) }]);
    assert_eq!(call(&hooks, 7, "buy").await.unwrap(), "\"done\"");
    let keys: Vec<_> = back_end.seen().iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys, vec![format!("{SESSION}:7"); 4]);
    let ids: Vec<_> = back_end.seen().iter().map(|seen| seen.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, keys);
    assert!(back_end.seen().iter().all(|seen| is_accepted(seen, SECRET)));
}

#[tokio::test]
async fn questions_are_repeated_and_errors_are_not() {
    let back_end = BackEnd::new(|before, _| match before {
        0 => Reply::Json(502, json!({})),
        _ => Reply::Json(500, json!({})),
    });
    let back_end = back_end.await;
    let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
    assert!(matches!(log_in(&hooks, &token("t")).await, Err(LoginRefused::Unavailable(_))));
    assert_eq!(back_end.seen().len(), 2);
}

#[tokio::test]
async fn retry_goes_to_the_next_place() {
    let (bad, good) =
        (BackEnd::always(Reply::Json(503, json!({}))).await, BackEnd::always(data(json!(1))).await);
    let urls = vec![bad.url.clone(), good.url.clone()];
    let hook = HookOptions { url: None, urls, idempotent: true, ..options([HookKind::Call], "") };
    assert_eq!(call(&hooks(&[hook]), 1, "buy").await.unwrap(), "1");
    assert_eq!((bad.seen().len(), good.seen().len()), (1, 1));
}

#[tokio::test]
async fn place_whose_tls_hangs_is_passed_over() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("https://{}/", silent.local_addr().unwrap());
    let good = BackEnd::always(data(json!(1))).await;
    let hook =
        HookOptions { url: None, urls: vec![hangs, good.url.clone()], ..options([HookKind::Call], "") };
    // Nothing was sent: also what must not run twice goes to the next place.
    assert_eq!(call(&hooks(&[hook]), 1, "buy").await.unwrap(), "1");
    assert_eq!(good.seen().len(), 1);
}

#[tokio::test]
async fn call_beyond_the_queue_is_refused_at_once() {
    let back_end = BackEnd::always(Reply::Hang).await;
    let (calls_running_max, queue_max) = (1, 1);
    let hook = HookOptions {
        calls_running_max,
        queue_max,
        timeout: Some(SHORT),
        ..options([HookKind::Call], &back_end.url)
    };
    let hooks = hooks(&[hook]);
    let calls = tokio::join!(call(&hooks, 1, "buy"), call(&hooks, 2, "buy"), call(&hooks, 3, "buy"));
    let ends = [calls.0, calls.1, calls.2].map(|end| {
        let error = end.unwrap_err();
        (error.code.as_str().to_owned(), error.retry_after_ms)
    });
    // One of them runs and one is refused; the third has its turn too late, or in time to run.
    let count = |end: (&str, Option<u64>)| ends.iter().filter(|it| (it.0.as_str(), it.1) == end).count();
    let (refused, ran) = (count(("overloaded", Some(1_000))), count(("timeout", None)));
    assert!(refused >= 1 && ran >= 1 && refused + ran == 3, "{ends:?}");
    assert!(back_end.seen().len() <= 2);
}

#[tokio::test]
async fn failing_back_end_is_left_alone_until_it_is_well() {
    let back_end = BackEnd::new(|before, _| match before {
        ..20 => Reply::Json(500, json!({})),
        _ => data(json!(1)),
    });
    let back_end = back_end.await;
    let hooks = hooks(&[options([HookKind::Call], &back_end.url)]);
    let at = |id: u64, mono_ms| hooks.call(Now { mono_ms, ..now() }, a_call(id, "buy"));
    for id in 0..20 {
        assert_eq!(at(id, 5_000).await.unwrap_err().code.as_str(), "internal");
    }
    // The failures took some time, too.
    let rested = at(20, 7_000).await.unwrap_err();
    assert_eq!(rested.code.as_str(), "unavailable");
    assert!(rested.retry_after_ms.is_some_and(|ms| (1..=5_000).contains(&ms)), "{rested:?}");
    assert_eq!(back_end.seen().len(), 20, "it was not asked");
    assert_eq!(at(21, 60_000).await.unwrap().get(), "1");
    assert_eq!(at(22, 60_000).await.unwrap().get(), "1");
}

#[tokio::test]
async fn failing_method_leaves_other_methods_in_use() {
    let back_end = BackEnd::new(|_, seen| match seen.json()["method"].as_str() {
        Some("bad") => Reply::Json(500, json!({})),
        _ => data(json!(1)),
    });
    let back_end = back_end.await;
    let hooks = hooks(&[options([HookKind::Call, HookKind::Connect], &back_end.url)]);
    for id in 0..20 {
        assert_eq!(hooks.call(now(), a_call(id, "bad")).await.unwrap_err().code.as_str(), "internal");
    }
    assert_eq!(hooks.call(now(), a_call(20, "bad")).await.unwrap_err().code.as_str(), "unavailable");
    // Two methods may share a breaker by chance, these not all.
    let mut works = 0;
    for id in 0..8 {
        works += usize::from(call(&hooks, 30 + id, &format!("good{id}")).await.is_ok());
    }
    assert!(works >= 4, "{works}");
}

#[tokio::test]
async fn lost_answer_before_a_refusal_leaves_the_outcome_unknown() {
    let back_end = BackEnd::new(|before, _| match before {
        0 => Reply::Die,
        _ => Reply::Json(503, json!({})),
    });
    let back_end = back_end.await;
    let hook = HookOptions { idempotent: true, ..options([HookKind::Call], &back_end.url) };
    assert_eq!(code(&hooks(&[hook]), 1).await, "in_doubt");
    assert!(back_end.seen().len() > 1, "it was repeated");
}

#[tokio::test]
async fn impatient_calls_leave_a_slow_back_end_in_use() {
    let back_end = BackEnd::new(|before, _| match before {
        ..20 => Reply::Hang,
        _ => data(json!(1)),
    });
    let back_end = back_end.await;
    // The clients wait for most of the hook's time, and not for all of it.
    let timeout = Some(Duration::from_millis(60));
    let hooks = hooks(&[HookOptions { timeout, ..options([HookKind::Call], &back_end.url) }]);
    for id in 0..30 {
        if back_end.seen().len() >= 20 {
            break;
        }
        let impatient = Call { timeout_ms: 50, ..a_call(id, "buy") };
        assert_eq!(hooks.call(now(), impatient).await.unwrap_err().code.as_str(), "timeout");
    }
    assert_eq!(call(&hooks, 100, "buy").await.unwrap(), "1");
}

#[tokio::test]
async fn healthy_hook_is_unmoved_by_one_that_hangs() {
    let (hangs, works) = (BackEnd::always(Reply::Hang).await, BackEnd::always(data(json!(1))).await);
    let of = |method: &str, url: &str| HookOptions {
        matches: vec![method.to_owned()],
        calls_running_max: 2,
        ..options([HookKind::Call], url)
    };
    let hooks = hooks(&[of("hang", &hangs.url), of("work", &works.url)]);
    let hanging = (0..8).map(|id| Box::pin(call(&hooks, id, "hang"))).collect::<Vec<_>>();
    let mut hanging = all_of(hanging);
    tokio::select! {
        biased;
        () = &mut hanging => panic!("a call that hangs has ended"),
        () = async {
            for id in 100..150 {
                assert_eq!(call(&hooks, id, "work").await.unwrap(), "1");
            }
        } => {}
    }
}

/// All of these, polled together.
fn all_of<F: Future + Unpin>(mut futures: Vec<F>) -> impl Future<Output = ()> + Unpin {
    Box::pin(std::future::poll_fn(move |cx| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(cx).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    }))
}
