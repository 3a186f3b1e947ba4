//! Login codes against the mocks, without a socket.

mod app_tokens;
mod storms;
mod vendors;

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tautline_hub::{Identity, LoginRefused};
use tautline_protocol::{Now, UserId};
use tokio::sync::oneshot;

use super::{
    CodeLogins, GenericOptions, LoginKind, LoginOptions,
    transport::{Answer, Transport, VendorAnswer},
    vendor::{CodeError, CodeRequest, id_at},
};
use crate::{
    LoginResult, Secret,
    http_client::HttpError,
    mock::{APP_ID, APP_SECRET, Mock, MockRequest, MockVendor},
};

const NOW: Now = Now::new(5_000, 1_800_000_000_000);

fn at(ms: u64) -> Now {
    Now::new(NOW.mono_ms + ms, NOW.wall_ms + ms)
}

/// Carries requests to a mock, or waits until the test answers.
/// A status and its `Retry-After`.
type Refusal = (u16, Option<u64>);

#[derive(Clone)]
struct FakeNetwork {
    mock: Arc<Mutex<Mock>>,
    held: Arc<Mutex<Option<VecDeque<oneshot::Sender<()>>>>>,
    /// The status and `Retry-After` of all answers, in place of the mock's.
    refuses: Arc<Mutex<Option<Refusal>>>,
    /// How long each answer takes, the calls that run, and the most that ever did.
    delay: Arc<Mutex<Duration>>,
    running: Arc<Mutex<(usize, usize)>>,
}

impl FakeNetwork {
    fn to(vendor: MockVendor) -> Self {
        let mock = Arc::new(Mutex::new(Mock::new(vendor)));
        Self {
            mock,
            held: Arc::default(),
            refuses: Arc::default(),
            delay: Arc::default(),
            running: Arc::default(),
        }
    }

    /// From now on requests wait for [`Self::release`].
    fn hold(&self) {
        *self.held.lock().unwrap() = Some(VecDeque::new());
    }

    fn held(&self) -> usize {
        self.held.lock().unwrap().as_ref().map_or(0, VecDeque::len)
    }

    /// Lets the first request that waits reach the mock.
    fn release(&self) {
        let first = self.held.lock().unwrap().as_mut().and_then(VecDeque::pop_front);
        assert!(first.expect("a request waits").send(()).is_ok());
    }

    fn requests(&self) -> usize {
        self.mock.lock().unwrap().requests
    }
}

impl Transport for FakeNetwork {
    fn send(&self, request: CodeRequest, timeout: Duration) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let request = mock_request(&request);
        let held = self.held.lock().unwrap().as_mut().map(|held| {
            let (sender, receiver) = oneshot::channel();
            held.push_back(sender);
            receiver
        });
        let (mock, refuses) = (Arc::clone(&self.mock), *self.refuses.lock().unwrap());
        let (delay, running) = (*self.delay.lock().unwrap(), Arc::clone(&self.running));
        Box::pin(async move {
            if !delay.is_zero() {
                let count = |change: fn(&mut (usize, usize))| change(&mut running.lock().unwrap());
                count(|(now, most)| (*now, *most) = (*now + 1, (*most).max(*now + 1)));
                tokio::time::sleep(delay).await;
                count(|(now, _)| *now -= 1);
            }
            if let Some(held) = held {
                // A vendor that does not answer runs into the time-out, which the test moves by hand.
                if !matches!(tokio::time::timeout(timeout, held).await, Ok(Ok(()))) {
                    return Err(HttpError::Timeout);
                }
            }
            let answer = mock.lock().unwrap().answer(&request);
            let (status, retry_after_s) = refuses.unwrap_or((answer.status, None));
            Ok(VendorAnswer { status, retry_after_s, body: answer.body.into() })
        })
    }
}

fn mock_request(request: &CodeRequest) -> MockRequest {
    let headers = ["content-type", "authorization"].map(|wanted| {
        let header = request.headers.iter().find(|(name, _)| name == wanted);
        header.map_or("", |(_, value)| value.as_str())
    });
    MockRequest::new(request.method.as_str(), &request.url.parse().unwrap(), headers, request.body.as_bytes())
}

fn options(provider: &str) -> LoginOptions {
    LoginOptions::new(provider, APP_ID, Secret::new(APP_SECRET))
}

fn logins(options: LoginOptions, network: &FakeNetwork) -> Arc<CodeLogins> {
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    Arc::new(CodeLogins::new("", &[options], &transport, None).unwrap())
}

async fn wechat(logins: &CodeLogins, now: Now, code: &str) -> LoginResult {
    logins.authenticate(now, "wechat", code, None).await
}

fn user(result: LoginResult) -> Option<String> {
    result.ok().and_then(|identity| identity.user).map(|user| user.as_str().to_owned())
}

#[tokio::test]
async fn code_becomes_a_user_with_the_providers_prefix() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    let identity = wechat(&logins, NOW, "ann.1").await.unwrap();
    let source = logins.sources().next().unwrap();
    let ann = UserId::parse("wechat:ann").ok();
    assert_eq!(
        identity,
        Identity { user: ann, source, issued_at_ms: Some(NOW.wall_ms), ..Identity::default() },
        "and nothing of a session key"
    );
}

