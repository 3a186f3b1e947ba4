//! `tautline check --as`: what a client may do in a channel, and which line of the configuration says so.
//!
//! Start at [`report`]. The hub decides ([`Client::decide`]); this file only says why.

use std::fmt::Write as _;

use anyhow::Context as _;
use tautline_hub::{Access, ChannelRule, Client, Decision, Identity, Permission, Place};
use tautline_protocol::{ChannelName, UserId};

use crate::config::{Loaded, Values};

/// The word for a client without a login.
const GUEST: &str = "guest";

/// Whether a client has each permission in a channel, a line for each.
///
/// # Errors
/// When the client's name is no user and no token.
pub fn report(loaded: &Loaded, client: Asking<'_>, channel: &ChannelName) -> anyhow::Result<String> {
    let Loaded { settings, values, .. } = loaded;
    let identity = identity_of(client)?;
    let who = match &identity.user {
        Some(user) => format!("user {user}"),
        None => "a guest".to_owned(),
    };
    let mut text = format!("{who} in {channel}:\n");
    let index = settings.channels.iter().position(|rule| rule.pattern.matches(channel.as_str()));
    for permission in Permission::ALL {
        let name = permission.as_str();
        let (verdict, reason) = match index.map(|index| (index, &settings.channels[index])) {
            _ if channel.is_user() => of_inbox(&identity, channel, permission),
            Some((index, rule)) => {
                let (verdict, reason) = of_rule(&identity, rule, channel, permission);
                (verdict, format!("{}{reason}", place_of(values, index, rule, permission)))
            }
            None => ("no", "no rule matches: the channel is closed to all clients".to_owned()),
        };
        writeln!(text, "  {name:<10} {verdict:<4} {reason}").expect("text takes all of it");
    }
    Ok(text)
}

/// The place of the rule, and beside it that of the word that decides, where that does not come from the same file,
/// variable or flag.
fn place_of(values: &Values, index: usize, rule: &ChannelRule, permission: Permission) -> String {
    let option = option_of(rule.access(permission).1);
    let place = |option: &str| values.place(&format!("channels.{index}.{option}"));
    // A file's place ends in line and column.
    let line = |place: &'_ str| place.rsplit_once(':').map_or(place, |(line, _)| line).to_owned();
    let source = |place: &str| line(&line(place));
    match (place("match"), place(&option)) {
        (Some(of_rule), Some(word)) if source(of_rule) != source(word) => {
            format!("{} and {}: ", line(of_rule), line(word))
        }
        (Some(of_rule), _) => format!("{}: ", line(of_rule)),
        // With `--dev` the last rule is of no file.
        (None, _) => String::new(),
    }
}

/// The option of a rule that says who has a permission.
fn option_of(permission: Permission) -> String {
    match permission {
        Permission::Subscribe | Permission::Publish => permission.as_str().to_owned(),
        Permission::History | Permission::Presence => format!("{}_access", permission.as_str()),
    }
}

fn of_inbox(identity: &Identity, channel: &ChannelName, permission: Permission) -> (&'static str, String) {
    // Rules of inboxes say nothing of permissions.
    let rule = ChannelRule::closed(tautline_hub::RulePattern::parse("*").expect("a pattern"));
    let decision = Client::new(identity).decide(&rule, channel, permission);
    let words = "an inbox: its owner reads it, and only the back end publishes";
    (if decision == Decision::Allow { "yes" } else { "no" }, words.to_owned())
}

