//! Bad input: each kind gets what RFC 6455 or the protocol says, nobody else notices, and it leaves no memory behind.

use std::time::Duration;

use serde_json::json;
use tautline_gateway::GatewayBuilder;
use tautline_protocol::Limits;

use crate::{
    bystander::undisturbed,
    handshake::Handshake,
    logins::{FAR_AWAY, SECRET, token},
    offences,
    rig::{Answer, bye, config, http_answer, open_to_all, patient},
};

/// Short enough to be waited for. A test that fails to keep to it on a slow machine must not fail for that.
const SHORT_MS: u64 = 100;

fn with_limits(limits: Limits) -> GatewayBuilder {
    open_to_all().limits(limits)
}

fn with_short_http_requests() -> GatewayBuilder {
    let mut config = patient();
    config.http_head_timeout = Duration::from_millis(SHORT_MS);
    config.http_body_timeout = Duration::from_millis(SHORT_MS);
    open_to_all().config(config)
}

/// What a client that was welcome gets for these bytes.
fn answer_to(bytes: &[u8]) -> Answer {
    undisturbed(open_to_all(), |rig, bystander| offences::send(rig, bystander, bytes))
}

/// What a client gets for these bytes in place of a `hello`.
fn answer_instead_of_welcome_to(bytes: &[u8]) -> Answer {
    undisturbed(open_to_all(), |rig, bystander| offences::send_instead_of_hello(rig, bystander, bytes))
}

/// What these bytes get over HTTP.
fn http_answer_to(request: &str) -> String {
    undisturbed(open_to_all(), |rig, bystander| {
        let answer = rig.exchange(request);
        bystander.goes_on();
        answer
    })
}

// Not a WebSocket, or not the right one.

#[test]
fn what_is_no_http_at_all_is_a_bad_request() {
    let answer = http_answer_to("\x16\x03\x01 this is TLS, or something else\r\n\r\n");
    assert_eq!(http_answer(&answer), Answer::Http(400));
}

