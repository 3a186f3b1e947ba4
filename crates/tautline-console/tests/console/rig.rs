//! A console on a hub of its own, and somebody who asks it.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Extensions, HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tautline_api::{ApiKeys, BodyLimits, Host, HostFigures, WebhookControl};
use tautline_console::{
    Account, AccountFile, AuditLog, Console, ConsoleOptions, ConsoleScope, Node, NodeFigures, PasswordHasher,
    router,
};
use tautline_hub::{EngineLimits, Hub, HubConfig, MemoryEngine};
use tautline_protocol::Now;
use tower_service::Service as _;

pub const PASSWORD: &str = "correct horse battery";
const HOST: &str = "ops.example:9000";

/// A console with an account for each scope, which is called as the scope is.
pub struct Rig {
    pub router: Router,
    pub host: Arc<TestHost>,
    pub node: Arc<TestNode>,
    pub folder: PathBuf,
}

pub struct TestHost {
    hub: Hub,
    now_ms: AtomicU64,
}

#[derive(Default)]
pub struct TestNode {
    pub drains: Mutex<Vec<Duration>>,
    pub address: Mutex<Option<IpAddr>>,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct SignedIn {
    pub cookie: String,
    pub csrf: String,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(set: impl FnOnce(&mut ConsoleOptions)) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tautline-console-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut options = ConsoleOptions::default();
        set(&mut options);
        let hasher = PasswordHasher::with_cost(8, 1).expect("a cheap hash");
        let accounts = AccountFile::in_folder(&folder);
        for scope in ConsoleScope::ALL {
            let hash = hasher.hash(PASSWORD).expect("a good password");
            accounts.add(Account { name: scope.to_string(), scope, hash }).expect("a free name");
        }
        let host = Arc::new(TestHost { hub: hub(), now_ms: AtomicU64::new(1_000_000) });
        let node = Arc::new(TestNode::default());
        let audit = AuditLog::open(&folder, options.audit_bytes_max).expect("an empty log");
        let (shown, told): (Arc<dyn Host>, Arc<dyn Node>) = (host.clone(), node.clone());
        let router = router(Console::new(options, shown, told, (accounts, hasher), audit));
        Self { router, host, node, folder }
    }

    pub fn accounts(&self) -> AccountFile {
        AccountFile::in_folder(&self.folder)
    }

    pub fn pass(&self, ms: u64) {
        self.host.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().call(request).await.expect("it cannot fail");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the whole body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn try_sign_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({"name": name, "password": password}).to_string();
        self.send(request(Method::POST, "/session").body(body.into()).expect("a request")).await
    }

    pub async fn sign_in(&self, name: &str) -> SignedIn {
        let answer = self.try_sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let cookie = answer.headers["set-cookie"].to_str().expect("text");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        SignedIn { cookie, csrf: answer.json()["csrf"].as_str().expect("a token").to_owned() }
    }

    pub async fn get(&self, who: &SignedIn, path: &str) -> Answer {
        let request = request(Method::GET, path).header("cookie", &who.cookie);
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    pub async fn post(&self, who: &SignedIn, path: &str, body: &Value) -> Answer {
        let request = act(who, Method::POST, path);
        self.send(request.body(body.to_string().into()).expect("a request")).await
    }

    /// The audit log without sign-ins, the newest entry first.
    pub async fn audit(&self, who: &SignedIn) -> Vec<Value> {
        let page = self.get(who, "/audit?limit=500").await.json();
        let entries = page["entries"].as_array().expect("entries").clone();
        entries.into_iter().filter(|entry| entry["act"] != "sign_in").collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{:?}", self.text))
    }
}

/// As a browser at the console sends it.
pub fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("/console{path}"))
        .header("host", HOST)
        .header("origin", format!("https://{HOST}"))
}

/// The same for an act.
pub fn act(who: &SignedIn, method: Method, path: &str) -> http::request::Builder {
    request(method, path)
        .header("cookie", &who.cookie)
        .header("x-csrf-token", &who.csrf)
        .header("x-reason", "a%20test")
}

fn hub() -> Hub {
    let config = HubConfig {
        limits: Default::default(),
        rules: Vec::new(),
        node: "n1".to_owned(),
        ticket_keys: vec![[7; 32]],
        login_sources: Vec::new(),
        idempotent_methods: Default::default(),
    };
    let engine = MemoryEngine::new(1, &EngineLimits::default(), 86_400_000);
    Hub::new(config, Arc::new(engine), [7; 32])
}

impl Host for TestHost {
    fn hub(&self) -> &Hub {
        &self.hub
    }

    fn now(&self) -> Now {
        let ms = self.now_ms.load(Ordering::Relaxed);
        Now { mono_ms: ms, wall_ms: 1_700_000_000_000 + ms }
    }

    fn keys(&self) -> Arc<ApiKeys> {
        Arc::default()
    }

    fn body_limits(&self) -> BodyLimits {
        BodyLimits { bytes_max: 4_096, timeout: Duration::from_secs(30) }
    }

    fn figures(&self) -> HostFigures {
        HostFigures::default()
    }

    fn webhooks(&self) -> Option<&dyn WebhookControl> {
        None
    }

    fn key_refused(&self, _: &'static str, _: &HeaderMap, _: &Extensions) {}
}

impl Node for TestNode {
    fn figures(&self) -> NodeFigures {
        NodeFigures { ready: true, ..NodeFigures::default() }
    }

    fn hooks(&self) -> Vec<Value> {
        Vec::new()
    }

    fn drain(&self, spread: Duration) {
        self.drains.lock().expect("no panic").push(spread);
    }

    fn address(&self, _: &Extensions, _: &HeaderMap) -> Option<IpAddr> {
        *self.address.lock().expect("no panic")
    }
}
