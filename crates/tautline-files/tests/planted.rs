//! What somebody else has put into the place of a file is refused, and left as it is.
#![cfg(unix)]

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use tautline_files::{Holds, Sync, check, open_lock, open_to_others, read, replace, sweep};

/// A directory that is gone afterwards, and the place of a file in it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("planted-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("made");
        Self(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).expect("a directory").flatten().map(|entry| entry.file_name());
        names.map(|name| name.into_string().expect("ours")).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn is_refused<T: std::fmt::Debug>(outcome: io::Result<T>) {
    let error = outcome.expect_err("it was planted");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
}

#[test]
fn replaced_file_is_its_owners_alone() {
    let dir = Dir::new("replaced");
    let path = dir.at("keys");
    fs::write(&path, "old").expect("written");
    set_mode(&path, 0o666);
    replace(&path, b"new", Sync::Disk).expect("replaced");
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    assert_eq!(read(&path).expect("ours"), b"new");
    assert_eq!(dir.names(), ["keys"], "nothing is left beside it");
}

#[test]
fn file_planted_under_predictable_name_is_not_used() {
    let dir = Dir::new("new");
    let planted = dir.at("keys.new");
    fs::write(&planted, "theirs").expect("written");
    set_mode(&planted, 0o666);
    replace(&dir.at("keys"), b"ours", Sync::Disk).expect("replaced");
    assert_eq!(fs::read(&planted).expect("there"), b"theirs");
    assert_eq!(fs::metadata(dir.at("keys")).expect("there").mode() & 0o777, 0o600);
}

#[test]
fn link_in_the_place_of_a_file_is_refused() {
    let dir = Dir::new("link");
    let victim = dir.at("victim");
    replace(&victim, b"precious", Sync::Later).expect("written");
    symlink(&victim, dir.at("keys")).expect("linked");
    is_refused(read(&dir.at("keys")));
    is_refused(open_lock(&dir.at("keys")));
    is_refused(check(&dir.at("keys"), Holds::Data));
    assert_eq!(fs::read(&victim).expect("there"), b"precious");
    replace(&dir.at("keys"), b"ours", Sync::Later).expect("the link goes, not what it leads to");
    assert_eq!(fs::read(&victim).expect("there"), b"precious");
}

#[test]
fn second_name_of_a_file_is_refused() {
    let dir = Dir::new("second");
    let victim = dir.at("victim");
    replace(&victim, b"precious", Sync::Later).expect("written");
    fs::hard_link(&victim, dir.at("lock")).expect("linked");
    is_refused(open_lock(&dir.at("lock")));
    assert_eq!(fs::read(&victim).expect("there"), b"precious");
}

#[test]
fn rights_for_everybody_are_refused_where_they_matter() {
    let dir = Dir::new("rights");
    let path = dir.at("keys");
    replace(&path, b"ours", Sync::Later).expect("written");
    for (mode, secrets, data) in [
        (0o600, true, true),
        (0o660, true, true),
        (0o644, false, true),
        (0o602, false, false),
        (0o666, false, false),
    ] {
        set_mode(&path, mode);
        assert_eq!(read(&path).is_ok(), secrets, "{mode:o}");
        assert_eq!(check(&path, Holds::Data).is_ok(), data, "{mode:o}");
    }
}

#[test]
fn file_of_another_user_is_refused() {
    let dir = Dir::new("owner");
    let path = dir.at("keys");
    replace(&path, b"theirs", Sync::Later).expect("written");
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
        // Only root can give files away; the file of another user that everybody can find is root's own, which is trusted.
        // Not by `println!`, which a test that passes is not heard with: the table of steps shows it.
        let _ = io::Write::write_all(
            &mut io::stdout(),
            b"\nskipped: this user may not give files away: one of another user\n",
        );
        return;
    }
    is_refused(read(&path));
    is_refused(open_lock(&path));
    is_refused(check(&path, Holds::Data));
}

#[test]
fn pipe_and_directory_are_refused_without_waiting() {
    let dir = Dir::new("pipe");
    let made = std::process::Command::new("mkfifo").arg(dir.at("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    is_refused(read(&dir.at("pipe")));
    fs::create_dir(dir.at("folder")).expect("made");
    is_refused(read(&dir.at("folder")));
}

#[test]
fn what_a_crash_has_left_is_swept() {
    let dir = Dir::new("swept");
    for name in ["keys", "keys.00ff.new", "keys.new", "keys.txt", "other.00ff.new"] {
        fs::write(dir.at(name), "").expect("written");
    }
    sweep(&dir.at("keys"));
    let mut left = dir.names();
    left.sort();
    assert_eq!(left, ["keys", "keys.txt", "other.00ff.new"]);
}

#[test]
fn rights_of_others_on_secrets_are_told() {
    let dir = Dir::new("told");
    let path = dir.at("tautline.toml");
    replace(&path, b"secret", Sync::Later).expect("written");
    for (mode, file, folder) in
        [(0o700, false, false), (0o755, true, false), (0o640, true, false), (0o777, true, true)]
    {
        set_mode(&path, mode);
        assert_eq!(open_to_others(&path).is_some(), file, "{mode:o}");
        set_mode(&dir.0, mode | 0o700);
        assert_eq!(open_to_others(&dir.0).is_some(), folder, "{mode:o}");
    }
    assert_eq!(open_to_others(&dir.at("nothing")), None);
}
