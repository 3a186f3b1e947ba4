//! Whether a request comes from a page of ours.
//!
//! Browsers say where a request comes from, and no page can change what they say: `Sec-Fetch-Site`, and `Origin` where that
//! is missing. A client that says neither is no browser, and carries nobody's cookie.

use http::{
    HeaderMap,
    header::{HOST, ORIGIN},
};

/// `Err` says why a request that changes something is refused.
pub(crate) fn check(headers: &HeaderMap, allowed: &[String]) -> Result<(), &'static str> {
    const FOREIGN: &str = "the request comes from a page of another site";
    let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).ok();
    if let Some(site) = headers.get("sec-fetch-site") {
        return if site == "same-origin" { Ok(()) } else { Err(FOREIGN) };
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let (Some(origin), None) = (text(origin), origins.next()) else { return Err(FOREIGN) };
    let host = headers.get(HOST).and_then(text);
    let is_own = origin.split_once("://").is_some_and(|(_, of)| Some(of) == host.as_deref());
    if is_own || allowed.contains(&origin) { Ok(()) } else { Err(FOREIGN) }
}

/// Whether the page was asked for on this machine itself, where browsers trust plain HTTP.
pub(crate) fn is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(of: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        of.iter().map(header).collect()
    }

    #[test]
    fn only_our_pages_change_something() {
        let allowed = ["https://ops.shop.example".to_owned()];
        for (of, is_ours) in [
            (&[("host", "a:1"), ("origin", "http://a:1")][..], true),
            (&[("host", "a:1"), ("origin", "https://a:1")], true),
            (&[("host", "a:1"), ("origin", "https://ops.shop.example")], true),
            (&[("host", "a:1"), ("origin", "https://a")], false),
            (&[("host", "a"), ("origin", "https://a.evil.example")], false),
            (&[("host", "a"), ("origin", "https://b"), ("origin", "https://a")], false),
            (&[("host", "a"), ("origin", "https://a"), ("origin", "https://b")], false),
            (&[("host", "a"), ("origin", "null")], false),
            (&[("origin", "https://a")], false),
            // A proxy has changed the host; the browser knows better.
            (&[("host", "b"), ("origin", "https://a"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "a"), ("origin", "https://a"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "a"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "a"), ("sec-fetch-site", "none")], false),
            (&[("host", "a")], true),
        ] {
            assert_eq!(check(&headers(of), &allowed).is_ok(), is_ours, "{of:?}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8000", true),
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("localhost.evil.example", false),
            ("192.0.2.1:8000", false),
            ("[2001:db8::1]", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(&headers(&[("host", host)])), expected, "{host}");
        }
    }
}
