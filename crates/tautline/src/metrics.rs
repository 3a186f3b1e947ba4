//! Metrics of what only the binary has: certificates and webhooks. Their labels are names of the configuration.

use std::{collections::BTreeMap, time::UNIX_EPOCH};

use tautline_backend::events::{WebhookFigures, WebhookHandle, WebhookState};
use tautline_gateway::{Gateway, Metric, Sample, Tls};

const STATES: [(WebhookState, &str); 3] =
    [(WebhookState::Active, "active"), (WebhookState::Retrying, "retrying"), (WebhookState::Off, "off")];

/// Adds them to those of the gateway.
pub(crate) fn add(gateway: &Gateway, webhooks: WebhookHandle, tls: Option<Tls>) {
    gateway.add_metrics(move || {
        let mut metrics = of_webhooks(&webhooks.figures());
        metrics.extend(tls.as_ref().map(of_certificates));
        metrics
    });
}

fn of_certificates(tls: &Tls) -> Metric {
    // Of several with the same names, such as one for each kind of key, the first that expires.
    let mut expiry: BTreeMap<String, u64> = BTreeMap::new();
    for certificate in tls.certificates() {
        let at = certificate.expires().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let of_names = expiry.entry(certificate.names().join(",")).or_insert(at);
        *of_names = at.min(*of_names);
    }
    let help = "When a certificate expires, in seconds since 1970";
    let samples = expiry.into_iter().map(|(names, at)| Sample::of(at).label("names", names));
    Metric::gauge("tls_certificate_expiry_time_seconds", help, samples)
}

fn of_webhooks(webhooks: &[WebhookFigures]) -> Vec<Metric> {
    let each = |value: fn(&WebhookFigures) -> Sample| {
        webhooks.iter().map(move |figures| value(figures).label("webhook", &*figures.name))
    };
    let states = webhooks.iter().flat_map(|figures| {
        STATES.map(|(state, name)| {
            let is_in = Sample::of(u64::from(figures.state == state));
            is_in.label("webhook", &*figures.name).label("state", name)
        })
    });
    vec![
        Metric::gauge("webhook_state", "1 for the state that a webhook is in", states),
        Metric::gauge(
            "webhook_lag_events",
            "Events that the receiver has not taken",
            each(|figures| Sample::of(figures.lag)),
        ),
        Metric::gauge(
            "webhook_lag_seconds",
            "How old the first of them is",
            each(|figures| Sample::seconds(figures.lag_ms)),
        ),
        Metric::gauge(
            "webhook_failures",
            "Attempts in a row that failed",
            each(|figures| Sample::of(figures.failures as u64)),
        ),
        Metric::counter(
            "webhook_expired_events",
            "Events that expired before the receiver took them",
            each(|figures| Sample::of(figures.expired)),
        ),
        Metric::counter(
            "webhook_lost_events",
            "Events dropped before they were stored, for lack of room",
            each(|figures| Sample::of(figures.lost)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use tautline_gateway::TlsCertificate;

    use super::*;

    #[test]
    fn certificate_tells_when_it_expires() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let chain = params.self_signed(&key).unwrap().pem();
        let certificate = TlsCertificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let wanted = Sample::of(1_893_456_000).label("names", "a.example");
        let help = "When a certificate expires, in seconds since 1970";
        assert_eq!(
            of_certificates(&Tls::new(vec![certificate]).unwrap()),
            Metric::gauge("tls_certificate_expiry_time_seconds", help, [wanted])
        );
    }

    #[test]
    fn webhook_is_in_one_state() {
        let figures = WebhookFigures {
            name: "shop".to_owned(),
            state: WebhookState::Retrying,
            offset: 1,
            lag: 2,
            lag_ms: 3_000,
            failures: 4,
            retry_in_ms: None,
            last_error: None,
            expired: 5,
            lost: 6,
            waiting: 0,
        };
        let of = |state: &str, value| Sample::of(value).label("webhook", "shop").label("state", state);
        let wanted = [of("active", 0), of("retrying", 1), of("off", 0)];
        let help = "1 for the state that a webhook is in";
        assert_eq!(of_webhooks(&[figures])[0], Metric::gauge("webhook_state", help, wanted));
    }
}
