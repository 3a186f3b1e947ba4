//! The certificates of `[[tls]]`: read from their files at the start, on SIGHUP, and when a file has changed.
//!
//! Start at [`CertificateStore::load`]. A reload that fails keeps the certificates in use, and says so once.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use tautline_gateway::{Tls, TlsCertificate};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::config::CertificateFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long before its end a certificate is warned of, and how often.
const EXPIRY_NOTICE: Duration = Duration::from_hours(14 * 24);
const WARN_EVERY: Duration = Duration::from_hours(24);

/// Certificates in files.
pub(crate) struct CertificateStore {
    files: Vec<CertificateFiles>,
    tls: Tls,
    /// The files as they were when they were last read.
    read: Vec<Option<Stamp>>,
    /// When an expiry was last warned of.
    warned: Option<SystemTime>,
}

/// What changes with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// A link may lead to another file now, as in a Kubernetes secret.
    target: Option<PathBuf>,
}

impl CertificateStore {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn load(files: Vec<CertificateFiles>) -> anyhow::Result<Self> {
        let read = stamps(&files);
        let tls = Tls::new(read_all(&files)?)?;
        let mut store = Self { files, tls, read, warned: None };
        store.log("certificate loaded");
        store.warn_of_expiry(SystemTime::now());
        Ok(store)
    }

    /// The certificates, for listeners.
    pub(crate) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Reloads on SIGHUP and when a file has changed, in a task of its own.
    ///
    /// # Errors
    /// Where the signal cannot be listened to.
    pub(crate) fn watch(self) -> anyhow::Result<AbortHandle> {
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        Ok(tokio::spawn(watch(self, hangup)).abort_handle())
    }

    /// Reads the files again where one of them has changed. False: none has.
    fn reload_changed(&mut self) -> bool {
        let has_changed = self.read != stamps(&self.files);
        if has_changed {
            self.reload();
        }
        has_changed
    }

    fn reload(&mut self) {
        // Before the files: a change while they are read is noticed the next time.
        self.read = stamps(&self.files);
        let replaced = read_all(&self.files).and_then(|read| Ok(self.tls.replace(read)?));
        match replaced {
            Ok(()) => {
                self.warned = None;
                self.log("certificate reloaded");
            }
            Err(error) => warn!("cannot reload certificates; those in use stay: {error:#}"),
        }
    }

    fn log(&self, event: &str) {
        for certificate in self.tls.certificates() {
            let days = days_left(&certificate, SystemTime::now());
            info!(names = certificate.names().join(","), expires_in_days = days, "{event}");
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
            warn!(names = certificate.names().join(","), expires_in_days = days, "certificate expires soon");
        }
    }
}

async fn watch(mut store: CertificateStore, mut hangup: Signal) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangup.recv() => true,
        };
        // Files may be on a network that is slow.
        let looked = tokio::task::spawn_blocking(move || {
            if is_asked {
                store.reload();
            } else {
                store.reload_changed();
            }
            store.warn_of_expiry(SystemTime::now());
            store
        });
        store = looked.await.expect("reading certificates does not panic");
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

fn stamps(files: &[CertificateFiles]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        let target = fs::canonicalize(path).ok();
        Some(Stamp { modified: found.modified().ok(), bytes: found.len(), target })
    };
    files.iter().flat_map(|files| [&files.certificate, &files.key]).map(stamp).collect()
}

fn read_all(files: &[CertificateFiles]) -> anyhow::Result<Vec<TlsCertificate>> {
    files.iter().map(read).collect()
}

fn read(files: &CertificateFiles) -> anyhow::Result<TlsCertificate> {
    let CertificateFiles { certificate, key } = files;
    let chain = fs::read(certificate).with_context(|| format!("cannot read {}", certificate.display()))?;
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
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

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
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
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

    fn names(store: &CertificateStore) -> Vec<String> {
        store.tls().certificates().iter().flat_map(|one| one.names().to_vec()).collect()
    }

    #[test]
    fn changed_files_are_reloaded_unchanged_ones_left() {
        let folder = Folder::new("changed");
        folder.issue("a.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        assert!(!store.reload_changed());
        folder.issue("longer.example");
        assert!(store.reload_changed());
        assert_eq!(names(&store), ["longer.example"]);
        assert!(!store.reload_changed());
    }

    #[test]
    fn bad_reload_keeps_the_old_certificate_and_is_tried_once() {
        let folder = Folder::new("bad");
        folder.issue("a.example");
        let mut store = CertificateStore::load(vec![folder.files()]).unwrap();
        let key = fs::read_to_string(folder.files().key).unwrap();
        fs::write(folder.files().certificate, "half a file").unwrap();
        assert!(store.reload_changed() && !store.reload_changed());
        assert_eq!(names(&store), ["a.example"]);
        fs::remove_file(folder.files().key).unwrap();
        assert!(store.reload_changed() && !store.reload_changed());
        assert_eq!(names(&store), ["a.example"]);
        folder.write("half a file", &key);
        folder.issue("fixed.example");
        assert!(store.reload_changed());
        assert_eq!(names(&store), ["fixed.example"]);
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
        assert!(store.reload_changed());
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