fn of_rule(
    identity: &Identity,
    rule: &ChannelRule,
    channel: &ChannelName,
    permission: Permission,
) -> (&'static str, String) {
    let (access, asked) = rule.access(permission);
    let option = option_of(asked);
    let decision = Client::new(identity).decide(rule, channel, permission);
    let may_subscribe =
        || Client::new(identity).decide(rule, channel, Permission::Subscribe) != Decision::Deny;
    let beside = match (permission, decision) {
        (Permission::History, Decision::Deny) if may_subscribe() => {
            "; a subscription reads the log from any position nevertheless"
        }
        _ => "",
    };
    let is_user = identity.user.is_some();
    let (verdict, why) = match (access, decision) {
        // A session is needed to know the guest.
        (Access::Guest, _) if !is_user && rule.pattern.has(Place::Guest) => {
            ("own", "only the guest whose session the name has in the place of `$guest`")
        }
        (_, Decision::Ask) => ("asks", "the app's back end decides"),
        (Access::Token, Decision::Allow) => ("yes", "the token names the channel"),
        (Access::Token, Decision::Deny) => ("no", "the token does not name the channel"),
        (Access::User, Decision::Allow) if rule.pattern.has(Place::User) => {
            ("yes", "the name has this user in the place of `$user`")
        }
        (Access::User, Decision::Deny) if is_user => {
            ("no", "the name has another user in the place of `$user`")
        }
        (Access::User, Decision::Deny) => ("no", "guests are no users"),
        (_, Decision::Allow) => ("yes", "open to all such clients"),
        (Access::None, Decision::Deny) => ("no", "open to the back end only"),
        (_, Decision::Deny) => ("no", "open to other clients"),
    };
    let word = word_of(access);
    (verdict, format!("match = {:?}, {option} = {word:?}: {why}{beside}", rule.pattern.as_str()))
}

const fn word_of(access: Access) -> &'static str {
    match access {
        Access::None => "none",
        Access::Backend => "backend",
        Access::Token => "token",
        Access::User => "user",
        Access::Guest => "guest",
        Access::Any => "any",
    }
}

