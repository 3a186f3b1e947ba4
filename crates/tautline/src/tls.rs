//! The certificates of `[[tls]]`: read from their files at the start, on SIGHUP, and when a file has changed.
//!
//! Start at [`CertificateStore::load`]. A reload that fails keeps the certificates in use, and says so once.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow, bail};
use tautline_gateway::{Tls, TlsCertificate};
use tracing::{info, warn};

use crate::{
    config::CertificateFiles,
    watched::{Retry, Watched},
};

/// How long before its end a certificate is warned of, and how often.
const EXPIRY_NOTICE: Duration = Duration::from_hours(14 * 24);
const WARN_EVERY: Duration = Duration::from_hours(24);

/// Certificates in files.
pub(crate) struct CertificateStore {
    files: Vec<CertificateFiles>,
    tls: Tls,
    watched: Watched,
    retry: Retry,
    /// When an expiry was last warned of.
    warned: Option<SystemTime>,
}

impl CertificateStore {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn load(files: Vec<CertificateFiles>) -> anyhow::Result<Self> {
        let watched = watch(&files);
        let tls = Tls::new(read_all(&files)?)?;
        let mut store = Self { files, tls, watched, retry: Retry::default(), warned: None };
        store.log("certificate loaded");
        store.warn_of_expiry(SystemTime::now());
        Ok(store)
    }

    /// The certificates, for listeners.
    pub(crate) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Reads the files again where one of them has changed, where that is asked for, and some time after it has failed.
    /// Warns of certificates that expire. False: nothing was read.
    pub(crate) fn look(&mut self, is_asked: bool, now: SystemTime) -> bool {
        let is_new = self.watched.compare() || is_asked;
        let is_due = is_new || self.retry.is_due(now);
        if is_due {
            self.watched = watch(&self.files);
            match self.checked(&self.files, now).and_then(|read| self.replace(read)) {
                Ok(()) => self.retry.succeeded(),
                Err(error) => {
                    if self.retry.failed(now, format!("{error:#}")) || is_new {
                        warn!(
                            event = "certificate_reload_failed",
                            "cannot reload certificates; those in use stay: {error:#}"
                        );
                    }
                }
            }
        }
        self.warn_of_expiry(now);
        is_due
    }

    /// Reads other files, for [`CertificateStore::take`].
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn checked(
        &self,
        files: &[CertificateFiles],
        now: SystemTime,
    ) -> anyhow::Result<Vec<TlsCertificate>> {
        if files.is_empty() {
            bail!("no certificate is left, and listeners with TLS still use them");
        }
        let read = read_all(files)?;
        let used = self.tls.certificates();
        for (files, certificate) in files.iter().zip(&read) {
            // One that has expired meanwhile, and is not replaced, does not keep the others from being renewed.
            let is_used = used.iter().any(|used| used.expires() == certificate.expires());
            if certificate.expires() <= now && !is_used {
                let days = -days_left(certificate, now);
                bail!("{} has expired {days} days ago", files.certificate.display());
            }
            if certificate.begins() > now {
                bail!("{} is not valid yet", files.certificate.display());
            }
        }
        Ok(read)
    }

    /// Uses the certificates of other files.
    ///
    /// # Errors
    /// Where there are none.
    pub(crate) fn take(
        &mut self,
        files: Vec<CertificateFiles>,
        read: Vec<TlsCertificate>,
    ) -> anyhow::Result<()> {
        let watched = watch(&files);
        self.replace(read)?;
        (self.watched, self.files, self.retry) = (watched, files, Retry::default());
        Ok(())
    }

    fn replace(&mut self, read: Vec<TlsCertificate>) -> anyhow::Result<()> {
        self.tls.replace(read)?;
        self.warned = None;
        self.log("certificate reloaded");
        Ok(())
    }

    fn log(&self, event: &str) {
        for certificate in self.tls.certificates() {
            let days = days_left(&certificate, SystemTime::now());
            info!(
                event = "certificate_in_use",
                names = certificate.names().join(","),
                expires_in_days = days,
                "{event}"
            );
        }
    }

