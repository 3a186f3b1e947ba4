//! Malformed input: each kind gets the answer of RFC 6455 or the protocol, affects only its sender, and leaks
//! no memory.

use std::time::Duration;

use serde_json::json;
use tautline_gateway::GatewayBuilder;
use tautline_protocol::Limits;

use crate::{
    bystander::with_bystander,
    handshake::Handshake,
    logins::{FAR_AWAY, SECRET, token},
    offences,
    rig::{Answer, bye, config, config_with_long_linger, http_answer, open_to_all},
};

/// Short enough for a test to wait for. A slow machine that misses it must not fail the test.
const SHORT_MS: u64 = 100;

fn with_limits(limits: Limits) -> GatewayBuilder {
    open_to_all().limits(limits)
}

fn with_short_http_requests() -> GatewayBuilder {
    let mut config = config_with_long_linger();
    config.http_head_timeout = Duration::from_millis(SHORT_MS);
    config.http_body_timeout = Duration::from_millis(SHORT_MS);
    open_to_all().config(config)
}

/// The answer to these bytes behind `welcome`.
fn answer_to(bytes: &[u8]) -> Answer {
    with_bystander(open_to_all(), |rig, bystander| offences::send(rig, bystander, bytes))
}

/// The answer to these bytes in place of `hello`.
fn answer_instead_of_welcome_to(bytes: &[u8]) -> Answer {
    with_bystander(open_to_all(), |rig, bystander| offences::send_instead_of_hello(rig, bystander, bytes))
}

/// The answer to these bytes over HTTP.
fn http_answer_to(request: &str) -> String {
    with_bystander(open_to_all(), |rig, bystander| {
        let answer = rig.exchange(request);
        bystander.check_service();
        answer
    })
}

// No WebSocket, or one of another version.

#[test]
fn non_http_bytes_get_400() {
    let answer = http_answer_to("\x16\x03\x01 this is TLS, or something else\r\n\r\n");
    assert_eq!(http_answer(&answer), Answer::Http(400));
}

