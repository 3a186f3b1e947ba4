//! Stories about one direction: order, rate, stalls, holes.

use super::*;

fn at(ms: u64) -> Now {
    Now::from_millis(ms)
}

fn pipe(rules: Rules) -> Pipe<String> {
    Pipe::new(rules, Rng::seeded(7))
}

fn slow() -> Rules {
    Rules { latency_ms: 80, ..Rules::default() }
}

/// Everything that arrives, with when.
fn drain(pipe: &mut Pipe<String>) -> Vec<(Now, Arrival<String>)> {
    let mut history = Vec::new();
    while let Some(due) = pipe.poll_timeout() {
        let early = due.saturating_sub(Duration::from_nanos(1));
        assert!(due == Now::ZERO || pipe.poll(early).is_none(), "nothing comes before it is due");
        history.push((due, pipe.poll(due).expect("what is due arrives")));
    }
    history
}

fn ten_parcels(seed: u64) -> Vec<(Now, Arrival<String>)> {
    let mut pipe = Pipe::new(Rules::subway(), Rng::seeded(seed));
    for n in 0..10 {
        pipe.push(at(n * 20), format!("segment {n}")).unwrap();
    }
    drain(&mut pipe)
}

#[test]
fn the_same_seed_gives_the_same_history() {
    assert_eq!(ten_parcels(7), ten_parcels(7));
    assert_ne!(ten_parcels(7), ten_parcels(8));
}

#[test]
fn jitter_and_loss_never_change_the_order() {
    let rules = Rules { jitter_ms: 1_000, loss: 0.3, ..slow() };
    let mut pipe = pipe(rules);
    let sent: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for (n, segment) in (0..).zip(&sent) {
        pipe.push(at(n), segment.clone()).unwrap();
    }
    let history = drain(&mut pipe);
    assert!(history.is_sorted_by_key(|(due, _)| *due));
    let arrived: Vec<Arrival<String>> = history.into_iter().map(|(_, arrival)| arrival).collect();
    assert_eq!(arrived, sent.into_iter().map(Arrival::Segment).collect::<Vec<_>>());
}

#[test]
fn a_lost_parcel_pays_the_penalty_and_arrives() {
    let mut pipe = pipe(Rules { loss: 1.0, loss_penalty_ms: 500, ..slow() });
    pipe.push(at(0), "late".into()).unwrap();
    assert_eq!(drain(&mut pipe), [(at(580), Arrival::Segment("late".into()))]);
}

#[test]
fn the_rate_holds_over_time() {
    let mut pipe = pipe(Rules { rate_bytes_per_s: 1_000, ..slow() });
    for _ in 0..10 {
        pipe.push(at(0), "x".repeat(100)).unwrap();
    }
    let history = drain(&mut pipe);
    assert_eq!(history[0].0, at(180));
    assert_eq!(history[9].0, at(1080), "1000 bytes take a second, and then they travel");
}

#[test]
fn an_idle_line_saves_up_no_speed() {
    let mut pipe = pipe(Rules { rate_bytes_per_s: 1_000, ..Rules::default() });
    pipe.push(at(60_000), "x".repeat(1000)).unwrap();
    assert_eq!(pipe.poll_timeout(), Some(at(61_000)));
}

#[test]
fn full_pipe_returns_the_segment() {
    let mut pipe = pipe(Rules { buffer_bytes_max: 1024, ..slow() });
    pipe.push(at(0), "x".repeat(1000)).unwrap();
    assert_eq!(pipe.room_bytes(), 24);
    pipe.push(at(0), "y".repeat(1000)).unwrap();
    assert!(!pipe.has_room());
    assert_eq!(pipe.push(at(0), "z".into()), Err(Full("z".into())));
    assert!(pipe.poll(at(80)).is_some());
    assert!(pipe.has_room());
    assert_eq!(pipe.push(at(80), "z".into()), Ok(()));
}