    fn warn_of_expiry(&mut self, now: SystemTime) {
        let is_recent = |warned: SystemTime| now.duration_since(warned).is_ok_and(|since| since < WARN_EVERY);
        if self.tls.expires() > now + EXPIRY_NOTICE || self.warned.is_some_and(is_recent) {
            return;
        }
        self.warned = Some(now);
        for certificate in self.tls.certificates().iter().filter(|one| one.expires() <= now + EXPIRY_NOTICE) {
            let days = days_left(certificate, now);
            warn!(
                event = "certificate_expires",
                names = certificate.names().join(","),
                expires_in_days = days,
                "certificate expires soon"
            );
        }
    }
}

/// Whole days, negative once it has expired.
fn days_left(certificate: &TlsCertificate, now: SystemTime) -> i64 {
    let seconds = match certificate.expires().duration_since(now) {
        Ok(left) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        Err(past) => -i64::try_from(past.duration().as_secs()).unwrap_or(i64::MAX),
    };
    seconds.div_euclid(24 * 3600)
}

/// The largest file of certificates, in bytes.
const CHAIN_BYTES_MAX: u64 = 1024 * 1024;

fn watch(files: &[CertificateFiles]) -> Watched {
    Watched::new(files.iter().flat_map(|files| [&files.certificate, &files.key]))
}

fn read_all(files: &[CertificateFiles]) -> anyhow::Result<Vec<TlsCertificate>> {
    files.iter().map(read).collect()
}

fn read(files: &CertificateFiles) -> anyhow::Result<TlsCertificate> {
    let CertificateFiles { certificate, key } = files;
    let chain = tautline_files::read_regular(certificate, CHAIN_BYTES_MAX)
        .with_context(|| format!("cannot read {}", certificate.display()))?;
    let secret = read_key(key)?;
    TlsCertificate::from_pem(&chain, &secret)
        .with_context(|| format!("cannot use {} with {}", certificate.display(), key.display()))
}

