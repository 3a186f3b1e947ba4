//! The numbering, and the room that requests take.

use super::*;

fn outbox_of(count: u64) -> Outbox {
    let mut outbox = Outbox::new();
    let options = Options { outbox_count_max: 10_000, outbox_bytes_max: usize::MAX, ..Options::default() };
    for request in 1..=count {
        let new = NewRequest {
            request,
            verb: RequestVerb::Call,
            body: RawValue::from_string("null".to_owned()).expect("json"),
            ttl_ms: None,
            idempotent: false,
            volatile: false,
        };
        assert!(outbox.push_request(Now::default(), new, usize::MAX, &options).is_empty());
    }
    outbox
}

fn next_id(outbox: &mut Outbox) -> Option<RequestId> {
    outbox.next_to_send(usize::MAX, &mut Settled::new()).and_then(|(entry, _)| entry.id)
}

#[test]
fn one_slow_reply_holds_new_requests_back_before_the_server_would_end_the_session() {
    let mut outbox = outbox_of(1_100);
    assert_eq!(next_id(&mut outbox), Some(1));
    for id in 2..=UNSEEN_MAX {
        assert_eq!(next_id(&mut outbox), Some(id));
        assert!(outbox.answer(id).is_some());
    }
    assert_eq!((outbox.seen(), next_id(&mut outbox)), (0, None));
    assert!(outbox.answer(1).is_some());
    assert_eq!((outbox.seen(), next_id(&mut outbox)), (UNSEEN_MAX, Some(UNSEEN_MAX + 1)));
}

#[test]
fn what_is_settled_frees_the_room_it_took() {
    let mut outbox = outbox_of(3);
    next_id(&mut outbox);
    outbox.answer(1);
    outbox.cancel(2);
    outbox.expire(u64::MAX - 1);
    assert_eq!((outbox.count, outbox.bytes, outbox.in_flight), (0, 0, 0));
    assert!(outbox.is_empty());
}

#[test]
fn a_server_that_claims_impossible_ids_does_not_break_the_numbering() {
    let mut outbox = outbox_of(2);
    outbox.begin(true, Some(u64::MAX));
    assert_eq!(next_id(&mut outbox), Some(1));
}
