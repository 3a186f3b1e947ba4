//! Questions to the app's back end by HTTP: logins, permissions and calls.
//!
//! Start at [`Hooks`]. `options` and `selector` say which questions, `request` and `answer` are the two formats as
//! data, `results` is what an answer means, and `hook` sends requests.

mod answer;
mod cache;
mod hook;
mod options;
mod request;
mod results;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use ring::rand::{SecureRandom as _, SystemRandom};
use tautline_hub::{Authorization, AuthorizeQuestion};
use tautline_protocol::{Now, packet::Auth};

use self::{cache::LoginCache, hook::Hook, request::HookRequest};
pub use self::{
    options::{HookOptions, HookOptionsError},
    selector::HookKind,
};
use crate::{
    Backend, BackendFuture, Login, LoginResult,
    call::{Call, CallResult},
    source::source_of,
};

/// Asks the app's back end by HTTP, and another back end about everything else.
///
/// The first hook that takes a question is asked; it alone decides.
pub struct Hooks {
    hooks: Vec<LoginHook>,
    otherwise: Box<dyn Backend>,
    /// Names questions about new logins: a random start and a count.
    number: (u64, AtomicU64),
}

/// A hook, and what it needs where it lets logins in.
struct LoginHook {
    hook: Arc<Hook>,
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
        let hook = |options: &HookOptions| {
            let hook = Hook::new(options, random())?;
            let cache = options.cache.map(|kept| {
                let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
                Mutex::new(LoginCache::new(kept_ms))
            });
            // Its URL and its secrets are no part of it: they change while the users stay the same.
            let source = source_of(environment, "hook", hook.name.as_bytes());
            Ok(LoginHook { hook: Arc::new(hook), source, cache })
        };
        Ok(Self {
            hooks: options.iter().map(hook).collect::<Result<_, _>>()?,
            otherwise: Box::new(otherwise),
            number: (random(), AtomicU64::new(random())),
        })
    }

    fn login_hook(&self, login: &Login<'_>) -> Option<(&LoginHook, HookKind)> {
        let kind = if login.refreshes.is_some() { HookKind::Refresh } else { HookKind::Connect };
        let find = |of| self.hooks.iter().find(|hook| hook.hook.selector.takes_login(of, login.auth));
        find(kind).or_else(|| find(HookKind::Connect)).map(|hook| (hook, kind))
    }

    fn hook(&self, kind: HookKind, name: &str) -> Option<&Arc<Hook>> {
        let hooks = self.hooks.iter().map(|hook| &hook.hook);
        hooks.into_iter().find(|hook| hook.selector.takes(kind, name))
    }
}

impl LoginHook {
    async fn authenticate(&self, login: Login<'_>, kind: HookKind, number: u128) -> LoginResult {
        let now = login.now;
        // A refresh asks whether the login is still good.
        let cached = match login.auth {
            Auth::Token { token } if kind == HookKind::Connect => {
                self.cache.as_ref().map(|cache| (cache, token))
            }
            _ => None,
        };
        let lock = |cache: &Mutex<LoginCache>, act: &mut dyn FnMut(&mut LoginCache)| {
            act(&mut cache.lock().unwrap_or_else(PoisonError::into_inner));
        };
        if let Some((cache, token)) = cached {
            let mut known = None;
            lock(cache, &mut |cache| known = cache.get(token, now.mono_ms, now.wall_ms));
            if let Some(identity) = known {
                return Ok(identity);
            }
        }
        let request = HookRequest::login(kind, &login, number);
        let result = results::login(now, self.hook.ask(now, &request, u64::MAX).await, self.source);
        if let (Some((cache, token)), Ok(identity)) = (cached, &result) {
            lock(cache, &mut |cache| cache.insert(token, now.mono_ms, identity.clone()));
        }
        result
    }
}

impl Backend for Hooks {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        let Some((hook, kind)) = self.login_hook(&login) else { return self.otherwise.authenticate(login) };
        let count = self.number.1.fetch_add(1, Ordering::Relaxed);
        let number = u128::from(self.number.0) << 64 | u128::from(count);
        Box::pin(hook.authenticate(login, kind, number))
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
                let request = HookRequest::authorize(question);
                results::authorization(kind, hook.ask(now, &request, u64::MAX).await)
            }),
        }
    }

    fn call<'a>(&'a self, now: Now, call: Call) -> BackendFuture<'a, CallResult> {
        match self.hook(HookKind::Call, &call.method) {
            None => self.otherwise.call(now, call),
            Some(hook) => Box::pin(async move {
                let request = HookRequest::call(&call, hook.is_idempotent);
                results::call(hook.ask(now, &request, call.timeout_ms).await)
            }),
        }
    }

    fn is_idempotent(&self, method: &str) -> bool {
        match self.hook(HookKind::Call, method) {
            None => self.otherwise.is_idempotent(method),
            Some(hook) => hook.is_idempotent,
        }
    }

    fn sources(&self) -> Vec<u64> {
        let lets_in = |hook: &&LoginHook| {
            hook.hook.selector.has(HookKind::Connect) || hook.hook.selector.has(HookKind::Refresh)
        };
        let mut sources = self.otherwise.sources();
        sources.extend(self.hooks.iter().filter(lets_in).map(|hook| hook.source));
        sources
    }
}

impl std::fmt::Debug for Hooks {
    // Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.hooks.iter().map(|hook| &hook.hook.name);
        f.debug_list().entries(names).finish()
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
    u64::from_ne_bytes(bytes)
}
