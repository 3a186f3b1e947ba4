//! The plain endpoint without sockets: the test is the shell and plays the peers of the accounts.

use std::{sync::Arc, time::Duration};

use tautline_adapters::plain::{AccountId, Command, Output, Plain, PlainConfig};
use tautline_protocol::{ByeCode, Limits, Now, packet::server::Bye};

const BAD_REQUEST: &str = r#"{"msgType":"error","code":"bad_request","success":false"#;

/// A connection, and the time.
struct Rig {
    plain: Plain,
    now: Now,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut PlainConfig)) -> Self {
        let mut config = PlainConfig::default();
        change(&mut config);
        let now = Now::new(1_000, 1_763_666_000_000);
        Self { plain: Plain::new(Arc::new(config), &Limits::default(), now), now }
    }

    fn text(&mut self, text: &str) -> Vec<Command> {
        self.plain.handle_text(self.now, text);
        self.commands()
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.plain.poll_command()).collect()
    }

    /// A message of a peer, and what the client is sent for it.
    fn peer(&mut self, account: AccountId, message: &str) -> Vec<String> {
        self.plain.handle_message(account, message.to_owned().into());
        self.sent()
    }

    /// Texts as they are, pings and closes in words.
    fn sent(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.plain.poll_output())
            .map(|output| match output {
                Output::Text(text) => String::from_utf8(text.to_vec()).expect("UTF-8"),
                Output::Ping(number) => format!("ping {}", u64::from_be_bytes(number)),
                Output::Close { code, reason } => format!("close {code} {reason}"),
            })
            .collect()
    }

    fn pong(&mut self, number: u64) -> Vec<Command> {
        self.plain.handle_pong(self.now, &number.to_be_bytes());
        self.commands()
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.plain.handle_timeout(self.now);
    }

    /// Starts a login of a user that is not logged in here.
    fn auth(&mut self, token: &str) -> AccountId {
        self.auth_by(&format!(r#"{{"type":"auth","token":"{token}"}}"#))
    }

    /// Starts a login by a code that all accounts refuse.
    fn auth_by_code(&mut self) -> AccountId {
        self.auth_by(r#"{"type":"auth","code":"c","provider":"wechat"}"#)
    }

    fn auth_by(&mut self, text: &str) -> AccountId {
        let mut commands = self.text(text);
        while let Some((account, id)) = asked_to_renew(&commands) {
            let refused = format!(r#"{{"id":{id},"error":{{"code":"permission_denied"}}}}"#);
            assert_eq!(self.peer(account, &refused), [""; 0]);
            commands = self.commands();
        }
        opened(&commands)
    }

    /// An account whose inbox has `offset` publications, `recovering` of which follow.
    fn login(&mut self, user: &str, offset: u64, recovering: u64) -> AccountId {
        let account = self.auth(user);
        let sent = self.peer(account, &welcome(user, offset, recovering));
        assert_eq!(
            sent,
            [format!(r#"{{"msgType":"auth_ack","code":"200","success":true,"user":"{user}"}}"#)]
        );
        account
    }
}

fn opened(commands: &[Command]) -> AccountId {
    let account_of = |command: &Command| match command {
        Command::Open(account) => Some(*account),
        _ => None,
    };
    commands.iter().rev().find_map(account_of).expect("a peer")
}

/// The account that is asked to renew its login, and the id of the request.
fn asked_to_renew(commands: &[Command]) -> Option<(AccountId, u64)> {
    let Some(Command::Packet(account, packet)) = commands.last() else { return None };
    let packet: serde_json::Value = serde_json::from_str(packet).expect("a packet");
    packet["auth"].is_object().then(|| (*account, packet["id"].as_u64().expect("an id")))
}

fn welcome(user: &str, offset: u64, recovering: u64) -> String {
    format!(
        r#"{{"welcome":{{"session":"s","ticket":"t","ticket_expires_at":9,"resumed":false,"user":"{user}","ping_ms":25000,"pong_ms":8000,"park_ms":120000,"max_message_bytes":65536,"now":1,"node":"n1","channels":{{"user:{user}":{{"epoch":"k1","offset":{offset},"at":5,"recovering":{recovering}}}}}}}}}"#
    )
}

fn publication(channel: &str, offset: u64, data: &str) -> String {
    format!(r#"{{"pub":{{"channel":"{channel}","offset":{offset},"at":5,"data":{data}}}}}"#)
}

fn packets(commands: &[Command]) -> Vec<&str> {
    let mut packets = Vec::new();
    for command in commands {
        if let Command::Packet(_, packet) = command {
            packets.push(packet.trim_end());
        }
    }
    packets
}

#[test]
fn heartbeats_are_answered_before_any_login() {
    let mut rig = Rig::new();
    for (text, answer) in [
        ("ping", "pong"),
        ("are you there? ping", "pong"),
        ("heartbeat", "heartbeat"),
        (
            r#"{"type":"heartBeat","msg":"ping"}"#,
            r#"{"msgType":"heartBeat_ack","code":"200","success":true}"#,
        ),
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
    ] {
        assert_eq!(rig.text(text), [], "{text}");
        assert_eq!(rig.sent(), [answer], "{text}");
    }
}

#[test]
fn configured_heartbeats_and_names_replace_the_defaults() {
    let config: PlainConfig = toml::from_str(
        "heartbeats = [{ text = \"hb\", answer = \"ok\" }, { type = \"beat\" }]\n\
         names = { kind = \"cmd\", answer_kind = \"cmd\", answer_suffix = \".reply\", code_ok = \"0\" }",
    )
    .unwrap();
    let mut rig = Rig::with(|it| *it = config);
    rig.text("hb");
    rig.text(r#"{"cmd":"beat"}"#);
    rig.text("ping");
    rig.text(r#"{"cmd":"list"}"#);
    assert_eq!(
        rig.sent(),
        [
            "ok",
            r#"{"cmd":"beat.reply","code":"0","success":true}"#,
            r#"{"cmd":"error","code":"bad_request","success":false,"msg":"this is no heartbeat and no JSON object"}"#,
            r#"{"cmd":"list.reply","code":"unauthorized","success":false,"msg":"log in first"}"#,
        ]
    );
}

#[test]
fn unknown_or_odd_options_are_refused() {
    for (text, why) in [
        ("path = \"plain\"", "begins with `/`"),
        ("path = \"/connect\"", "another use"),
        ("path = \"/api/v1/plain\"", "another use"),
        ("path = \"/{any}\"", "begins with `/`"),
        ("accounts_max = 0", "nonzero"),
        ("heartbeat = []", "unknown field"),
        ("heartbeats = [{ text = \"hb\" }]", "a heartbeat is"),
        ("heartbeats = [{ text = \"hb\", answer = \"x\", kind = \"y\" }]", "a heartbeat is"),
    ] {
        let error = toml::from_str::<PlainConfig>(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn message_becomes_call_and_its_reply_an_answer() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    let commands = rig.text(r#"{"type":"order.list","page":2,"id":"q1"}"#);
    assert_eq!(
        packets(&commands),
        [r#"{"id":1,"call":{"method":"order.list","data":{"page":2,"id":"q1"}}}"#]
    );
    let sent = rig.peer(account, r#"{"id":1,"ok":{"data":[1, 2.50]}}"#);
    let answer = r#"{"msgType":"order.list_ack","id":"q1","code":"200","success":true,"data":[1, 2.50]}"#;
    assert_eq!(sent, [answer]);
}

#[test]
fn refused_call_is_answered_with_its_code() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    rig.text(r#"{"type":"buy"}"#);
    let sent = rig.peer(
        account,
        r#"{"id":1,"error":{"code":"sold_out","message":"come back tomorrow","retry_after_ms":5}}"#,
    );
    assert_eq!(
        sent,
        [
            r#"{"msgType":"buy_ack","code":"sold_out","success":false,"msg":"come back tomorrow","retry_after_ms":5}"#
        ]
    );
}

#[test]
fn answered_calls_are_reported_as_seen() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    (0..3).for_each(|_| drop(rig.text(r#"{"type":"a"}"#)));
    rig.peer(account, "{\"id\":1,\"ok\":{\"data\":1}}\n{\"id\":3,\"ok\":{\"data\":3}}");
    let commands = rig.text(r#"{"type":"a"}"#);
    assert_eq!(
        packets(&commands),
        [r#"{"seen":1,"ping":{}}"#, r#"{"id":4,"call":{"method":"a","data":{}}}"#]
    );
    rig.peer(account, r#"{"id":2,"ok":{"data":2}}"#);
    assert_eq!(packets(&rig.text("ping")), [r#"{"seen":3,"ping":{}}"#]);
    assert_eq!(rig.text("ping"), [], "only news is reported");
}

#[test]
fn pushes_arrive_bare_and_are_acknowledged_by_the_pong() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 7, 1);
    let message =
        [publication("user:u42", 7, r#"{"n": 7}"#), publication("user:u42", 8, "\"text\"")].join("\n");
    assert_eq!(rig.peer(account, &message), [r#"{"n": 7}"#, "\"text\"", "ping 1"]);
    assert_eq!(rig.pong(2), [], "no ping had this number");
    let acknowledged = rig.pong(1);
    assert_eq!(packets(&acknowledged), [r#"{"ping":{"acks":{"user:u42":{"epoch":"k1","offset":8}}}}"#]);
    assert_eq!(rig.pong(1), [], "once");
}

#[test]
fn unanswered_ping_acknowledges_nothing() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    assert_eq!(rig.peer(account, &publication("user:u42", 1, "1")), ["1", "ping 1"]);
    assert_eq!(rig.peer(account, &publication("user:u42", 2, "2")), ["2"], "one ping at a time");
    assert_eq!(rig.text("ping"), []);
    assert_eq!(rig.sent(), ["pong"]);
    // The pong covers only what was sent before its ping; the next ping covers the rest.
    assert!(packets(&rig.pong(1))[0].contains("\"offset\":1"));
    assert_eq!(rig.sent(), ["ping 2"]);
    assert!(packets(&rig.pong(2))[0].contains("\"offset\":2"));
}

#[test]
fn other_channels_arrive_bare_without_acknowledgement() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    assert_eq!(rig.peer(account, &publication("news", 5, "5")), ["5"]);
}

#[test]
fn gap_is_told_and_moves_the_position() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    let gap = r#"{"gap":{"channel":"user:u42","reason":"new_epoch","after":0,"cursor":{"epoch":"k2","offset":40}}}"#;
    let sent = rig.peer(account, &[gap, &publication("user:u42", 41, "41")].join("\n"));
    let told = r#"{"msgType":"gap","code":"new_epoch","success":false,"user":"u42","msg":"pushes are missing here: load the state anew"}"#;
    assert_eq!(sent, [told, "41", "ping 1"]);
    assert!(packets(&rig.pong(1))[0].contains(r#"{"epoch":"k2","offset":41}"#));
    let mut quiet = Rig::with(|config| config.names.gap.clear());
    let account = quiet.login("u42", 0, 0);
    assert_eq!(quiet.peer(account, gap), Vec::<String>::new());
}

#[test]
fn refused_login_is_answered_and_may_be_tried_again() {
    let mut rig = Rig::new();
    let account = rig.auth("bad");
    assert!(!rig.plain.wants_input(), "nothing is read while a login is checked");
    rig.peer(account, r#"{"bye":{"code":"unauthorized","message":"bad signature","reconnect":"never"}}"#);
    rig.plain.handle_ended(account, 4102, "unauthorized");
    assert_eq!(rig.commands(), [Command::Drop(account)]);
    assert_eq!(
        rig.sent(),
        [r#"{"msgType":"auth_ack","code":"unauthorized","success":false,"msg":"bad signature"}"#]
    );
    rig.login("u42", 0, 0);
}

#[test]
fn login_without_token_code_or_guest_is_refused() {
    let mut rig = Rig::new();
    for text in [r#"{"type":"auth"}"#, r#"{"type":"auth","token":7}"#, r#"{"type":"auth","code":"secret"}"#] {
        assert_eq!(rig.text(text), []);
        let sent = rig.sent().concat();
        assert!(sent.starts_with(r#"{"msgType":"auth_ack","code":"bad_request","success":false"#), "{sent}");
        assert!(!sent.contains("secret"), "{sent}");
    }
}

#[test]
fn token_in_the_url_logs_in_only_where_configured() {
    let mut rig = Rig::new();
    rig.plain.handle_query("token=abc");
    assert_eq!(rig.commands(), []);
    let mut rig = Rig::with(|config| config.token_parameter = Some("token".into()));
    rig.plain.handle_query("v=2&tokens=x&token=abc");
    assert!(packets(&rig.commands())[0].contains(r#""auth":{"token":"abc"}"#));
}

#[test]
fn two_accounts_share_a_connection() {
    let mut rig = Rig::new();
    let (first, second) = (rig.login("u1", 0, 0), rig.login("u2", 0, 0));
    let to = |commands: Vec<Command>| match commands.last() {
        Some(Command::Packet(account, _)) => *account,
        other => panic!("{other:?}"),
    };
    assert_eq!(to(rig.text(r#"{"type":"a"}"#)), second, "the last login");
    let commands = rig.text(r#"{"type":"a","$user":"u1","x":1}"#);
    assert!(packets(&commands).last().expect("a call").ends_with(r#""data":{"x":1}}}"#), "{commands:?}");
    assert_eq!(to(commands), first);
    assert_eq!(rig.peer(first, &publication("user:u1", 1, "\"for u1\"")), ["\"for u1\"", "ping 1"]);
    assert_eq!(rig.peer(second, &publication("user:u2", 1, "\"for u2\"")), ["\"for u2\""]);
    assert_eq!(packets(&rig.pong(1)).len(), 1, "the second one is behind the ping");
    assert_eq!(rig.text(r#"{"type":"a","$user":"u3"}"#), []);
    assert!(rig.sent().concat().contains("not logged in here"));
}

#[test]
fn account_that_ends_leaves_the_others() {
    let mut rig = Rig::new();
    let (first, second) = (rig.login("u1", 0, 0), rig.login("u2", 0, 0));
    rig.peer(first, r#"{"bye":{"code":"token_expired","message":"log in again","reconnect":"now"}}"#);
    rig.plain.handle_ended(first, 4101, "token_expired");
    assert_eq!(
        rig.sent(),
        [r#"{"msgType":"auth_ack","code":"token_expired","success":false,"user":"u1","msg":"log in again"}"#]
    );
    rig.plain.handle_ended(second, 4103, "kicked");
    assert_eq!(rig.sent(), ["close 4103 kicked"]);
}

#[test]
fn account_that_the_operator_disconnects_is_told_so() {
    let mut rig = Rig::new();
    let (first, second) = (rig.login("u1", 0, 0), rig.login("u2", 0, 0));
    let bye =
        r#"{"bye":{"code":"server_restart","message":"come again","reconnect":"now","retry_after_ms":0}}"#;
    rig.peer(first, bye);
    rig.plain.handle_ended(first, 4001, "server_restart");
    let told = r#"{"msgType":"auth_ack","code":"server_restart","success":false,"user":"u1","msg":"come again","retry_after_ms":0}"#;
    assert_eq!(rig.sent(), [told]);
    rig.peer(second, bye);
    rig.plain.handle_ended(second, 4001, "server_restart");
    assert_eq!(rig.sent(), ["close 4001 server_restart"], "the close frame says it all");
}

#[test]
fn drain_closes_behind_the_last_account() {
    let mut rig = Rig::new();
    let (first, second) = (rig.login("u1", 0, 0), rig.login("u2", 0, 0));
    rig.text(r#"{"type":"a"}"#);
    rig.plain.handle_drained(first);
    assert_eq!(rig.sent(), Vec::<String>::new());
    assert_eq!(rig.peer(second, r#"{"id":1,"ok":{"data":1}}"#).len(), 1);
    rig.plain.handle_drained(second);
    assert_eq!(rig.sent(), ["close 4001 server_restart"]);
    let mut rig = Rig::new();
    rig.plain.handle_drain();
    assert_eq!(rig.sent(), ["close 4001 server_restart"]);
}

#[test]
fn second_session_of_a_user_replaces_the_first() {
    let mut rig = Rig::new();
    let first = rig.login("u42", 0, 0);
    rig.text(r#"{"type":"slow"}"#);
    assert_eq!(rig.peer(first, &publication("user:u42", 1, "1")), ["1", "ping 1"]);
    let second = rig.auth_by_code();
    rig.peer(second, &welcome("u42", 1, 1));
    // It begins at the acknowledged position; what this connection has sent is not sent twice.
    let both = [publication("user:u42", 1, "1"), publication("user:u42", 2, "2")].join("\n");
    assert_eq!(rig.peer(second, &both), ["2"]);
    assert_eq!(rig.peer(first, &publication("user:u42", 2, "2")), Vec::<String>::new());
    assert_eq!(rig.commands(), []);
    let sent = rig.peer(first, r#"{"id":1,"ok":{"data":"late"}}"#);
    assert_eq!(sent, [r#"{"msgType":"slow_ack","code":"200","success":true,"data":"late"}"#]);
    assert_eq!(rig.commands(), [Command::Drop(first)]);
    let acknowledged = rig.pong(1);
    assert_eq!(acknowledged.len(), 1);
    assert!(matches!(&acknowledged[0], Command::Packet(account, _) if *account == second));
}

#[test]
fn account_beyond_the_limit_is_refused() {
    let mut rig = Rig::with(|config| config.accounts_max = 1);
    rig.login("u1", 0, 0);
    let second = rig.auth("u2");
    let sent = rig.peer(second, &welcome("u2", 0, 0)).concat();
    assert!(sent.contains(r#""code":"limit","success":false,"user":"u2""#), "{sent}");
    assert_eq!(rig.commands(), [Command::Drop(second)]);
}

#[test]
fn logout_ends_the_session_and_fails_its_calls() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    rig.text(r#"{"type":"slow"}"#);
    let commands = rig.text(r#"{"type":"logout"}"#);
    assert_eq!(commands, [Command::Packet(account, "{\"bye\":{}}".into()), Command::Drop(account)]);
    let sent = rig.sent();
    assert!(sent[0].contains(r#""slow_ack","code":"in_doubt""#), "{sent:?}");
    assert_eq!(sent[1], r#"{"msgType":"logout_ack","code":"200","success":true}"#);
    rig.later(59_999);
    assert_eq!(rig.sent(), Vec::<String>::new());
    rig.later(1);
    assert_eq!(rig.sent(), ["close 4010 hello_timeout"]);
}

#[test]
fn ten_thousand_logins_close_the_connection() {
    let mut rig = Rig::new();
    let mut peers = 0;
    for _ in 0..10_000 {
        let commands = rig.text(r#"{"type":"auth","token":"bad"}"#);
        if let Some(Command::Open(account)) = commands.first() {
            peers += 1;
            rig.plain.handle_ended(*account, 4102, "unauthorized");
            rig.commands();
        }
        if rig.sent().iter().any(|sent| sent == "close 4003 rate_limited") {
            assert_eq!(peers, PlainConfig::default().logins_max);
            return;
        }
    }
    panic!("{peers} peers were made");
}

#[test]
fn logins_that_are_never_answered_make_few_peers() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        rig.text(r#"{"type":"auth","token":"t"}"#);
    }
    // A shell that asks `wants_input` gives only the first of them.
    assert!(!rig.plain.wants_input());
    let refused = rig.sent().iter().filter(|sent| sent.contains("\"limit\"")).count();
    assert_eq!(refused, 64 - 2 * PlainConfig::default().accounts_max);
}

#[test]
fn client_that_reads_nothing_is_not_read() {
    let mut rig = Rig::new();
    let mut taken = 0;
    while rig.plain.wants_input() {
        rig.text("ping");
        taken += 1;
    }
    assert_eq!(taken, 64);
    assert_eq!(rig.sent().len(), 64);
    assert!(rig.plain.wants_input());
}

#[test]
fn connection_without_login_ends_at_its_deadline() {
    let mut rig = Rig::with(|config| config.auth_timeout = Duration::from_secs(5));
    assert_eq!(rig.plain.poll_timeout(), 6_000);
    rig.later(4_000);
    rig.text("ping");
    rig.later(1_000);
    assert_eq!(rig.sent(), ["pong", "close 4010 hello_timeout"]);
    assert_eq!(rig.text("ping"), [], "and reads nothing more");
    assert_eq!(rig.sent(), Vec::<String>::new());
}

#[test]
fn silent_client_is_pinged_once() {
    let mut rig = Rig::new();
    rig.login("u42", 0, 0);
    rig.later(24_999);
    assert_eq!(rig.sent(), Vec::<String>::new());
    rig.later(1);
    assert_eq!(rig.sent(), ["ping 1"]);
    rig.later(100_000);
    assert_eq!(rig.sent(), Vec::<String>::new());
    assert_eq!(rig.pong(1), [], "there is nothing to report");
    rig.later(25_000);
    assert_eq!(rig.sent(), ["ping 2"]);
}

#[test]
fn hostile_texts_are_answered_in_short_and_call_nothing() {
    let mut rig = Rig::new();
    rig.login("u42", 0, 0);
    let long = "x".repeat(60_000);
    let brackets = "[".repeat(60_000);
    for text in [&*long, &*brackets, "{\"type\":", "\u{0}", "null", "{\"type\":[]}", "{\"type\":\"a\"}{}"] {
        assert_eq!(rig.text(text), []);
        let sent = rig.sent().concat();
        assert!(sent.starts_with(BAD_REQUEST) && sent.len() < 200, "{sent}");
    }
}

#[test]
fn renewed_token_keeps_account_and_session() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    rig.text(r#"{"type":"slow"}"#);
    let commands = rig.text(r#"{"type":"auth","token":"again"}"#);
    assert_eq!(packets(&commands), [r#"{"id":2,"auth":{"token":"again"}}"#]);
    assert!(!rig.plain.wants_input(), "nothing is read while a login is checked");
    assert_eq!(rig.peer(account, &publication("news", 5, "5")), ["5"]);
    let sent = rig.peer(account, r#"{"id":2,"ok":{"expires_at":9,"ticket":"t"}}"#);
    assert_eq!(sent, [r#"{"msgType":"auth_ack","code":"200","success":true,"user":"u42"}"#]);
    assert!(rig.plain.wants_input());
    assert_eq!(rig.commands(), [], "there is no second peer");
    let sent = rig.peer(account, r#"{"id":1,"ok":{"data":"late"}}"#);
    assert_eq!(sent, [r#"{"msgType":"slow_ack","code":"200","success":true,"data":"late"}"#]);
}

#[test]
fn renewed_code_keeps_account_and_session() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    rig.text(r#"{"type":"slow"}"#);
    let commands = rig.text(r#"{"type":"auth","code":"c2","provider":"wechat"}"#);
    assert_eq!(packets(&commands), [r#"{"id":2,"auth":{"code":"c2","provider":"wechat"}}"#]);
    let sent = rig.peer(account, r#"{"id":2,"ok":{"expires_at":9,"ticket":"t"}}"#);
    assert_eq!(sent, [r#"{"msgType":"auth_ack","code":"200","success":true,"user":"u42"}"#]);
    assert_eq!(rig.commands(), [], "there is no second peer");
}

#[test]
fn guest_that_comes_again_keeps_its_session() {
    let mut rig = Rig::new();
    let user = rig.login("u42", 0, 0);
    let auth = r#"{"type":"auth","guest":true}"#;
    let guest = opened(&rig.text(auth));
    let as_guest = welcome("u1", 0, 0).replace(r#""user":"u1","#, "");
    assert_eq!(rig.peer(guest, &as_guest), [r#"{"msgType":"auth_ack","code":"200","success":true}"#]);
    let (asked, id) = asked_to_renew(&rig.text(auth)).expect("the guest's account");
    assert_eq!((asked == guest, asked == user, id), (true, false, 1));
    rig.peer(guest, r#"{"id":1,"ok":{"expires_at":9,"ticket":"t"}}"#);
    assert_eq!(rig.commands(), []);
}

#[test]
fn code_asks_only_the_account_that_it_names() {
    let mut rig = Rig::new();
    let [first, _] = ["u1", "u2"].map(|user| rig.login(user, 0, 0));
    let code = |user: &str| format!(r#"{{"type":"auth","$user":"{user}","code":"c","provider":"wechat"}}"#);
    let (asked, id) = asked_to_renew(&rig.text(&code("u1"))).expect("its account");
    assert_eq!(asked, first);
    rig.peer(first, &format!(r#"{{"id":{id},"error":{{"code":"permission_denied"}}}}"#));
    let third = opened(&rig.commands());
    rig.peer(third, &welcome("u3", 0, 0));
    opened(&rig.text(&code("u4")));
}

#[test]
fn renewal_asks_named_account_then_latest_login() {
    let mut rig = Rig::new();
    let accounts = ["u1", "u2", "u3"].map(|user| rig.login(user, 0, 0));
    let mut asked = Vec::new();
    let mut commands = rig.text(r#"{"type":"auth","$user":"u2","token":"of u1"}"#);
    while let Some((account, id)) = asked_to_renew(&commands) {
        asked.push(account);
        let reply = match account == accounts[0] {
            true => format!(r#"{{"id":{id},"ok":{{"expires_at":9,"ticket":"t"}}}}"#),
            false => format!(r#"{{"id":{id},"error":{{"code":"permission_denied"}}}}"#),
        };
        rig.peer(account, &reply);
        commands = rig.commands();
    }
    assert_eq!(asked, [accounts[1], accounts[2], accounts[0]]);
    let call = rig.text(r#"{"type":"a"}"#);
    assert!(matches!(call.last(), Some(Command::Packet(account, _)) if *account == accounts[0]), "{call:?}");
}

#[test]
fn renewal_that_cannot_be_checked_tells_the_wait() {
    let mut rig = Rig::new();
    let account = rig.login("u42", 0, 0);
    rig.text(r#"{"type":"auth","token":"again"}"#);
    let error = r#"{"code":"unavailable","message":"no keys","retry_after_ms":900}"#;
    let sent = rig.peer(account, &format!(r#"{{"id":1,"error":{error}}}"#));
    let told =
        r#"{"msgType":"auth_ack","code":"unavailable","success":false,"msg":"no keys","retry_after_ms":900}"#;
    assert_eq!((sent, rig.commands()), (vec![told.to_owned()], vec![]));
    assert!(rig.plain.wants_input(), "the earlier login goes on");
}

#[test]
fn account_that_ends_while_asked_passes_the_token_on() {
    let mut rig = Rig::new();
    let (first, second) = (rig.login("u1", 0, 0), rig.login("u2", 0, 0));
    let commands = rig.text(r#"{"type":"auth","token":"t"}"#);
    assert_eq!(asked_to_renew(&commands).map(|(account, _)| account), Some(second));
    rig.plain.handle_ended(second, 4103, "kicked");
    let (asked, id) = asked_to_renew(&rig.commands()).expect("the other account");
    assert_eq!((asked, id), (first, 2));
    rig.plain.handle_ended(first, 4103, "kicked");
    let commands = rig.commands();
    assert!(commands.iter().any(|command| matches!(command, Command::Open(_))), "{commands:?}");
}

#[test]
fn wait_of_a_refused_login_reaches_the_client() {
    let mut rig = Rig::new();
    let account = rig.auth("often");
    let bye =
        r#"{"bye":{"code":"rate_limited","message":"too many","reconnect":"later","retry_after_ms":820}}"#;
    let told = r#"{"msgType":"auth_ack","code":"rate_limited","success":false,"msg":"too many","retry_after_ms":820}"#;
    rig.peer(account, bye);
    rig.plain.handle_ended(account, 4003, "rate_limited");
    assert_eq!(rig.sent(), [told]);
    let account = rig.login("u42", 0, 0);
    rig.peer(account, bye);
    rig.plain.handle_ended(account, 4003, "rate_limited");
    let told = told.replace(r#""success":false"#, r#""success":false,"user":"u42""#);
    assert_eq!(rig.sent(), [&*told, "close 4003 rate_limited"], "a close frame has no room for it");
}

#[test]
fn refused_message_tells_the_wait_and_closes() {
    let mut rig = Rig::new();
    let bye = Bye { retry_after_ms: Some(70), ..Bye::new(ByeCode::RateLimited, "too many") };
    rig.plain.handle_refused(&bye);
    let told =
        r#"{"msgType":"error","code":"rate_limited","success":false,"msg":"too many","retry_after_ms":70}"#;
    assert_eq!(rig.sent(), [told, "close 4003 rate_limited"]);
}

#[test]
fn late_gap_leaves_the_position() {
    let gap = |offset| {
        format!(
            r#"{{"gap":{{"channel":"user:u42","reason":"retention","after":0,"cursor":{{"epoch":"k1","offset":{offset}}}}}}}"#
        )
    };
    let mut rig = Rig::new();
    let first = rig.login("u42", 0, 0);
    let three = [1, 2, 3].map(|n| publication("user:u42", n, "1")).join("\n");
    assert_eq!(rig.peer(first, &three).len(), 4, "three pushes and a ping");
    let second = rig.auth_by_code();
    let again = [welcome("u42", 4, 2), gap(2), publication("user:u42", 3, "3")].join("\n");
    assert_eq!(rig.peer(second, &again).len(), 1, "the answer to the login alone");
    assert!(packets(&rig.pong(1))[0].contains("\"offset\":3"));
    assert_eq!(rig.peer(second, &publication("user:u42", 4, "4"))[0], "4");
    let told = rig.peer(second, &gap(9));
    assert!(told[0].contains("retention"), "a gap ahead is told: {told:?}");
}