/// Whose permissions are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asking<'a> {
    /// A user's id, `guest`, or a token.
    As(&'a str),
    /// A user's id, whatever it looks like.
    AsUser(&'a str),
}

/// `check` does not verify the signature: it says what a token of yours would open.
fn identity_of(client: Asking<'_>) -> anyhow::Result<Identity> {
    let id = match client {
        Asking::As(GUEST) => return Ok(Identity::default()),
        Asking::As(token) if tautline_backend::looks_like_a_token(token) => {
            return tautline_backend::unverified_identity(token)
                .context("the gateway would refuse this token");
        }
        Asking::As(id) | Asking::AsUser(id) => id,
    };
    // It is not repeated: it may be a token with a letter too many.
    let user = UserId::parse(id).context("this is no user's id, and no token")?;
    Ok(Identity { user: Some(user), ..Identity::default() })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Environment, Flags, Loaded};

    const FILE: &str = r#"
[[channels]]
match = "order:$user:*"
subscribe = "user"
history_access = "token"

[[channels]]
match = "room:*"
subscribe = "token"
publish = "any"

[[channels]]
match = "cart:$guest"
subscribe = "guest"
"#;

    fn lines(client: &str, channel: &str) -> Vec<String> {
        lines_of(Asking::As(client), channel)
    }

    fn lines_of(client: Asking<'_>, channel: &str) -> Vec<String> {
        lines_beside(Flags::default(), &[], client, channel)
    }

    /// With flags and variables over the file.
    fn lines_beside(
        flags: Flags,
        variables: &[(&str, &str)],
        client: Asking<'_>,
        channel: &str,
    ) -> Vec<String> {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("tautline-check-as-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, FILE).unwrap();
        let flags = Flags { config: Some(path.clone()), ..flags };
        let environment = Environment::of(variables.iter().copied());
        let loaded = Loaded::load(&flags, &environment).unwrap_or_else(|error| panic!("{error}"));
        let channel = ChannelName::parse(channel).unwrap();
        let text = report(&loaded, client, &channel).unwrap();
        fs::remove_file(&path).unwrap();
        text.lines().map(|line| line.replace(&path.display().to_string(), "FILE")).collect()
    }

    /// A token with a header as other libraries write it.
    fn token_with(header: &str, claims: &Value) -> String {
        let b64 = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.x", b64(header), b64(&claims.to_string()))
    }

    fn token(claims: &Value) -> String {
        token_with(r#"{"alg":"HS256"}"#, claims)
    }

    fn error(client: Asking<'_>) -> String {
        let channel = ChannelName::parse("room:7").unwrap();
        let loaded = Loaded::load(&Flags::default(), &Environment::default());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        let error = report(&loaded, client, &channel).unwrap_err();
        format!("{error:#}")
    }

    #[test]
    fn named_user_is_allowed_by_the_line_of_its_rule() {
        let lines = lines("42", "order:42:7");
        assert_eq!(lines[0], "user 42 in order:42:7:");
        assert!(lines[1].starts_with("  subscribe  yes  FILE:3: match = \"order:$user:*\""), "{lines:#?}");
        assert!(lines[2].starts_with("  publish    no   FILE:3:"), "{lines:#?}");
        assert!(lines[3].contains("no   FILE:3:") && lines[3].contains("history_access"), "{lines:#?}");
        assert!(lines[4].contains("yes") && lines[4].contains("subscribe = \"user\""), "{lines:#?}");
    }

    #[test]
    fn word_from_a_variable_names_the_variable() {
        let variable = "TAUTLINE__CHANNELS__1__SUBSCRIBE";
        let lines = lines_beside(Flags::default(), &[(variable, "any")], Asking::As("u1"), "room:7");
        let of_variable = format!("yes  FILE:8 and environment variable {variable}: match = \"room:*\"");
        assert!(lines[1].contains(&of_variable), "{lines:#?}");
        assert!(lines[2].contains("yes  FILE:8: match"), "{lines:#?}");
        assert!(lines[3].contains(&of_variable), "history goes by the word of subscribe: {lines:#?}");
    }

    #[test]
    fn rules_from_a_variable_name_no_line_of_the_file() {
        let rules = r#"[{match="q*",subscribe="any"}]"#;
        let lines = lines_beside(Flags::default(), &[("TAUTLINE__CHANNELS", rules)], Asking::As("u1"), "qq");
        assert!(lines[1].contains("yes  environment variable TAUTLINE__CHANNELS: match"), "{lines:#?}");
        assert!(!lines.concat().contains("FILE"), "{lines:#?}");
    }

    #[test]
    fn rule_from_a_flag_names_the_flag() {
        let set = ["channels.3.match=q*", "channels.3.subscribe=any"].map(str::to_owned).to_vec();
        let lines = lines_beside(Flags { set, ..Flags::default() }, &[], Asking::As("u1"), "qq");
        assert!(lines[1].contains("yes  --set: match = \"q*\""), "{lines:#?}");
    }

    #[test]
    fn denied_history_says_what_a_subscriber_reads() {
        let reads = |client: &str, channel: &str| lines(client, channel)[3].contains("from any position");
        assert!(reads("42", "order:42:7"), "a user of its own, without a token");
        assert!(!reads("43", "order:42:7"), "may not subscribe");
        assert!(!reads("42", "lobby") && !reads("u1", "user:u1"));
    }

    #[test]
    fn another_user_is_denied_with_the_reason() {
        let lines = lines("43", "order:42:7");
        assert!(lines[1].contains(" no ") && lines[1].contains("another user"), "{lines:#?}");
    }

    #[test]
    fn channel_without_rule_names_no_line() {
        let lines = lines("42", "lobby");
        assert!(lines[1..].iter().all(|line| line.contains("no rule matches")), "{lines:#?}");
        assert!(!lines.concat().contains("FILE"), "{lines:#?}");
    }

    #[test]
    fn token_opens_the_channels_that_it_names() {
        let named = token(&json!({"sub": "u1", "channels": ["room:*"], "exp": 5}));
        assert!(lines(&named, "room:7")[1].contains("yes  FILE:8:"));
        let by_sub = token(&json!({"sub": "u1", "subs": ["room:7"], "exp": 5}));
        assert!(lines(&by_sub, "room:7")[1].contains("yes"));
        assert!(lines(&by_sub, "room:8")[1].contains("no "));
        assert!(lines("u1", "room:8")[2].contains("yes"), "anybody may publish there");
    }

    #[test]
    fn token_with_channels_by_permission_opens_only_these() {
        let named = token(
            &json!({"sub": "u1", "channels": {"subscribe": ["room:7"], "history": ["order:*"]}, "exp": 5}),
        );
        assert!(lines(&named, "room:7")[1].contains("yes"));
        let of_order = lines(&named, "order:42:7");
        assert!(of_order[3].contains("yes"), "{of_order:#?}");
        assert!(
            lines(&token(&json!({"sub": "u1", "channels": {"publish": ["room:7"]}, "exp": 5})), "room:7")[1]
                .contains("no ")
        );
    }

    #[test]
    fn guest_is_told_which_carts_are_its_own() {
        assert!(lines("guest", "cart:abc")[1].contains("own  FILE:13:"));
        assert!(lines("u1", "cart:abc")[1].contains("no "));
    }

    #[test]
    fn inbox_is_read_by_its_owner_whatever_the_file_says() {
        let lines = lines("u1", "user:u1");
        let yes: Vec<_> = lines[1..].iter().map(|line| line.contains("yes")).collect();
        assert_eq!(yes, [true, false, true, true], "{lines:#?}");
    }

    #[test]
    fn header_with_white_space_is_a_token() {
        let claims = json!({"sub": "u1", "channels": ["room:*"], "exp": 5});
        for header in [
            " {\"alg\":\"HS256\"}",
            "{ \"alg\":\"HS256\"}",
            "{\n  \"alg\": \"HS256\",\n  \"typ\": \"JWT\"\n}",
        ] {
            let lines = lines(&token_with(header, &claims), "room:7");
            assert!(lines[0].starts_with("user u1 in") && lines[1].contains("yes"), "{header}: {lines:#?}");
        }
    }

    #[test]
    fn user_whose_id_looks_like_something_else_can_be_asked_about() {
        for id in ["guest", "eyJ.a.b", &token(&json!({"sub": "u1", "exp": 5}))] {
            assert_eq!(lines_of(Asking::AsUser(id), "room:7")[0], format!("user {id} in room:7:"));
        }
        assert_eq!(lines("eyJ.a.b", "room:7")[0], "user eyJ.a.b in room:7:", "no object is in front");
    }

    #[test]
    fn token_that_no_gateway_would_take_is_refused() {
        let with = |name: &str, value: Value| {
            let mut claims = json!({"sub": "u1", "channels": ["room:*"], "exp": 5});
            claims[name] = value;
            claims
        };
        let bad = [
            (with("channels", json!(vec!["c"; 1025])), "channels"),
            (with("channels", json!(vec!["c".repeat(200); 400])), "channels"),
            (with("subs", json!((0..33).map(|n| format!("c{n}")).collect::<Vec<_>>())), "subs"),
            (with("info", json!("i".repeat(5_000))), "info"),
            (with("labels", (0..17).map(|n| (format!("l{n}"), json!(""))).collect()), "labels"),
            (with("labels", json!({"l": "x".repeat(5_000)})), "labels"),
            (with("jti", json!("j".repeat(5_000))), "jti"),
            (with("exp", json!(null)), "no `exp`"),
            (with("exp", json!("5")), "`exp` is no number"),
            (with("exp", json!(-5)), "`exp` is negative"),
            (with("iat", json!("5")), "`iat` is no number"),
            (with("nbf", json!([])), "`nbf` is no number"),
        ];
        for (claims, words) in bad {
            let error = error(Asking::As(&token(&claims)));
            assert!(error.contains("would refuse") && error.contains(words), "{words}: {error}");
        }
        for header in [
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","kid":7}"#,
            r#"{"alg":"none"}"#,
            "{}",
        ] {
            let token = token_with(header, &with("sub", json!("u1")));
            assert!(error(Asking::As(&token)).contains("would refuse"), "{header}");
        }
    }

    #[test]
    fn client_that_is_no_user_is_an_error_without_it() {
        for client in ["a b", "eyJ.!.x y", &format!("x.{}", token(&json!({"sub": "u".repeat(300)})))] {
            let error = error(Asking::As(client));
            assert!(error.contains("no user's id") && !error.contains(client), "{error}");
        }
    }
}
