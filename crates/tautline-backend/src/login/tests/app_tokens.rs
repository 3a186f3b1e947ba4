//! Vendors that want a token of the app with each code, as the guide configures them.

use std::sync::Arc;

use serde::Deserialize;
use tautline_hub::LoginRefused;

use super::{FakeNetwork, NOW, at, logins, user};
use crate::{
    LoginOptions, LoginResult, Secret,
    login::CodeLogins,
    mock::{APP_ID, APP_SECRET, MockVendor},
};

const GUIDE: &str = include_str!("../../../../../docs/guide/logins.md");

/// The sections of the guide for providers with a token, as they stand there.
fn guide() -> Vec<LoginOptions> {
    #[derive(Deserialize)]
    struct File {
        login: Vec<LoginOptions>,
    }
    let blocks = GUIDE.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    let with_token = blocks.map(|(block, _)| block).filter(|block| block.contains("[login.generic.token]"));
    with_token.flat_map(|block| toml::from_str::<File>(block).expect("the guide's section").login).collect()
}

fn options(provider: &str) -> LoginOptions {
    let mut options = guide().into_iter().find(|options| options.provider == provider).expect("in the guide");
    (options.app_id, options.app_secret) = (APP_ID.to_owned(), Some(Secret::new(APP_SECRET)));
    options
}

fn all() -> [(LoginOptions, MockVendor); 2] {
    [(options("wecom"), MockVendor::WeCom), (options("feishu"), MockVendor::Feishu)]
}

/// Requests for tokens, and all.
fn requests(network: &FakeNetwork) -> (usize, usize) {
    let mock = network.mock.lock().unwrap();
    (mock.token_requests, mock.requests)
}

async fn login(logins: &CodeLogins, provider: &str, ms: u64, code: &str) -> LoginResult {
    logins.authenticate(at(ms), provider, code, None).await
}

#[test]
fn guide_sections_with_a_token_are_valid() {
    let names: Vec<_> = guide().into_iter().map(|options| options.provider).collect();
    assert_eq!(names, ["wecom", "feishu", "xiaohongshu"]);
    guide().iter().for_each(|options| options.check().unwrap());
}

#[tokio::test]
async fn token_is_fetched_once_for_all_codes() {
    for (options, vendor) in all() {
        let (network, provider) = (FakeNetwork::to(vendor), options.provider.clone());
        let logins = logins(options, &network);
        for n in 0..3 {
            let identity = login(&logins, &provider, 0, &format!("ann.{n}")).await;
            assert_eq!(user(identity).unwrap(), format!("{provider}:ann"));
        }
        assert_eq!(requests(&network), (1, 4), "{provider}");
    }
}

#[tokio::test(start_paused = true)]
async fn logins_that_need_a_token_wait_for_one_fetch() {
    let network = FakeNetwork::to(MockVendor::WeCom);
    let logins = logins(options("wecom"), &network);
    network.hold();
    let clients: Vec<_> = (0..20)
        .map(|n| {
            let logins = Arc::clone(&logins);
            tokio::spawn(async move { login(&logins, "wecom", 0, &format!("u{n}.1")).await })
        })
        .collect();
    while network.held() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(network.held(), 1, "a fetch for all of them");
    *network.held.lock().unwrap() = None;
    // Dropping what is held fails the fetch: all are told so, and come again.
    for client in clients {
        assert!(client.await.unwrap().is_err());
    }
    assert_eq!(
        user(login(&logins, "wecom", 1_000, "u1.1").await).unwrap(),
        "wecom:u1",
        "the code is not used"
    );
    assert_eq!(requests(&network), (1, 2));
}

#[tokio::test]
async fn token_is_renewed_behind_logins_before_its_end() {
    let network = FakeNetwork::to(MockVendor::Feishu);
    let logins = logins(options("feishu"), &network);
    login(&logins, "feishu", 0, "ann.1").await.unwrap();
    login(&logins, "feishu", 6_899_000, "ann.2").await.unwrap();
    assert_eq!(requests(&network).0, 1);
    // It lives for two hours.
    login(&logins, "feishu", 6_950_000, "ann.3").await.unwrap();
    while requests(&network).0 < 2 {
        tokio::task::yield_now().await;
    }
    login(&logins, "feishu", 7_300_000, "ann.4").await.unwrap();
    assert_eq!(requests(&network), (2, 6), "the first token has ended, and nobody has waited");
}

#[tokio::test]
async fn ended_token_is_replaced_and_the_code_sent_again() {
    for (options, vendor) in all() {
        let (network, provider) = (FakeNetwork::to(vendor), options.provider.clone());
        let logins = logins(options, &network);
        login(&logins, &provider, 0, "ann.1").await.unwrap();
        network.mock.lock().unwrap().end_token();
        let identity = login(&logins, &provider, 20_000, "ann.2").await;
        assert_eq!(user(identity).unwrap(), format!("{provider}:ann"));
        assert_eq!(requests(&network), (2, 5), "{provider}");
    }
}