#[test]
fn plain_http_to_connect_gets_426() {
    let answer = http_answer_to("GET /connect HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert_eq!(http_answer(&answer), Answer::Http(426));
    assert!(answer.contains("upgrade: websocket\r\n"), "{answer}");
    assert!(answer.contains(r#""code":"upgrade_required""#), "{answer}");
}

#[test]
fn other_websocket_version_gets_426_with_version_13() {
    for line in ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 14", "X-Nothing: 0"] {
        let answer = http_answer_to(&Handshake::new().without("Sec-WebSocket-Version").with(line).text());
        assert_eq!(http_answer(&answer), Answer::Http(426), "{line}");
        assert!(answer.contains("sec-websocket-version: 13\r\n"), "{answer}");
    }
}

#[test]
fn other_protocol_version_gets_bye() {
    let hello = offences::text(r#"{"hello":{"v":2,"auth":{"guest":true}}}"#);
    assert_eq!(answer_instead_of_welcome_to(&hello), bye("unsupported_version", 4203, "never"));
}

// Violations of RFC 6455 or a limit are closed with its own codes, without a bye.

#[test]
fn unmasked_frame_closes_with_1002() {
    assert_eq!(answer_to(&offences::unmasked_text()), Answer::Close(1002));
    assert_eq!(answer_instead_of_welcome_to(&offences::unmasked_text()), Answer::Close(1002));
}

#[test]
fn peer_sending_after_violation_still_gets_close_frame() {
    assert_eq!(answer_to(&[b"\xf1\x00", &[0; 4096][..]].concat()), Answer::Close(1002));
}

#[test]
fn invalid_utf8_closes_with_1007() {
    for payload in [&b"{\"ping\":\"\xff\"}"[..], b"cut off: \xe4\xb8", b"a surrogate: \xed\xa0\x80"] {
        assert_eq!(answer_to(&offences::bytes_as_text(payload)), Answer::Close(1007), "{payload:?}");
    }
}

#[test]
fn binary_message_closes_with_1003() {
    assert_eq!(answer_to(&offences::binary()), Answer::Close(1003));
}

#[test]
fn oversized_message_is_refused_at_its_header() {
    let limits = Limits::default();
    let (once_welcome, with_hello) = (limits.message_bytes_max + 1, limits.hello_bytes_max + 1);
    assert_eq!(answer_to(&offences::head_of_text(once_welcome)), Answer::Close(1009));
    let too_early = offences::head_of_text(with_hello);
    assert_eq!(answer_instead_of_welcome_to(&too_early), Answer::Close(1009));
}

#[test]
fn oversized_fragments_are_refused() {
    let mut first = offences::text(&" ".repeat(40_000));
    first[0] = 0x01;
    let mut second = offences::text(&" ".repeat(40_000));
    second[0] = 0x80;
    assert_eq!(answer_to(&[first, second].concat()), Answer::Close(1009));
}

// Invalid packets get a bye.

#[test]
fn invalid_packet_gets_bye() {
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
fn packet_before_hello_gets_bye() {
    let ping = offences::text(r#"{"ping":{}}"#);
    assert_eq!(answer_instead_of_welcome_to(&ping), bye("bad_packet", 4201, "never"));
}

// Slow peers are closed at a deadline.

#[test]
fn missing_hello_gets_bye() {
    let builder = with_limits(Limits { hello_ms: SHORT_MS, ..Limits::default() });
    assert_eq!(with_bystander(builder, offences::send_nothing), bye("hello_timeout", 4010, "now"));
}

#[test]
fn endless_half_hello_gets_bye() {
    let builder = with_limits(Limits { hello_ms: SHORT_MS, ..Limits::default() });
    assert_eq!(with_bystander(builder, offences::trickle_half_a_message), bye("hello_timeout", 4010, "now"));
}

#[test]
fn endless_half_head_is_closed_silently() {
    let answer = with_bystander(with_short_http_requests(), offences::trickle_half_a_head);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn endless_half_body_gets_408() {
    assert_eq!(with_bystander(with_short_http_requests(), offences::send_half_a_body), Answer::Http(408));
}

#[test]
fn oversized_head_gets_431() {
    let endless = format!("GET /connect HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(20_000));
    assert_eq!(http_answer(&http_answer_to(&endless)), Answer::Http(431));
}

#[test]
fn peer_ignoring_close_frame_is_dropped() {
    let mut config = config();
    config.linger_timeout = Duration::from_millis(SHORT_MS);
    with_bystander(open_to_all().config(config), |rig, bystander| {
        let mut offender = rig.guest();
        offender.write_raw(&offences::text("{\"bye\":{}}"));
        bystander.check_service();
        rig.wait_until("it was let go", |gateway| gateway.stats().connections == 1);
    });
}

// Excessive use is stopped at a limit.

#[test]
fn subscriptions_beyond_limit_are_refused() {
    let refused =
        with_bystander(open_to_all(), |rig, bystander| offences::subscribe_to(rig, bystander, 10_000));
    assert_eq!(refused, 10_000 - Limits::default().channels_max);
}

#[test]
fn unseen_replies_beyond_count_limit_close_connection() {
    let publish = ("publish", json!({"channel": "offender", "data": null}));
    let (answered, final_answer) = with_bystander(open_to_all(), |rig, bystander| {
        let told = offences::never_send_seen(rig, bystander, &publish);
        let hub = rig.gateway.stats().hub;
        assert!(hub.reply_bytes > 0 && hub.log_bytes > 0, "there is something to be forgotten: {hub:?}");
        told
    });
    assert_eq!(answered, Limits::default().replies_unseen_max);
    assert_eq!(final_answer, bye("slow_peer", 4012, "now"));
}

#[test]
fn unseen_replies_beyond_byte_limit_close_connection() {
    const DATA_BYTES: usize = 60_000;
    let bytes_max = Limits::default().replies_unseen_bytes_max;
    let (answered, final_answer) = with_bystander(open_to_all(), |rig, bystander| {
        let told = offences::never_send_seen(rig, bystander, &offences::echo(DATA_BYTES));
        let kept_bytes = rig.gateway.stats().hub.reply_bytes;
        assert!((bytes_max - DATA_BYTES..bytes_max + DATA_BYTES).contains(&kept_bytes), "{kept_bytes}");
        told
    });
    assert_eq!(answered, bytes_max / DATA_BYTES, "the others were too large beside these");
    assert_eq!(final_answer, bye("slow_peer", 4012, "now"));
}

#[test]
fn state_of_offender_expires_by_itself() {
    let builder = with_limits(Limits { park_ms: SHORT_MS, ..Limits::default() });
    with_bystander(builder, |rig, bystander| {
        offences::subscribe_to(rig, bystander, 200);
        offences::never_send_seen(rig, bystander, &offences::echo(60_000));
        rig.wait_until("sessions, channels and replies are forgotten", |gateway| {
            let hub = gateway.stats().hub;
            (hub.sessions, hub.channels, hub.reply_bytes) == (1, 1, 0)
        });
    });
}

// Invalid credentials open nothing.

#[test]
fn forged_ticket_then_login_starts_new_session() {
    with_bystander(open_to_all(), |rig, bystander| {
        for ticket in ["forged", &offences::forged_ticket(bystander)] {
            let mut offender = rig.connect();
            offender.send(&json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": FAR_AWAY}}}));
            assert_eq!(offender.receive()["challenge"]["code"], "ticket_invalid", "{ticket}");
            bystander.check_service();
            offender.send(&json!({"hello": {"v": 1, "auth": {"guest": true},
                "resume": {"ticket": ticket, "attempt": FAR_AWAY}}}));
            let welcome = offender.receive()["welcome"].clone();
            assert_eq!(welcome["resumed"], false);
            assert_ne!(welcome["session"], bystander.welcome["session"]);
        }
    });
}

#[test]
fn forged_ticket_is_challenged_at_most_three_times() {
    let (challenged, final_answer) = with_bystander(open_to_all(), |rig, bystander| {
        let ticket = offences::forged_ticket(bystander);
        offences::resume_with_ticket_repeatedly(rig, bystander, &ticket)
    });
    assert_eq!(challenged, 3);
    assert_eq!(final_answer, bye("challenge_failed", 4013, "later"));
}

#[test]
fn unanswered_challenge_gets_bye() {
    let builder = with_limits(Limits { challenge_ms: SHORT_MS, ..Limits::default() });
    let final_answer = with_bystander(builder, |rig, bystander| {
        let mut offender = rig.connect();
        offender.send(&json!({"hello": {"v": 1, "resume": {"ticket": "forged", "attempt": 1}}}));
        assert!(offender.receive()["challenge"].is_object());
        bystander.check_service();
        offender.final_answer()
    });
    assert_eq!(final_answer, bye("challenge_failed", 4013, "later"));
}

#[test]
fn expired_token_gets_bye_new_token_welcome() {
    let final_answer = with_bystander(open_to_all().jwt_hs256(SECRET), |rig, bystander| {
        let final_answer = offences::log_in_with_expired_token(rig, bystander);
        let mut again = rig.connect();
        let token = token(&json!({"sub": "u42", "exp": FAR_AWAY}));
        again.send(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
        assert_eq!(again.receive()["welcome"]["user"], "u42");
        final_answer
    });
    assert_eq!(final_answer, bye("token_expired", 4101, "now"));
}
