//! The methods that may run again under the same key: their calls are never in doubt.
//!
//! Start at [`IdempotentMethods::new`].

use std::{collections::HashSet, fmt, sync::Arc};

type Decide = dyn Fn(&str) -> bool + Send + Sync;

/// Decides which methods may run again. Default: none.
#[derive(Clone, Default)]
pub struct IdempotentMethods(Option<Arc<Decide>>);

impl IdempotentMethods {
    /// Those for which `decide` returns true. It is asked when a client repeats a call that this node does not
    /// know.
    pub fn new(decide: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decide)))
    }

    pub(crate) fn contains(&self, method: &str) -> bool {
        self.0.as_ref().is_some_and(|decide| decide(method))
    }
}

impl<const N: usize> From<[String; N]> for IdempotentMethods {
    fn from(names: [String; N]) -> Self {
        let names = HashSet::from(names);
        Self::new(move |method| names.contains(method))
    }
}

impl fmt::Debug for IdempotentMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotentMethods(…)")
    }
}
