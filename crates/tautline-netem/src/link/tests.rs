//! Stories about a connection with two directions, and what faults do to the pair.

use super::*;

fn at(ms: u64) -> Now {
    Now::from_millis(ms)
}

fn link() -> Link<String> {
    Link::new(Rules { latency_ms: 10, ..Rules::default() }, 7)
}

/// Says something each way.
fn talk(link: &mut Link<String>, now: Now) {
    link.push(now, Way::Up, "up".into()).unwrap();
    link.push(now, Way::Down, "down".into()).unwrap();
}

/// What arrives up and down, by now.
fn heard(link: &mut Link<String>, now: Now) -> [Option<Arrival<String>>; 2] {
    Way::BOTH.map(|way| link.poll(now, way))
}

fn segment(text: &str) -> Option<Arrival<String>> {
    Some(Arrival::Segment(text.into()))
}

fn end(ending: Ending) -> Option<Arrival<String>> {
    Some(Arrival::End(ending))
}

#[test]
fn pushed_segment_arrives_at_the_other_end() {
    let mut link = link();
    talk(&mut link, at(0));
    assert_eq!(link.poll_timeout(), Some(at(10)));
    assert_eq!(heard(&mut link, at(10)), [segment("up"), segment("down")]);
    assert_eq!((link.poll_timeout(), link.state()), (None, LinkState::Open));
}

#[test]
fn cut_resets_both_ends_and_loses_pending() {
    let mut link = link();
    talk(&mut link, at(0));
    link.apply(at(5), Fault::Cut);
    assert_eq!(heard(&mut link, at(5)), [end(Ending::Reset), end(Ending::Reset)]);
    talk(&mut link, at(6));
    assert_eq!((link.poll_timeout(), link.state()), (None, LinkState::Over));
}

#[test]
fn a_reset_is_known_before_it_is_polled() {
    let mut link = link();
    talk(&mut link, at(0));
    assert!(!link.reset_is_due(at(10), Way::Down));
    link.apply(at(10), Fault::BackgroundKill { after_ms: 5, server_told_ms: Some(0), client_told_ms: None });
    assert!(!link.reset_is_due(at(14), Way::Up));
    assert!(link.reset_is_due(at(15), Way::Up));
    assert!(!link.reset_is_due(at(15), Way::Down));
}

#[test]
fn fin_closes_both_ends_after_pending_segments() {
    let mut link = link();
    talk(&mut link, at(0));
    link.apply(at(5), Fault::Fin);
    assert_eq!(link.state(), LinkState::Ending);
    assert_eq!(heard(&mut link, at(15)), [segment("up"), segment("down")]);
    assert_eq!(heard(&mut link, at(15)), [end(Ending::Fin), end(Ending::Fin)]);
}

#[test]
fn one_sided_reset_leaves_the_other_half_open() {
    let mut link = link();
    link.apply(at(0), Fault::Reset { direction: Direction::Up });
    assert_eq!(heard(&mut link, at(0)), [end(Ending::Reset), None]);
    talk(&mut link, at(10));
    assert_eq!(heard(&mut link, at(1_000_000)), [None, None]);
    link.heal(at(1_000_000));
    assert_eq!(heard(&mut link, at(1_000_000)), [None, end(Ending::Reset)]);
}

#[test]
fn half_open_up_drops_up_and_passes_down() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Up, for_ms: None });
    talk(&mut link, at(0));
    assert_eq!(heard(&mut link, at(10)), [None, segment("down")]);
    assert_eq!((link.state(), link.swallowed_bytes(Way::Up)), (LinkState::HalfOpen, 2));
}

#[test]
fn timed_half_open_with_loss_resets_both_ends() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Up, for_ms: Some(100) });
    link.push(at(50), Way::Up, "lost".into()).unwrap();
    assert_eq!(link.poll_timeout(), Some(at(100)));
    assert_eq!(heard(&mut link, at(100)), [end(Ending::Reset), end(Ending::Reset)]);
}