#[tokio::test]
async fn prefix_and_union_id_are_those_that_are_configured() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    (options.user_prefix, options.union_id) = (Some("u-".to_owned()), true);
    let logins = logins(options, &network);
    assert_eq!(user(wechat(&logins, NOW, "ann.1").await).unwrap(), "u-union-ann");
}

#[tokio::test]
async fn code_after_a_lost_answer_is_not_called_used() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    // The connection was cut while the call ran.
    network.hold();
    let cut = {
        let logins = Arc::clone(&logins);
        tokio::spawn(async move { wechat(&logins, NOW, "ann.1").await })
    };
    while network.held() == 0 {
        tokio::task::yield_now().await;
    }
    cut.abort();
    assert!(cut.await.is_err());
    // The same code while the call still runs.
    let again = {
        let logins = Arc::clone(&logins);
        tokio::spawn(async move { wechat(&logins, at(1_000), "ann.1").await })
    };
    tokio::task::yield_now().await;
    network.release();
    assert_eq!(user(again.await.unwrap()).unwrap(), "wechat:ann");
    // And for as long as a code is good.
    assert_eq!(user(wechat(&logins, at(299_999), "ann.1").await).unwrap(), "wechat:ann");
    assert_eq!(network.requests(), 1);
}

#[tokio::test]
async fn answer_stays_where_another_provider_changes() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let before = logins(options("wechat"), &network);
    wechat(&before, NOW, "ann.1").await.unwrap();
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    let after = |wechat: LoginOptions| {
        CodeLogins::new("", &[wechat, options("qq")], &transport, Some(&before)).unwrap()
    };
    assert_eq!(user(wechat(&after(options("wechat")), at(1), "ann.1").await).unwrap(), "wechat:ann");
    assert_eq!(network.requests(), 1);
    let slower = LoginOptions { timeout: Duration::from_secs(9), ..options("wechat") };
    assert!(wechat(&after(slower), at(1), "ann.1").await.is_err(), "it has begun anew");
}

#[tokio::test]
async fn refusal_is_kept_and_a_temporary_failure_is_not() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    for code in ["expired.1", "fail.1", "busy.1"] {
        for _ in 0..2 {
            assert!(wechat(&logins, NOW, code).await.is_err());
        }
    }
    assert_eq!(network.requests(), 1 + 2 + 2);
}

#[tokio::test]
async fn each_error_has_its_meaning_for_the_client() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    let refused = async |code: &str| wechat(&logins, NOW, code).await.unwrap_err();
    assert_eq!(refused("expired.1").await, LoginRefused::Code { retry_after_ms: 1_000 });
    assert_eq!(refused("often.1").await, LoginRefused::RateLimited { retry_after_ms: 60_000 });
    assert_eq!(refused("banned.1").await, LoginRefused::Banned("wechat keeps this user out".to_owned()));
    for code in ["busy.1", "fail.1"] {
        assert!(
            matches!(refused(code).await, LoginRefused::Unavailable(words) if words.contains("does not answer"))
        );
    }
    for code in ["", &"c".repeat(1025)] {
        assert_eq!(refused(code).await, LoginRefused::Code { retry_after_ms: 1_000 }, "it is no code at all");
    }
    assert_eq!(network.requests(), 5);
}

#[tokio::test]
async fn wrong_app_is_the_operators_error_and_not_the_clients() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let wrong = LoginOptions::new("wechat", APP_ID, Secret::new("wrong-secret"));
    let refused = wechat(&logins(wrong, &network), NOW, "ann.1").await.unwrap_err();
    let words = "logins cannot be checked right now: the login service refuses this app";
    assert_eq!(refused.to_string(), words, "no secret, no code, no hint for a stranger");
}

#[tokio::test]
async fn other_providers_are_refused_by_name() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    let refused = logins.authenticate(NOW, "alipay", "ann.1", None).await.unwrap_err();
    assert!(matches!(refused, LoginRefused::Unauthorized(words) if words.contains("this provider")));
    assert_eq!(network.requests(), 0);
}

