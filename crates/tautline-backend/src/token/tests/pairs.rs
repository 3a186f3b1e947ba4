//! Key pairs of tests. Everybody has them: they keep nothing secret.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A key pair: what signs, and what the gateway is given.
pub(super) struct Pair {
    pub(super) algorithms: &'static [Algorithm],
    /// PKCS#8 in base64.
    private: &'static str,
    /// `SubjectPublicKeyInfo` in base64.
    public: &'static str,
    jwk: fn() -> Value,
}

impl Pair {
    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        let der = BASE64_STANDARD.decode(self.private).unwrap();
        let key = match header.alg.family() {
            jsonwebtoken::AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(&der),
            jsonwebtoken::AlgorithmFamily::Ec => EncodingKey::from_ec_der(&der),
            jsonwebtoken::AlgorithmFamily::Ed => EncodingKey::from_ed_der(&der),
            jsonwebtoken::AlgorithmFamily::Hmac => panic!("a pair has no secret"),
        };
        encode(header, claims, &key).unwrap()
    }

    pub(super) fn pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", self.public)
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = (self.jwk)();
        jwk["kid"] = kid.into();
        jwk
    }
}

pub(super) const RSA: Pair = Pair {
    algorithms: &[
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ],
    private: crate::mock::APP_PRIVATE_KEY,
    public: "\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxDSTbL3mxdhkXVSXFNxlZn/WMOIni698o6hQUUHEv6fyyqWklw2Enmp7\
    BuhXPObSAKwcKNkAePcn62ILATMVXmx5Bb9SodhPUiUz6AnLRDlpWvOLXahkemqCJ4qexjPV+YFvcPM4tV9TMYPwNCK7ONZFASll\
    SXFnbbYodQmyX31J0+UJudtqlIbFL6j2Afm8bNZLXpRWxhxS2msLogwuRNX8MhxxCwj3OxOV4it/cwJsbuNgGG+Wb6XYhV3fRMFR\
    MBIEgfRwfwfg8mSUUv2ehWlkOwWGTDGFxFWJ+NNt5qLU3NjkjPe805IUR3ZedWvlExduFkT5WFe72eIca+pUEQIDAQAB\
",
    jwk: || json!({"kty": "RSA", "use": "sig", "e": "AQAB", "n": RSA_MODULUS}),
};

const RSA_MODULUS: &str = "\
    xDSTbL3mxdhkXVSXFNxlZn_WMOIni698o6hQUUHEv6fyyqWklw2Enmp7BuhXPObSAKwcKNkAePcn62ILATMVXmx5Bb9SodhPUiUz\
    6AnLRDlpWvOLXahkemqCJ4qexjPV-YFvcPM4tV9TMYPwNCK7ONZFASllSXFnbbYodQmyX31J0-UJudtqlIbFL6j2Afm8bNZLXpRW\
    xhxS2msLogwuRNX8MhxxCwj3OxOV4it_cwJsbuNgGG-Wb6XYhV3fRMFRMBIEgfRwfwfg8mSUUv2ehWlkOwWGTDGFxFWJ-NNt5qLU\
    3NjkjPe805IUR3ZedWvlExduFkT5WFe72eIca-pUEQ\
";

pub(super) const P256: Pair = Pair {
    algorithms: &[Algorithm::ES256],
    private: "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEeZSAuO2Zs4o9nbwsYz/geqHpxiSXHQWiZa1vAuavvKhRANCAASp\
    Qgqsr21r4nHOMQMS9zbMTOx088mOKQQLd3tMN0oGIjVqeClmYtulYiz3Hz5TGecSJ2NoVtAZl+sFvW5DmrSV\
",
    public: "\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqUIKrK9ta+JxzjEDEvc2zEzsdPPJjikEC3d7TDdKBiI1angpZmLbpWIs9x8+Uxnn\
    EidjaFbQGZfrBb1uQ5q0lQ==\
",
    jwk: || {
        json!({
            "kty": "EC", "use": "sig", "crv": "P-256",
            "x": "qUIKrK9ta-JxzjEDEvc2zEzsdPPJjikEC3d7TDdKBiI",
            "y": "NWp4KWZi26ViLPcfPlMZ5xInY2hW0BmX6wW9bkOatJU",
        })
    },
};

pub(super) const P384: Pair = Pair {
    algorithms: &[Algorithm::ES384],
    private: "\
    MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDC9J2GWrIlwsAlXhLgVTKuY4Hq7pM4AZxGSiN9CC9tlXZfkilqKDrlb\
    YKdE4rZY3AehZANiAASMBXolzirCUxJr5uuwxsE/q1OyxsnjHWPz3u67xuwbBZaGk4+mhqAZhqvaS9PExIllFzLgrqnCW/s5UP+p\
    AYLztv1VhR0Ifue/JFdtAmgCFwE/hBJUiWP7U2gHHoAaNDs=\
",
    public: "\
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEjAV6Jc4qwlMSa+brsMbBP6tTssbJ4x1j897uu8bsGwWWhpOPpoagGYar2kvTxMSJZRcy\
    4K6pwlv7OVD/qQGC87b9VYUdCH7nvyRXbQJoAhcBP4QSVIlj+1NoBx6AGjQ7\
",
    jwk: || {
        json!({
            "kty": "EC", "use": "sig", "crv": "P-384",
            "x": "jAV6Jc4qwlMSa-brsMbBP6tTssbJ4x1j897uu8bsGwWWhpOPpoagGYar2kvTxMSJ",
            "y": "ZRcy4K6pwlv7OVD_qQGC87b9VYUdCH7nvyRXbQJoAhcBP4QSVIlj-1NoBx6AGjQ7",
        })
    },
};

pub(super) const ED25519: Pair = Pair {
    algorithms: &[Algorithm::EdDSA],
    private: "MC4CAQAwBQYDK2VwBCIEIPu6PvuCoe7+ajoWEYXPtI8aUBHEyxxypixkdSkyQDQ8",
    public: "MCowBQYDK2VwAyEATNj5sifW3eI+PRuSibWxjIO8SV6t3n2+rVGhN6kOjik=",
    jwk: || json!({"kty": "OKP", "use": "sig", "crv": "Ed25519", "x": "TNj5sifW3eI-PRuSibWxjIO8SV6t3n2-rVGhN6kOjik"}),
};

pub(super) const ALL: [Pair; 4] = [RSA, P256, P384, ED25519];

/// An RSA key of 1,024 bits.
pub(super) const WEAK_RSA: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDbP4bNNHX5fD0BUOshA9Zp22oJ\n\
+/5y2e8ELSeOEUrDmIQRg5kc0bTXem6Pi757NxN1yzQocUSgwT/bk3XcAlwPWk9P\n\
JFSw1nJtORWuX9sHC9y61EGtXNziUQjQjDv/20zD9SLNK3RBUTSarmt9QpSzlUpW\n\
XChXHfg22Q9k5iDmSwIDAQAB\n\
-----END PUBLIC KEY-----
";