#[test]
fn timed_half_open_without_loss_leaves_no_trace() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Both, for_ms: Some(100) });
    talk(&mut link, at(100));
    assert_eq!(heard(&mut link, at(110)), [segment("up"), segment("down")]);
}

#[test]
fn a_stall_keeps_everything_until_it_is_over() {
    let mut link = link();
    link.apply(at(0), Fault::stall(1_000));
    talk(&mut link, at(0));
    assert_eq!((link.poll_timeout(), link.state()), (Some(at(1_000)), LinkState::Stalled));
    assert_eq!(heard(&mut link, at(999)), [None, None]);
    assert_eq!(heard(&mut link, at(1_000)), [segment("up"), segment("down")]);
}

#[test]
fn newer_fault_replaces_the_older_plan() {
    let mut link = link();
    link.apply(at(0), Fault::stall(100));
    link.apply(at(50), Fault::stall(1_000));
    talk(&mut link, at(60));
    assert_eq!(heard(&mut link, at(500)), [None, None]);
    assert_eq!(heard(&mut link, at(1_050)), [segment("up"), segment("down")]);
}

#[test]
fn newer_fault_does_not_mend_a_hole() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Up, for_ms: None });
    talk(&mut link, at(0));
    assert_eq!(heard(&mut link, at(10)), [None, segment("down")]);
    link.apply(at(20), Fault::Stall { direction: Direction::Down, for_ms: Some(100) });
    assert_eq!(heard(&mut link, at(119)), [None, None]);
    assert_eq!(heard(&mut link, at(120)), [end(Ending::Reset), end(Ending::Reset)]);
}

#[test]
fn background_kill_goes_half_open_after_its_delay() {
    let mut link = link();
    link.apply(at(0), Fault::background_kill());
    talk(&mut link, at(4_000));
    assert_eq!(heard(&mut link, at(4_010)), [segment("up"), segment("down")]);
    talk(&mut link, at(5_000));
    assert_eq!(heard(&mut link, at(60_000)), [None, None]);
    assert_eq!((link.poll_timeout(), link.state()), (None, LinkState::HalfOpen));
}

#[test]
fn background_kill_reports_to_each_end_separately() {
    let mut link = link();
    let (server_told_ms, client_told_ms) = (Some(30_000), Some(2_000));
    link.apply(at(0), Fault::BackgroundKill { after_ms: 5_000, server_told_ms, client_told_ms });
    assert_eq!(heard(&mut link, at(6_999)), [None, None]);
    assert_eq!(heard(&mut link, at(7_000)), [None, end(Ending::Fin)]);
    assert_eq!(heard(&mut link, at(34_999)), [None, None]);
    assert_eq!(heard(&mut link, at(35_000)), [end(Ending::Reset), None]);
    assert_eq!(link.state(), LinkState::Over);
}

#[test]
fn end_closed_while_half_open_surfaces_on_heal() {
    let mut link = link();
    link.apply(at(0), Fault::half_open());
    link.end(at(10), Way::Up, Ending::Reset);
    assert_eq!(heard(&mut link, at(60_000)), [None, None]);
    link.heal(at(60_000));
    assert_eq!(heard(&mut link, at(60_000))[0], end(Ending::Reset));
}

#[test]
fn a_refusal_is_a_matter_for_the_door() {
    let mut link = link();
    link.apply(at(0), Fault::stall(100));
    link.apply(at(10), Fault::Refuse { for_ms: None });
    talk(&mut link, at(20));
    assert_eq!(heard(&mut link, at(100)), [segment("up"), segment("down")]);
}

#[test]
fn same_seed_and_calls_repeat_the_history() {
    let history = |seed| {
        let mut link = Link::new(Rules::cellular(), seed);
        let mut history = Vec::new();
        for ms in 0..2_000 {
            talk(&mut link, at(ms));
            if ms == 700 {
                link.apply(at(ms), Fault::stall(150));
            }
            for way in Way::BOTH {
                history
                    .extend(std::iter::from_fn(|| link.poll(at(ms), way)).map(|arrival| (ms, way, arrival)));
            }
        }
        history
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}