#[tokio::test]
async fn id_that_is_no_user_is_the_operators_error() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    for name in ["a b", "*", &"u".repeat(250)] {
        let refused = wechat(&logins, NOW, name).await.unwrap_err();
        assert!(matches!(refused, LoginRefused::Unavailable(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn kept_answer_is_as_old_as_its_call() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    wechat(&logins, NOW, "ann.1").await.unwrap();
    let later = wechat(&logins, at(200_000), "ann.1").await.unwrap();
    assert_eq!(later.issued_at_ms, Some(NOW.wall_ms), "a revocation in between holds");
}

#[tokio::test]
async fn vendor_that_asks_for_a_pause_gets_it() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    *network.refuses.lock().unwrap() = Some((429, Some(7)));
    let refused = wechat(&logins, NOW, "ann.1").await.unwrap_err();
    assert_eq!(refused, LoginRefused::RateLimited { retry_after_ms: 7_000 });
    *network.refuses.lock().unwrap() = None;
    assert!(wechat(&logins, at(6_999), "bob.1").await.is_err());
    assert_eq!(network.requests(), 1, "nobody is sent there meanwhile");
    assert_eq!(user(wechat(&logins, at(7_000), "ann.2").await).unwrap(), "wechat:ann");
    assert!(wechat(&logins, at(7_000), "ann.1").await.is_err());
    assert_eq!(network.requests(), 3, "the refused code was sent again");
    *network.refuses.lock().unwrap() = Some((429, Some(u64::MAX)));
    let refused = wechat(&logins, at(8_000), "cy.1").await.unwrap_err();
    assert_eq!(refused, LoginRefused::RateLimited { retry_after_ms: 60_000 }, "a pause has an end");
}

fn generic(change: impl FnOnce(&mut LoginOptions, &mut GenericOptions)) -> LoginOptions {
    let mut options = options("own");
    (options.kind, options.url) = (Some(LoginKind::Generic), Some("https://own.example/login".to_owned()));
    let mut generic = GenericOptions::default();
    change(&mut options, &mut generic);
    options.generic = Some(generic);
    options
}

#[tokio::test]
async fn codes_that_no_header_can_hold_leave_the_vendor_in_use() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(
        generic(|_, generic| drop(generic.headers.insert("x-code".to_owned(), Secret::new("{code}")))),
        &network,
    );
    for n in 0..30 {
        let refused = logins.authenticate(NOW, "own", &format!("a\nb{n}"), None).await.unwrap_err();
        assert_eq!(refused, LoginRefused::Code { retry_after_ms: 1_000 });
    }
    assert_eq!(network.requests(), 0);
    let answered = logins.authenticate(NOW, "own", "ann.1", None).await;
    assert_eq!(network.requests(), 1, "{answered:?}");
}

#[test]
fn options_that_fail_at_each_login_are_refused() {
    type Change = fn(&mut LoginOptions, &mut GenericOptions);
    let header = |generic: &mut GenericOptions, name: &str, value: &str| {
        generic.headers.insert(name.to_owned(), Secret::new(value));
    };
    assert_eq!(generic(|_, generic| header(generic, "x-app", "{app_id} {code}")).check(), Ok(()));
    let bad: [(Change, &str); 8] = [
        (|_, generic| drop(generic.headers.insert("x".into(), Secret::new("a\nb"))), "header \"x\""),
        (|_, generic| drop(generic.headers.insert("x y".into(), Secret::new("a"))), "header \"x y\""),
        (
            |options, generic| {
                options.app_id = "a\r\nb".into();
                generic.headers.insert("x".into(), Secret::new("{app_id}"));
            },
            "header \"x\"",
        ),
        (|options, _| options.url = Some("https://{code}.example/".into()), "`url` has `{code}`"),
        (|options, _| options.url = Some("https://own.example:{app_secret}?a".into()), "`url` has"),
        (|options, _| options.url = Some("https://ann:secret@own.example/".into()), "no user name"),
        (|_, generic| generic.id = Some("openid".into()), "`id` is no JSON pointer"),
        (|_, generic| generic.error = Some("/a~2".into()), "`error` is no JSON pointer"),
    ];
    for (change, why) in bad {
        let error = generic(change).check().unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("ann:secret"), "{error}");
    }
}

#[test]
fn vendors_that_would_share_names_of_users_are_refused() {
    let named = |provider: &str, prefix: &str| {
        let mut options = options(provider);
        (options.kind, options.user_prefix) = (Some(LoginKind::WeChat), Some(prefix.to_owned()));
        options
    };
    let check = |all: &[LoginOptions]| LoginOptions::check_all(all).map_err(|error| error.to_string());
    assert_eq!(check(&[named("a", "a:"), named("b", "b:")]), Ok(()));
    assert!(check(&[named("a", "u:"), named("b", "u:")]).unwrap_err().contains("this `user_prefix`"));
    assert!(check(&[named("a", "a:"), named("a", "b:")]).unwrap_err().contains("this name"));
    let shared = ["a", "b"].map(|provider| LoginOptions { union_id: true, ..named(provider, "u:") });
    assert_eq!(check(&shared), Ok(()), "apps of one account have the same users");
}

#[test]
fn huge_limits_are_no_limits() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    (options.calls_running_max, options.logins_waiting_max) = (usize::MAX, usize::MAX);
    options.calls_per_second_max = usize::MAX;
    assert_eq!(logins(options, &network).sources().count(), 1);
}

#[test]
fn id_beyond_64_bits_is_refused_and_not_rounded() {
    let id = |json: &str| id_at(&serde_json::from_str(json).unwrap(), "/id");
    assert_eq!(id(r#"{"id":18446744073709551615}"#).as_deref(), Ok("18446744073709551615"));
    assert_eq!(id(r#"{"id":-7}"#).as_deref(), Ok("-7"));
    for json in [r#"{"id":18446744073709551616}"#, r#"{"id":1.5}"#, r#"{"id":1e3}"#] {
        assert!(matches!(id(json), Err(CodeError::Operator(_))), "{json}");
    }
}
