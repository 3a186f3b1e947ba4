//! Questions to the app's back end by HTTP: logins, permissions and calls.
//!
//! Start at [`Hooks`]. `options` and `selector` say which questions, `request` and `answer` are the two formats as
//! data, `results` is what an answer means, and `hook` sends requests.

mod answer;
mod breakers;
mod cache;
mod hook;
mod options;
mod request;
mod results;
mod selector;
#[cfg(test)]
mod tests;
mod timings;
mod turns;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tautline_hub::{Authorization, AuthorizeQuestion, Identity, LoginRefused};
use tautline_protocol::{Now, UserId, packet::Auth};

use self::{answer::Outcome, cache::LoginCache, hook::Hook, request::HookRequest};
pub use self::{
    options::{HookOptions, HookOptionsError},
    selector::HookKind,
};
use crate::{
    Backend, BackendFuture, Login, LoginResult,
    call::{Call, CallResult},
    figures::{BackendFigures, HookFigures},
    random::random,
    source::source_of,
};

/// Asks the app's back end by HTTP, and another back end about everything else.
///
/// The first hook that takes a question is asked; it alone decides.
pub struct Hooks {
    environment: Box<str>,
    hooks: Vec<Arc<LoginHook>>,
    otherwise: Arc<dyn Backend>,
    /// Names questions: a random start and a count.
    number: (u64, AtomicU64),
}

/// A hook, and what it needs where it lets logins in.
struct LoginHook {
    options: HookOptions,
    hook: Hook,
    source: u64,
    cache: Option<Mutex<LoginCache>>,
}

impl Hooks {
    /// Asks these hooks first. `environment` separates the logins of one deployment from those of another.
    ///
    /// # Errors
    /// The first option that is not valid.
    ///
    /// # Panics
    /// When the system has no random bytes.
    pub fn new(
        environment: &str,
        options: &[HookOptions],
        otherwise: impl Backend + 'static,
    ) -> Result<Self, HookOptionsError> {
        crate::crypto::install();
        Self::of(environment, options, &[], Arc::new(otherwise))
    }

    /// The same with other options, or another back end for the rest. A hook whose options are as before goes on: its
    /// running and waiting questions, what it knows of its URLs, and the logins that it remembers.
    ///
    /// # Errors
    /// The first option that is not valid.
    pub fn reloaded(
        &self,
        options: &[HookOptions],
        otherwise: Option<impl Backend + 'static>,
    ) -> Result<Self, HookOptionsError> {
        let otherwise = match otherwise {
            Some(otherwise) => Arc::new(otherwise),
            None => Arc::clone(&self.otherwise),
        };
        Self::of(&self.environment, options, &self.hooks, otherwise)
    }

    fn of(
        environment: &str,
        options: &[HookOptions],
        before: &[Arc<LoginHook>],
        otherwise: Arc<dyn Backend>,
    ) -> Result<Self, HookOptionsError> {
        let hook = |options: &HookOptions| match before.iter().find(|hook| hook.options == *options) {
            Some(hook) => Ok(Arc::clone(hook)),
            None => LoginHook::new(environment, options).map(Arc::new),
        };
        Ok(Self {
            environment: environment.into(),
            hooks: options.iter().map(hook).collect::<Result<_, _>>()?,
            otherwise,
            number: (random(), AtomicU64::new(random())),
        })
    }

    fn login_hook(&self, login: &Login<'_>) -> Option<(&LoginHook, HookKind)> {
        let kind = if login.refreshes.is_some() { HookKind::Refresh } else { HookKind::Connect };
        let find = |of| self.hooks.iter().find(|hook| hook.hook.selector.takes_login(of, login.auth));
        find(kind).or_else(|| find(HookKind::Connect)).map(|hook| (&**hook, kind))
    }

    fn next_number(&self) -> u128 {
        let count = self.number.1.fetch_add(1, Ordering::Relaxed);
        u128::from(self.number.0) << 64 | u128::from(count)
    }

    fn hook(&self, kind: HookKind, name: &str) -> Option<&Hook> {
        let hooks = self.hooks.iter().map(|hook| &hook.hook);
        hooks.into_iter().find(|hook| hook.selector.takes(kind, name))
    }

    /// The back end has news of a login: no hook lets it in by what was said before.
    fn forget_logins(&self, user: Option<&UserId>, token: Option<&str>) {
        for hook in &self.hooks {
            hook.with_cache(|cache| cache.forget(user, token));
        }
    }

    /// A back end that ends a user's connection wants to be asked when the user comes again.
    fn note_disconnect(&self, outcome: &Outcome, identity: &Identity) {
        if matches!(outcome, Outcome::Disconnect(_)) {
            self.forget_logins(identity.user.as_ref(), None);
        }
    }
}

impl LoginHook {
    fn new(environment: &str, options: &HookOptions) -> Result<Self, HookOptionsError> {
        let hook = Hook::new(options, random())?;
        let cache = options.cache.map(|kept| {
            let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
            Mutex::new(LoginCache::new(kept_ms, options.cache_bytes_max))
        });
        // Its URL and its secrets are no part of it: they change while the users stay the same.
        let source = source_of(environment, "hook", hook.name.as_bytes());
        Ok(Self { options: options.clone(), hook, source, cache })
    }

