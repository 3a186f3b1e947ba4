//! The web pages that may connect, by their origin.

use http::{HeaderMap, HeaderValue, header::ORIGIN};

/// The origins whose pages may connect.
#[derive(Debug, Default)]
pub(crate) enum Origins {
    /// All. No cookie opens anything here, so a foreign page gains nothing by its visitor's login. But where
    /// guests are let in it is a guest, from wherever its visitor is.
    #[default]
    Any,
    /// These, spelled by [`normalized`]; clients that are no browser name none.
    Only(Vec<String>),
}

impl Origins {
    pub(crate) fn only(origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Only(origins.into_iter().map(|origin| normalized(&origin.into())).collect())
    }

    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Any => true,
            Self::Only(_) => headers.get_all(ORIGIN).iter().all(|origin| self.list(origin)),
        }
    }

    /// True where an origin with this host is listed.
    pub(crate) fn list_host(&self, host: &str) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.list_text(&format!("{scheme}{host}")))
    }

    /// True where exactly this origin is listed.
    pub(crate) fn list(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.list_text(origin))
    }

    fn list_text(&self, origin: &str) -> bool {
        match self {
            Self::Any => false,
            Self::Only(allowed) => allowed.contains(&normalized(origin)),
        }
    }
}

/// An origin in lower case and without the port that its scheme implies, as browsers spell it.
fn normalized(origin: &str) -> String {
    let mut origin = origin.trim().to_ascii_lowercase();
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        if origin.starts_with(scheme) && origin.ends_with(port) {
            origin.truncate(origin.len() - port.len());
        }
    }
    origin
}
