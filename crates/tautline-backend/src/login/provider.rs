//! One vendor in use: budgets, one call for each code, and what its errors mean for a client.
//!
//! Start at [`Provider::authenticate`].

mod app_token;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tautline_hub::{Identity, LoginRefused};
use tautline_protocol::{Now, UserId};
use tokio::{sync::Semaphore, time::Instant};
use tracing::{error, warn};

use super::{
    app_tokens::AppTokens,
    budget::{AddressRates, Rate},
    codes::{CodeDigest, Codes},
    options::{LoginOptions, LoginOptionsError},
    transport::{Transport, VendorAnswer},
    vendor::{AppToken, CodeError, CodeRequest, Vendor},
};
use crate::{
    LoginResult,
    breaker::{Breaker, BreakerChange},
    flight::Flight,
    source::source_of,
};

/// The longest code in bytes.
const CODE_BYTES_MAX: usize = 1024;
/// How long a login waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_millis(1500);
/// When a client may come again whose code was refused, and one that logs in too often by the vendor's
/// count, in milliseconds.
const NEW_CODE_MS: u64 = 1_000;
const RATE_LIMITED_MS: u64 = 60_000;
/// An error of the operator is logged once in this time, in milliseconds.
const LOG_EVERY_MS: u64 = 60_000;

/// How long a vendor is left alone that asks for a pause: without a time of its own, and at most, in milliseconds.
const BUSY_MS: u64 = 1_000;
const BUSY_MS_MAX: u64 = 60_000;

/// The time: when a login came, and how much has passed since.
#[derive(Clone, Copy)]
struct Clock {
    now: Now,
    started: Instant,
}

impl Clock {
    fn mono_ms(self) -> u64 {
        let passed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now.mono_ms.saturating_add(passed_ms)
    }
}

type CodeResult = Result<CodeUser, CodeError>;

/// The user behind a code.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CodeUser {
    user: UserId,
    /// When the vendor was asked, in wall milliseconds: a login that is revoked later stays so, however often the
    /// client comes with the same code.
    asked_at_ms: u64,
}

pub(super) struct Provider {
    options: LoginOptions,
    environment: String,
    name: String,
    user_prefix: String,
    source: u64,
    timeout: Duration,
    vendor: Box<dyn Vendor>,
    transport: Arc<dyn Transport>,
    calls_per_second: Rate,
    /// Calls that run, and logins that wait for an answer.
    running: Semaphore,
    waiting: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    codes: Codes<Flight<CodeResult>>,
    addresses: AddressRates,
    /// When the calls so far are paid for, by `calls_per_second`.
    free_at_us: u64,
    breaker: Breaker,
    app_tokens: AppTokens,
    token_fetch: Option<Flight<Result<AppToken, CodeError>>>,
    logged_at_ms: Option<u64>,
}

impl Provider {
    pub(super) fn new(
        environment: &str,
        options: &LoginOptions,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, LoginOptionsError> {
        // The secret is no part of it: a new one of the same app lets the same users in.
        let of = format!("{} {}", options.provider, options.app_id);
        let addresses = AddressRates::new(Rate::new(options.codes_per_address_max, 60_000));
        let state = State {
            codes: Codes::new(options.calls_per_second_max),
            addresses,
            free_at_us: 0,
            breaker: Breaker::with_answers_within(options.timeout),
            app_tokens: AppTokens::default(),
            token_fetch: None,
            logged_at_ms: None,
        };
        Ok(Self {
            options: options.clone(),
            environment: environment.to_owned(),
            name: options.provider.clone(),
            user_prefix: options.user_prefix(),
            source: source_of(environment, "login", of.as_bytes()),
            timeout: options.timeout,
            vendor: options.vendor()?,
            transport,
            calls_per_second: Rate::new(options.calls_per_second_max, 1000),
            running: semaphore(options.calls_running_max),
            waiting: Arc::new(semaphore(options.logins_waiting_max)),
            state: Mutex::new(state),
        })
    }

    pub(super) fn is_of(&self, environment: &str, options: &LoginOptions) -> bool {
        (self.environment.as_str(), &self.options) == (environment, options)
    }

    pub(super) fn source(&self) -> u64 {
        self.source
    }

    pub(super) async fn authenticate(
        self: &Arc<Self>,
        now: Now,
        code: &str,
        address: Option<IpAddr>,
    ) -> LoginResult {
        if code.is_empty() || code.len() > CODE_BYTES_MAX {
            return Err(self.refusal(&CodeError::Denied));
        }
        let call = self.call(now, code, address)?;
        match call.result().await.as_deref() {
            Some(Ok(CodeUser { user, asked_at_ms })) => Ok(Identity {
                user: Some(user.clone()),
                source: self.source,
                issued_at_ms: Some(*asked_at_ms),
                ..Identity::default()
            }),
            Some(Err(error)) => Err(self.refusal(error)),
            None => Err(self.refusal(&CodeError::Temporary)),
        }
    }

    /// The call for this code, which runs or has ended; else a new one, within the budgets.
    fn call(
        self: &Arc<Self>,
        now: Now,
        code: &str,
        address: Option<IpAddr>,
    ) -> Result<Flight<CodeResult>, LoginRefused> {
        let digest = CodeDigest::of(code);
        let mut state = self.state();
        if let Some(call) = state.codes.get(digest, now.mono_ms) {
            return Ok(call.clone());
        }
        if state.breaker.is_open(now.mono_ms) {
            return Err(self.refusal(&CodeError::Temporary));
        }
        let too_often = |retry_after_ms| LoginRefused::RateLimited { retry_after_ms };
        if let Some(address) = address {
            state.addresses.try_take(address, now.mono_ms).map_err(too_often)?;
        }
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return Err(unavailable("too many logins wait for the login service"));
        };
        if self.calls_per_second.try_take(&mut state.free_at_us, now.mono_ms).is_err() {
            return Err(unavailable("too many logins at once"));
        }
        let (provider, code) = (Arc::clone(self), code.to_owned());
        let call = Flight::start(async move {
            let _place = place;
            let result = provider.ask(now, &code).await;
            if matches!(result, Err(CodeError::Temporary | CodeError::Busy { .. })) {
                provider.state().codes.remove(digest, now.mono_ms);
            }
            result
        });
        state.codes.insert(digest, now.mono_ms, call.clone());
        Ok(call)
    }