    async fn authenticate(&self, login: Login<'_>, kind: HookKind, number: u128) -> LoginResult {
        let now = login.now;
        // A refresh asks whether the login is still good.
        let token = match login.auth {
            Auth::Token { token } if kind == HookKind::Connect => Some(token),
            _ => None,
        };
        let known = token
            .and_then(|token| self.with_cache(|cache| cache.begin(token, now, |it| login.is_revoked(it))));
        let asked = match known {
            Some(Ok(identity)) => return Ok(identity),
            Some(Err(asked)) => Some(asked),
            None => None,
        };
        let request = HookRequest::login(kind, &login, number);
        let result =
            results::login(now, self.hook.ask(now, &request, login.holder, u64::MAX).await, self.source);
        if let (Some(token), Some(asked), Ok(identity)) = (token, asked, &result) {
            self.with_cache(|cache| cache.insert(token, asked, now.mono_ms, identity.clone()));
        }
        result
    }

    fn figures(&self, now: Now) -> HookFigures {
        let (running_max, waiting_max) = (self.options.calls_running_max, self.options.queue_max);
        let (running, waiting) = self.hook.in_use();
        HookFigures {
            name: self.hook.name.clone(),
            running: (running, running_max),
            waiting: (waiting, waiting_max),
            answers: self.hook.timings.figures(),
            open_breakers: self.hook.open_breakers(now),
        }
    }

    fn with_cache<T>(&self, act: impl FnOnce(&mut LoginCache) -> T) -> Option<T> {
        let cache = self.cache.as_ref()?;
        Some(act(&mut cache.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The user and the token of which the answer to a refresh is news. `None`: the back end has said nothing.
fn news_of<'a>(login: &Login<'a>, result: &LoginResult) -> Option<(Option<&'a UserId>, Option<&'a str>)> {
    let (_, identity) = login.refreshes?;
    let is_silent = matches!(result, Err(LoginRefused::Unavailable(_) | LoginRefused::RateLimited { .. }));
    let token = match login.auth {
        Auth::Token { token } => Some(&**token),
        _ => None,
    };
    (!is_silent).then_some((identity.user.as_ref(), token))
}

impl Backend for Hooks {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        let Some((hook, kind)) = self.login_hook(&login) else { return self.otherwise.authenticate(login) };
        let number = self.next_number();
        Box::pin(async move {
            let result = hook.authenticate(login, kind, number).await;
            if let Some((user, token)) = news_of(&login, &result) {
                self.forget_logins(user, token);
            }
            result
        })
    }

    fn authorize<'a>(
        &'a self,
        now: Now,
        question: &'a AuthorizeQuestion,
    ) -> BackendFuture<'a, Authorization> {
        let kind = HookKind::of(question.permission);
        match self.hook(kind, question.channel.as_str()) {
            None => self.otherwise.authorize(now, question),
            Some(hook) => Box::pin(async move {
                let request = HookRequest::authorize(question, self.next_number());
                let outcome = hook.ask(now, &request, question.holder, u64::MAX).await;
                self.note_disconnect(&outcome, &question.identity);
                results::authorization(kind, outcome)
            }),
        }
    }

    fn call<'a>(&'a self, now: Now, call: Call) -> BackendFuture<'a, CallResult> {
        match self.hook(HookKind::Call, &call.method) {
            None => self.otherwise.call(now, call),
            Some(hook) => Box::pin(async move {
                let request = HookRequest::call(&call, hook.is_idempotent);
                let outcome = hook.ask(now, &request, call.holder, call.timeout_ms).await;
                self.note_disconnect(&outcome, &call.identity);
                results::call(outcome)
            }),
        }
    }

    fn is_idempotent(&self, method: &str) -> bool {
        match self.hook(HookKind::Call, method) {
            None => self.otherwise.is_idempotent(method),
            Some(hook) => hook.is_idempotent,
        }
    }

    fn figures(&self, now: Now) -> BackendFigures {
        let mut figures = self.otherwise.figures(now);
        figures.hooks.splice(0..0, self.hooks.iter().map(|hook| hook.figures(now)));
        number_equal_names(&mut figures.hooks);
        figures
    }

    fn sources(&self) -> Vec<u64> {
        let lets_in = |hook: &&Arc<LoginHook>| {
            hook.hook.selector.has(HookKind::Connect) || hook.hook.selector.has(HookKind::Refresh)
        };
        let mut sources = self.otherwise.sources();
        sources.extend(self.hooks.iter().filter(lets_in).map(|hook| hook.source));
        sources
    }
}

/// Two hooks of one host have one name: the second is told as `host#2`, because figures have one owner each.
fn number_equal_names(hooks: &mut [HookFigures]) {
    for index in 1..hooks.len() {
        let (before, rest) = hooks.split_at_mut(index);
        let name = rest[0].name.clone();
        let is_taken = |name: &str| before.iter().any(|hook| hook.name == name);
        let free = (2..).map(|number| format!("{name}#{number}")).find(|name| !is_taken(name));
        if is_taken(&name) {
            rest[0].name = free.expect("there are more numbers than hooks");
        }
    }
}

impl std::fmt::Debug for Hooks {
    // Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.hooks.iter().map(|hook| &hook.hook.name);
        f.debug_list().entries(names).finish()
    }
}