#[test]
fn what_is_no_websocket_is_told_to_upgrade() {
    let answer = http_answer_to("GET /connect HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert_eq!(http_answer(&answer), Answer::Http(426));
    assert!(answer.contains("upgrade: websocket\r\n"), "{answer}");
    assert!(answer.contains(r#"{"error":{"code":"upgrade_required","#), "{answer}");
}

#[test]
fn another_version_of_websocket_is_told_which_one_is_spoken() {
    for line in ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 14", "X-Nothing: 0"] {
        let answer = http_answer_to(&Handshake::new().without("Sec-WebSocket-Version").with(line).text());
        assert_eq!(http_answer(&answer), Answer::Http(426), "{line}");
        assert!(answer.contains("sec-websocket-version: 13\r\n"), "{answer}");
    }
}

#[test]
fn another_version_of_the_protocol_gets_a_bye() {
    let hello = offences::text(r#"{"hello":{"v":2,"auth":{"guest":true}}}"#);
    assert_eq!(answer_instead_of_welcome_to(&hello), bye("unsupported_version", 4203, "never"));
}

// What breaks RFC 6455 or a limit is closed with its own codes, without a bye.

#[test]
fn a_frame_without_a_mask_is_a_protocol_error() {
    assert_eq!(answer_to(&offences::unmasked_text()), Answer::Close(1002));
    assert_eq!(answer_instead_of_welcome_to(&offences::unmasked_text()), Answer::Close(1002));
}

#[test]
fn a_peer_that_goes_on_talking_after_a_violation_still_gets_the_reason() {
    assert_eq!(answer_to(&[b"\xf1\x00", &[0; 4096][..]].concat()), Answer::Close(1002));
}

#[test]
fn broken_utf8_is_not_listened_to() {
    for payload in [&b"{\"ping\":\"\xff\"}"[..], b"cut off: \xe4\xb8", b"a surrogate: \xed\xa0\x80"] {
        assert_eq!(answer_to(&offences::bytes_as_text(payload)), Answer::Close(1007), "{payload:?}");
    }
}

#[test]
fn a_binary_message_is_data_of_the_wrong_kind() {
    assert_eq!(answer_to(&offences::binary()), Answer::Close(1003));
}

#[test]
fn a_message_that_is_too_large_is_refused_at_its_head() {
    let limits = Limits::default();
    let (once_welcome, with_hello) = (limits.message_bytes_max + 1, limits.hello_bytes_max + 1);
    assert_eq!(answer_to(&offences::head_of_text(once_welcome)), Answer::Close(1009));
    let too_early = offences::head_of_text(with_hello);
    assert_eq!(answer_instead_of_welcome_to(&too_early), Answer::Close(1009));
}

#[test]
fn fragments_are_too_large_together() {
    let mut first = offences::text(&" ".repeat(40_000));
    first[0] = 0x01;
    let mut second = offences::text(&" ".repeat(40_000));
    second[0] = 0x80;
    assert_eq!(answer_to(&[first, second].concat()), Answer::Close(1009));
}

// What is no packet gets a bye in words.

#[test]
fn what_is_no_packet_gets_a_bye() {
    let no_packets = [
        "[1,2",
        "hello",
        "{}",
        r#"{"ping":{},"pause":{}}"#,
        r#"{"ping":{}} and more"#,
        r#"{"call":{"method":"echo"}}"#,
        r#"{"id":0,"call":{"method":"echo"}}"#,
        r#"{"hello":{"v":1,"auth":{"guest":true}}}"#,
    ];
    for line in no_packets {
        assert_eq!(answer_to(&offences::text(line)), bye("bad_packet", 4201, "never"), "{line}");
    }
}

#[test]
fn what_comes_before_the_hello_gets_a_bye() {
    let ping = offences::text(r#"{"ping":{}}"#);
    assert_eq!(answer_instead_of_welcome_to(&ping), bye("bad_packet", 4201, "never"));
}

// Who takes too long is not waited for.

#[test]
fn no_hello_in_time_gets_a_bye() {
    let builder = with_limits(Limits { hello_ms: SHORT_MS, ..Limits::default() });
    assert_eq!(undisturbed(builder, offences::say_nothing), bye("hello_timeout", 4010, "now"));
}

#[test]
fn half_a_hello_for_ever_is_no_hello_in_time() {
    let builder = with_limits(Limits { hello_ms: SHORT_MS, ..Limits::default() });
    assert_eq!(undisturbed(builder, offences::drip_half_a_message), bye("hello_timeout", 4010, "now"));
}

#[test]
fn half_a_head_for_ever_is_cut_without_a_word() {
    let answer = undisturbed(with_short_http_requests(), offences::drip_half_a_head);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn half_a_body_for_ever_is_told_that_it_took_too_long() {
    assert_eq!(undisturbed(with_short_http_requests(), offences::send_half_a_body), Answer::Http(408));
}

#[test]
fn a_head_without_end_is_cut_by_its_size() {
    let endless = format!("GET /connect HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(20_000));
    assert_eq!(http_answer(&http_answer_to(&endless)), Answer::Http(431));
}

#[test]
fn a_peer_that_never_answers_the_goodbye_is_not_waited_for() {
    let mut config = config();
    config.linger_timeout = Duration::from_millis(SHORT_MS);
    undisturbed(open_to_all().config(config), |rig, bystander| {
        let mut offender = rig.guest();
        offender.write_raw(&offences::text("{\"bye\":{}}"));
        bystander.goes_on();
        rig.wait_until("it was let go", |gateway| gateway.stats().connections == 1);
    });
}

// Who takes too much is stopped at a limit.

#[test]
fn ten_thousand_subscriptions_are_refused_above_the_limit_and_the_line_goes_on() {
    let refused = undisturbed(open_to_all(), |rig, bystander| offences::subscribe_to(rig, bystander, 10_000));
    assert_eq!(refused, 10_000 - Limits::default().channels_max);
}

#[test]
fn a_client_that_never_says_seen_is_too_slow_after_as_many_replies_as_are_kept() {
    let publish = ("publish", json!({"channel": "offender", "data": null}));
    let (answered, last_words) = undisturbed(open_to_all(), |rig, bystander| {
        let told = offences::never_say_seen(rig, bystander, &publish);
        let hub = rig.gateway.stats().hub;
        assert!(hub.reply_bytes > 0 && hub.log_bytes > 0, "there is something to be forgotten: {hub:?}");
        told
    });
    assert_eq!(answered, Limits::default().replies_unseen_max);
    assert_eq!(last_words, bye("slow_peer", 4012, "now"));
}

#[test]
fn a_client_that_never_says_seen_is_too_slow_after_as_many_bytes_as_are_kept() {
    const DATA_BYTES: usize = 60_000;
    let bytes_max = Limits::default().replies_unseen_bytes_max;
    let (answered, last_words) = undisturbed(open_to_all(), |rig, bystander| {
        let told = offences::never_say_seen(rig, bystander, &offences::echo(DATA_BYTES));
        let kept_bytes = rig.gateway.stats().hub.reply_bytes;
        assert!((bytes_max - DATA_BYTES..bytes_max + DATA_BYTES).contains(&kept_bytes), "{kept_bytes}");
        told
    });
    assert_eq!(answered, bytes_max / DATA_BYTES, "the others were too large beside these");
    assert_eq!(last_words, bye("slow_peer", 4012, "now"));
}

#[test]
fn the_gateway_tidies_up_behind_an_offender_by_itself() {
    let builder = with_limits(Limits { park_ms: SHORT_MS, ..Limits::default() });
    undisturbed(builder, |rig, bystander| {
        offences::subscribe_to(rig, bystander, 200);
        offences::never_say_seen(rig, bystander, &offences::echo(60_000));
        rig.wait_until("sessions, channels and replies are forgotten", |gateway| {
            let hub = gateway.stats().hub;
            (hub.sessions, hub.channels, hub.reply_bytes) == (1, 1, 0)
        });
    });
}

// Who comes with what opens nothing.

#[test]
fn a_forged_ticket_is_challenged_and_a_login_on_the_same_line_begins_a_session_of_its_own() {
    undisturbed(open_to_all(), |rig, bystander| {
        for ticket in ["forged", &offences::forged_ticket(bystander)] {
            let mut offender = rig.connect();
            offender.say(&json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": FAR_AWAY}}}));
            assert_eq!(offender.hear()["challenge"]["code"], "ticket_invalid", "{ticket}");
            bystander.goes_on();
            offender.say(&json!({"hello": {"v": 1, "auth": {"guest": true},
                "resume": {"ticket": ticket, "attempt": FAR_AWAY}}}));
            let welcome = offender.hear()["welcome"].clone();
            assert_eq!(welcome["resumed"], false);
            assert_ne!(welcome["session"], bystander.welcome["session"]);
        }
    });
}

#[test]
fn a_forged_ticket_is_challenged_three_times_and_no_more() {
    let (challenged, last_words) = undisturbed(open_to_all(), |rig, bystander| {
        let ticket = offences::forged_ticket(bystander);
        offences::insist_on_a_ticket(rig, bystander, &ticket)
    });
    assert_eq!(challenged, 3);
    assert_eq!(last_words, bye("challenge_failed", 4013, "later"));
}

#[test]
fn a_challenge_that_is_not_answered_gets_a_bye() {
    let builder = with_limits(Limits { challenge_ms: SHORT_MS, ..Limits::default() });
    let last_words = undisturbed(builder, |rig, bystander| {
        let mut offender = rig.connect();
        offender.say(&json!({"hello": {"v": 1, "resume": {"ticket": "forged", "attempt": 1}}}));
        assert!(offender.hear()["challenge"].is_object());
        bystander.goes_on();
        offender.last_words()
    });
    assert_eq!(last_words, bye("challenge_failed", 4013, "later"));
}

#[test]
fn an_expired_token_gets_a_bye_and_a_new_one_is_welcome() {
    let last_words = undisturbed(open_to_all().jwt_hs256(SECRET), |rig, bystander| {
        let last_words = offences::come_with_an_expired_token(rig, bystander);
        let mut again = rig.connect();
        let token = token(&json!({"sub": "u42", "exp": FAR_AWAY}));
        again.say(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
        assert_eq!(again.hear()["welcome"]["user"], "u42");
        last_words
    });
    assert_eq!(last_words, bye("token_expired", 4101, "now"));
}