/// A key is its owner's alone. Certificate managers change links; the file behind them is the one to be checked.
fn read_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    let target = fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
    tautline_files::read(&target).map_err(|error| anyhow!("cannot use {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt as _, symlink},
        path::PathBuf,
    };

    use super::*;
    use crate::watched::RETRY_EVERY;

    /// Files of a certificate, in a folder of one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("tautline-tls-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn files(&self) -> CertificateFiles {
            CertificateFiles { certificate: self.0.join("chain.pem"), key: self.0.join("key.pem") }
        }

        /// Writes a new certificate for this name.
        fn issue(&self, name: &str) {
            self.issue_for(name, (2020, 2099));
        }

        /// The same for the years between these two.
        fn issue_for(&self, name: &str, (first, last): (i32, i32)) {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(first, 1, 1), rcgen::date_time_ymd(last, 1, 1));
            self.write(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem());
        }

        fn write(&self, certificate: &str, key: &str) {
            let files = self.files();
            fs::write(&files.certificate, certificate).unwrap();
            fs::write(&files.key, key).unwrap();
            fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Whether the files were read again once they were steady.
    fn looks(store: &mut CertificateStore) -> bool {
        let now = SystemTime::now();
        let at_once = store.look(false, now);
        assert!(!at_once, "they may still be written");
        store.look(false, now)
    }

    fn names(store: &CertificateStore) -> Vec<String> {
        store.tls().certificates().iter().flat_map(|one| one.names().to_vec()).collect()
    }

    #[test]
    fn changed_files_are_reloaded_unchanged_ones_left() {
        let folder = Folder::new("changed");
        folder.issue("a.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        assert!(!looks(&mut store));
        folder.issue("longer.example");
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["longer.example"]);
        assert!(!looks(&mut store));
    }

    #[test]
    fn bad_reload_keeps_the_old_certificate_and_is_tried_once() {
        let folder = Folder::new("bad");
        folder.issue("a.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        let key = fs::read_to_string(folder.files().key).unwrap();
        fs::write(folder.files().certificate, "half a file").unwrap();
        assert!(looks(&mut store) && !looks(&mut store));
        assert_eq!(names(&store), ["a.example"]);
        fs::remove_file(folder.files().key).unwrap();
        assert!(looks(&mut store) && !looks(&mut store));
        assert_eq!(names(&store), ["a.example"]);
        folder.write("half a file", &key);
        folder.issue("fixed.example");
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["fixed.example"]);
    }

    #[test]
    fn expired_or_early_certificate_is_not_reloaded() {
        let folder = Folder::new("expired");
        folder.issue("good.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        for years in [(2020, 2021), (2090, 2099)] {
            folder.issue_for("bad.example", years);
            assert!(looks(&mut store));
            assert_eq!(names(&store), ["good.example"], "{years:?}");
            store.look(true, SystemTime::now());
            assert_eq!(names(&store), ["good.example"], "{years:?}");
        }
        folder.issue("new.example");
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["new.example"]);
    }

    #[test]
    fn certificate_is_reloaded_once_it_is_valid() {
        let folder = Folder::new("early");
        folder.issue("now.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        folder.issue_for("later.example", (2090, 2099));
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["now.example"]);
        let begins = read(&folder.files()).unwrap().begins();
        assert!(store.look(false, begins - RETRY_EVERY) && !store.look(false, begins - RETRY_EVERY / 2));
        assert_eq!(names(&store), ["now.example"]);
        assert!(store.look(false, begins));
        assert_eq!(names(&store), ["later.example"]);
        assert!(!store.look(false, begins + RETRY_EVERY), "and is not read again");
    }

    #[test]
    fn key_of_another_certificate_is_not_reloaded() {
        let folder = Folder::new("mismatch");
        folder.issue("good.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        let key = fs::read_to_string(folder.files().key).unwrap();
        folder.issue("new.example");
        let chain = fs::read_to_string(folder.files().certificate).unwrap();
        folder.write(&chain, &key);
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["good.example"]);
    }

    #[test]
    fn certificate_that_expired_in_use_keeps_no_other_old() {
        let (expired, renewed) = (Folder::new("stays"), Folder::new("renewed"));
        expired.issue_for("expired.example", (2020, 2021));
        renewed.issue("renewed.example");
        let mut store = CertificateStore::load(vec![expired.files(), renewed.files()]).unwrap();
        renewed.issue("newest.example");
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["expired.example", "newest.example"]);
    }

    #[test]
    fn changed_link_is_followed() {
        let (old, new, links) = (Folder::new("old"), Folder::new("new"), Folder::new("links"));
        old.issue("old.example");
        new.issue("new.example");
        let lead_to = |folder: &Folder| {
            for (link, file) in [
                (links.files().certificate, folder.files().certificate),
                (links.files().key, folder.files().key),
            ] {
                let _ = fs::remove_file(&link);
                symlink(file, link).unwrap();
            }
        };
        lead_to(&old);
        let mut store = CertificateStore::load(vec![links.files()]).unwrap();
        lead_to(&new);
        assert!(looks(&mut store));
        assert_eq!(names(&store), ["new.example"]);
    }

    #[test]
    fn key_open_to_everybody_is_refused() {
        let folder = Folder::new("open");
        folder.issue("a.example");
        fs::set_permissions(folder.files().key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = format!("{:#}", CertificateStore::load(vec![folder.files()]).err().unwrap());
        assert!(error.contains("key.pem") && error.contains("open to everybody"), "{error}");
    }

    #[test]
    fn expiry_is_warned_of_once_a_day() {
        let folder = Folder::new("expiry");
        folder.issue("a.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        assert_eq!(store.warned, None);
        let expires = store.tls.expires();
        let mut warned_at = |now: SystemTime| {
            store.warn_of_expiry(now);
            store.warned
        };
        let soon = expires - EXPIRY_NOTICE;
        assert_eq!(warned_at(soon), Some(soon));
        assert_eq!(warned_at(soon + WARN_EVERY / 2), Some(soon));
        assert_eq!(warned_at(expires), Some(expires));
    }
}
