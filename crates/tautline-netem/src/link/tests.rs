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
fn what_one_end_says_the_other_one_hears() {
    let mut link = link();
    talk(&mut link, at(0));
    assert_eq!(link.poll_timeout(), Some(at(10)));
    assert_eq!(heard(&mut link, at(10)), [segment("up"), segment("down")]);
    assert_eq!((link.poll_timeout(), link.state()), (None, LinkState::Open));
}

#[test]
fn a_cut_is_a_reset_at_both_ends_and_loses_what_is_on_its_way() {
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
fn a_fin_closes_both_ends_after_what_is_on_its_way() {
    let mut link = link();
    talk(&mut link, at(0));
    link.apply(at(5), Fault::Fin);
    assert_eq!(link.state(), LinkState::Ending);
    assert_eq!(heard(&mut link, at(15)), [segment("up"), segment("down")]);
    assert_eq!(heard(&mut link, at(15)), [end(Ending::Fin), end(Ending::Fin)]);
}

#[test]
fn a_reset_of_one_end_leaves_the_other_one_talking_to_nobody() {
    let mut link = link();
    link.apply(at(0), Fault::Reset { direction: Direction::Up });
    assert_eq!(heard(&mut link, at(0)), [end(Ending::Reset), None]);
    talk(&mut link, at(10));
    assert_eq!(heard(&mut link, at(1_000_000)), [None, None]);
    link.heal(at(1_000_000));
    assert_eq!(heard(&mut link, at(1_000_000)), [None, end(Ending::Reset)]);
}

#[test]
fn half_open_up_swallows_up_and_lets_down_pass() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Up, for_ms: None });
    talk(&mut link, at(0));
    assert_eq!(heard(&mut link, at(10)), [None, segment("down")]);
    assert_eq!((link.state(), link.swallowed_bytes(Way::Up)), (LinkState::HalfOpen, 2));
}

#[test]
fn half_open_for_a_while_resets_both_ends_if_something_was_lost() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Up, for_ms: Some(100) });
    link.push(at(50), Way::Up, "lost".into()).unwrap();
    assert_eq!(link.poll_timeout(), Some(at(100)));
    assert_eq!(heard(&mut link, at(100)), [end(Ending::Reset), end(Ending::Reset)]);
}

#[test]
fn half_open_for_a_while_is_forgotten_if_nothing_was_lost() {
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
fn a_newer_fault_replaces_the_plan_of_an_older_one() {
    let mut link = link();
    link.apply(at(0), Fault::stall(100));
    link.apply(at(50), Fault::stall(1_000));
    talk(&mut link, at(60));
    assert_eq!(heard(&mut link, at(500)), [None, None]);
    assert_eq!(heard(&mut link, at(1_050)), [segment("up"), segment("down")]);
}

#[test]
fn a_hole_is_not_mended_by_a_newer_fault() {
    let mut link = link();
    link.apply(at(0), Fault::HalfOpen { direction: Direction::Up, for_ms: None });
    talk(&mut link, at(0));
    assert_eq!(heard(&mut link, at(10)), [None, segment("down")]);
    link.apply(at(20), Fault::Stall { direction: Direction::Down, for_ms: Some(100) });
    assert_eq!(heard(&mut link, at(119)), [None, None]);
    assert_eq!(heard(&mut link, at(120)), [end(Ending::Reset), end(Ending::Reset)]);
}

#[test]
fn a_background_kill_keeps_the_connection_a_while_and_then_tells_nobody() {
    let mut link = link();
    link.apply(at(0), Fault::background_kill());
    talk(&mut link, at(4_000));
    assert_eq!(heard(&mut link, at(4_010)), [segment("up"), segment("down")]);
    talk(&mut link, at(5_000));
    assert_eq!(heard(&mut link, at(60_000)), [None, None]);
    assert_eq!((link.poll_timeout(), link.state()), (None, LinkState::HalfOpen));
}

#[test]
fn a_background_kill_may_tell_each_end_in_its_own_time() {
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
fn an_end_that_dies_behind_a_half_open_line_is_found_out_when_it_heals() {
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
fn one_seed_and_the_same_calls_give_one_history() {
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