#[tokio::test]
async fn vendor_that_refuses_new_tokens_is_not_flooded() {
    let network = FakeNetwork::to(MockVendor::WeCom);
    let mut wrong = options("wecom");
    // Its requests carry something else than the token.
    let generic = wrong.generic.as_mut().unwrap();
    generic.parameters.insert("access_token".to_owned(), Secret::new("mock-token-0{token}"));
    let logins = logins(wrong, &network);
    for n in 0..50 {
        assert!(login(&logins, "wecom", n, &format!("ann.{n}")).await.is_err());
    }
    assert_eq!(requests(&network), (1, 51));
}

#[tokio::test]
async fn failed_fetch_is_told_and_tried_again_after_a_second() {
    let network = FakeNetwork::to(MockVendor::WeCom);
    let mut wrong = options("wecom");
    wrong.app_secret = Some(Secret::new("wrong-secret"));
    let logins = logins(wrong, &network);
    for n in 0..10 {
        let refused = login(&logins, "wecom", n, &format!("ann.{n}")).await.unwrap_err();
        assert!(
            matches!(&refused, LoginRefused::Unavailable(words) if !words.contains("wrong")),
            "{refused:?}"
        );
    }
    assert_eq!(requests(&network), (1, 1), "one fetch, and no code was sent");
    login(&logins, "wecom", 1_009, "ann.1").await.unwrap_err();
    assert_eq!(requests(&network), (2, 2));
}

#[test]
fn each_error_of_the_guide_has_its_meaning() {
    use crate::login::vendor::CodeError;
    for (options, vendor) in all() {
        let mut mock = crate::mock::Mock::new(vendor);
        let vendor = options.vendor().unwrap();
        let mut ask = |code: &str, token: &str| {
            let answer = mock.answer(&super::mock_request(&vendor.request(code, token, NOW)));
            vendor.user(answer.body.as_bytes())
        };
        assert_eq!(ask("ann.1", "mock-token-1").as_deref(), Ok("ann"));
        assert_eq!(ask("ann.1", "mock-token-1"), Err(CodeError::Denied));
        assert_eq!(ask("busy.1", "mock-token-1"), Err(CodeError::Temporary));
        assert_eq!(ask("often.1", "mock-token-1"), Err(CodeError::RateLimited));
        assert_eq!(ask("banned.1", "mock-token-1"), Err(CodeError::Banned));
        for ended in ["mock-token-0", "stranger"] {
            assert_eq!(ask("bob.1", ended), Err(CodeError::TokenEnded), "{}", options.provider);
        }
    }
}

#[test]
fn answers_without_a_token_are_the_operators_error() {
    use crate::login::vendor::CodeError;
    let vendor = options("wecom").vendor().unwrap();
    let source = vendor.token_source().unwrap();
    let token = |body: &str| source.token(body.as_bytes());
    let life_ms = |body: &str| token(body).unwrap().life_ms;
    let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(5_000));
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":"a b"}"#,
        &long,
    ] {
        assert!(matches!(token(body), Err(CodeError::Operator(_))), "{body}");
    }
    assert_eq!(token(r#"{"errcode":-1}"#), Err(CodeError::Temporary));
    assert!(
        matches!(token(r#"{"errcode":40001}"#), Err(CodeError::Operator(hint)) if hint.contains("40001"))
    );
    for (life, ms) in
        [("7200", 7_200_000), ("\"60\"", 60_000), ("1e99", 86_400_000), ("-5", 0), ("null", 600_000)]
    {
        assert_eq!(life_ms(&format!(r#"{{"access_token":"t","expires_in":{life}}}"#)), ms, "{life}");
    }
}

#[test]
fn token_sections_that_cannot_work_are_refused() {
    let error = |change: fn(&mut LoginOptions)| {
        let mut options = options("wecom");
        change(&mut options);
        options.check().unwrap_err().to_string()
    };
    fn generic(options: &mut LoginOptions) -> &mut crate::GenericOptions {
        options.generic.as_mut().unwrap()
    }
    assert!(error(|it| generic(it).token = None).contains("`generic.token` says nothing"));
    assert!(error(|it| drop(generic(it).parameters.remove("access_token"))).contains("stands nowhere"));
    fn token(options: &mut LoginOptions) -> &mut crate::AppTokenOptions {
        generic(options).token.as_mut().unwrap()
    }
    assert!(error(|it| token(it).url = "http://vendor.example/".into()).contains("token: a URL begins"));
    assert!(error(|it| token(it).url = "https://{app_secret}.example/".into()).contains("name of its host"));
    assert!(error(|it| token(it).url = "https://a.example/{code}".into()).contains("`{code}` is not known"));
    assert!(error(|it| token(it).token = Some("a".into())).contains("`token` is no JSON pointer"));
    assert!(error(|it| it.url = Some("https://{token}.example/".into())).contains("`{token}` in the name"));
}