    /// Asks the vendor, in turn.
    async fn ask(self: &Arc<Self>, now: Now, code: &str) -> CodeResult {
        let clock = Clock { now, started: Instant::now() };
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN_TIMEOUT, self.running.acquire()).await else {
            return Err(CodeError::Temporary);
        };
        let until = Instant::now() + self.timeout;
        let result = match self.vendor.token_source() {
            None => self.redeem(clock, code, "", until).await,
            Some(_) => self.redeem_with_token(clock, code, until).await,
        };
        if let Err(CodeError::Operator(hint)) = &result {
            self.log_operator_error(now, hint);
        }
        result
    }

    async fn redeem(&self, clock: Clock, code: &str, app_token: &str, until: Instant) -> CodeResult {
        let request = self.vendor.request(code, app_token, clock.now);
        if !request.is_valid() {
            // The options were checked with a code of letters: this one has something that HTTP does not allow.
            return Err(CodeError::Denied);
        }
        let body = self.send(clock, request, until).await?;
        let user = self.vendor.user(&body).and_then(|id| self.user_id(&id))?;
        Ok(CodeUser { user, asked_at_ms: clock.now.wall_ms })
    }

    /// The body of the vendor's answer, unless the vendor is left alone.
    async fn send(&self, clock: Clock, request: CodeRequest, until: Instant) -> Result<Bytes, CodeError> {
        let attempt = self.state().breaker.begin(clock.mono_ms());
        let Ok(attempt) = attempt else { return Err(CodeError::Temporary) };
        let timeout = until.saturating_duration_since(Instant::now());
        let answer = self.transport.send(request, timeout).await;
        let (mut state, mono_ms) = (self.state(), clock.mono_ms());
        let failure = match answer {
            Ok(VendorAnswer { status: 429, retry_after_s, .. }) => {
                let retry_after_ms =
                    retry_after_s.map_or(BUSY_MS, |seconds| seconds.saturating_mul(1_000).min(BUSY_MS_MAX));
                if state.breaker.pause(mono_ms, mono_ms + retry_after_ms) {
                    warn!(
                        event = "login_vendor_pauses",
                        provider = self.name,
                        retry_after_ms,
                        "login service asks for a pause (HTTP 429)"
                    );
                }
                return Err(CodeError::Busy { retry_after_ms });
            }
            Ok(VendorAnswer { status: ..500, body, .. }) => {
                if state.breaker.end(mono_ms, attempt, true) == Some(BreakerChange::Closed) {
                    warn!(event = "login_vendor_well", provider = self.name, "login service answers again");
                }
                return Ok(body);
            }
            Ok(VendorAnswer { status, .. }) => format!("HTTP {status}"),
            Err(error) => error.to_string(),
        };
        if state.breaker.end(mono_ms, attempt, false) == Some(BreakerChange::Opened) {
            warn!(
                event = "login_vendor_left_alone",
                provider = self.name,
                failure,
                "login service does not answer; not asking it for some seconds"
            );
        }
        Err(CodeError::Temporary)
    }

    fn user_id(&self, id: &str) -> Result<UserId, CodeError> {
        UserId::parse(&format!("{}{id}", self.user_prefix))
            .map_err(|why| CodeError::Operator(format!("the id is no user's id here: {why}")))
    }

    fn log_operator_error(&self, now: Now, hint: &str) {
        let mut state = self.state();
        if state.logged_at_ms.is_none_or(|logged_at_ms| now.mono_ms >= logged_at_ms + LOG_EVERY_MS) {
            state.logged_at_ms = Some(now.mono_ms);
            error!(
                event = "login_vendor_refuses_app",
                provider = self.name,
                hint,
                "login service refuses this app; its users cannot log in"
            );
        }
    }

    /// What an error means for the client.
    fn refusal(&self, error: &CodeError) -> LoginRefused {
        match error {
            CodeError::Temporary | CodeError::TokenEnded => unavailable("the login service does not answer"),
            CodeError::Operator(_) => unavailable("the login service refuses this app"),
            CodeError::Busy { retry_after_ms } => {
                LoginRefused::RateLimited { retry_after_ms: *retry_after_ms }
            }
            CodeError::Denied => LoginRefused::Code { retry_after_ms: NEW_CODE_MS },
            CodeError::RateLimited => LoginRefused::RateLimited { retry_after_ms: RATE_LIMITED_MS },
            CodeError::Banned => LoginRefused::Banned(format!("{} keeps this user out", self.name)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A semaphore; more than it can count is no limit.
fn semaphore(permits: usize) -> Semaphore {
    Semaphore::new(permits.min(Semaphore::MAX_PERMITS))
}

fn unavailable(words: &str) -> LoginRefused {
    LoginRefused::Unavailable(words.to_owned())
}