#[test]
fn a_stalled_pipe_loses_nothing() {
    let mut pipe = pipe(slow());
    pipe.push(at(0), "before".into()).unwrap();
    pipe.set_flow(at(10), Flow::Stalled);
    pipe.push(at(20), "during".into()).unwrap();
    assert_eq!((pipe.poll_timeout(), pipe.poll(at(5_000))), (None, None));
    pipe.set_flow(at(5_000), Flow::Open);
    assert_eq!(pipe.poll(at(5_000)), Some(Arrival::Segment("before".into())));
    assert_eq!(pipe.poll(at(5_000)), Some(Arrival::Segment("during".into())));
    assert_eq!(pipe.swallowed_bytes(), 0);
}

#[test]
fn a_half_open_pipe_swallows_and_tells_nobody() {
    let mut pipe = pipe(slow());
    pipe.push(at(0), "on its way".into()).unwrap();
    pipe.set_flow(at(10), Flow::HalfOpen);
    for n in 0..100 {
        assert!(pipe.has_room());
        pipe.push(at(20 + n), "x".repeat(1024)).unwrap();
    }
    pipe.end(at(200), Ending::Fin);
    assert_eq!((pipe.poll_timeout(), pipe.poll(at(1_000_000))), (None, None));
    assert_eq!(pipe.swallowed_bytes(), 10 + 100 * 1024);
}

#[test]
fn stream_with_a_hole_resets_on_open() {
    let mut pipe = pipe(slow());
    pipe.set_flow(at(0), Flow::HalfOpen);
    pipe.push(at(10), "lost".into()).unwrap();
    pipe.set_flow(at(20), Flow::Open);
    assert_eq!(pipe.poll(at(20)), Some(Arrival::End(Ending::Reset)));
    assert!(pipe.is_over());
}

#[test]
fn half_open_pipe_without_loss_goes_on() {
    let mut pipe = pipe(Rules::default());
    pipe.set_flow(at(0), Flow::HalfOpen);
    pipe.set_flow(at(20), Flow::Open);
    pipe.push(at(30), "hello".into()).unwrap();
    assert_eq!(pipe.poll(at(30)), Some(Arrival::Segment("hello".into())));
}

#[test]
fn the_end_travels_behind_the_parcels() {
    let mut pipe = pipe(Rules { rate_bytes_per_s: 10, ..slow() });
    pipe.push(at(0), "0123456789".into()).unwrap();
    pipe.end(at(0), Ending::Fin);
    pipe.push(at(1), "after the end".into()).unwrap();
    let history = drain(&mut pipe);
    assert_eq!(history.len(), 2);
    assert_eq!(history[1], (at(1080), Arrival::End(Ending::Fin)));
}

#[test]
fn an_abort_overtakes_everything() {
    let mut pipe = pipe(slow());
    pipe.push(at(0), "lost".into()).unwrap();
    pipe.set_flow(at(0), Flow::Stalled);
    pipe.abort(at(5), Ending::Reset);
    assert_eq!(drain(&mut pipe), [(at(5), Arrival::End(Ending::Reset))]);
    pipe.abort(at(6), Ending::Reset);
    assert_eq!(pipe.poll_timeout(), None, "an end is told once");
}

#[test]
fn faster_rules_release_the_backlog() {
    let mut pipe = pipe(Rules { rate_bytes_per_s: 10, ..Rules::default() });
    pipe.push(at(0), "x".repeat(1000)).unwrap();
    assert_eq!(pipe.poll_timeout(), Some(at(100_000)));
    pipe.set_rules(at(50), Rules { rate_bytes_per_s: 10_000, latency_ms: 5, ..Rules::default() });
    pipe.push(at(50), "next".into()).unwrap();
    let dues: Vec<Now> = drain(&mut pipe).into_iter().map(|(due, _)| due).collect();
    assert_eq!(dues, [at(155), at(155) + Duration::from_micros(400)]);
}
