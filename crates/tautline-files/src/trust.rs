//! Whose a file is, and who else gets at it.

use std::{
    fs::{self, File, Metadata},
    io,
    path::Path,
};

/// What a file holds, and so who may get at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Whoever reads it can pass for somebody else: nobody but its owner, and a group where the owner let it in.
    Secrets,
    /// Others may read it, where the owner lets them, and must not write it.
    Data,
}

/// Checks a file that another library opens. One that is not there is fine.
///
/// # Errors
/// Where it is a link, somebody else's, or open to everybody.
pub fn check(path: &Path, holds: Holds) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) => judge(path, &found, holds),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A sentence about a file or a directory of secrets that others than its owner get at; nothing where none do.
#[must_use]
pub fn open_to_others(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        let found = fs::metadata(path).ok()?;
        let mode = std::os::unix::fs::MetadataExt::mode(&found) & 0o777;
        // Who may only look into a directory reads no file of it that is its owner's alone.
        let (kind, rights, own) =
            if found.is_dir() { ("change", 0o022, 700) } else { ("read or change", 0o066, 600) };
        (mode & rights != 0).then(|| {
            let path = path.display();
            format!("others than its owner can {kind} {path} (mode {mode:04o}), and secrets are in it: `chmod {own}` it")
        })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

pub(crate) fn check_open(path: &Path, file: &File, holds: Holds) -> io::Result<()> {
    judge(path, &file.metadata()?, holds)
}

#[cfg(unix)]
fn judge(path: &Path, found: &Metadata, holds: Holds) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let refuse = |words: String| {
        let words = format!("{} {words}", path.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
    };
    let (mode, owner) = (found.mode() & 0o777, found.uid());
    if !found.is_file() {
        return refuse("is a link, or no file at all: see who has put it there".to_owned());
    }
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return refuse(format!("belongs to user {owner}: see who has put it there, or run as that user"));
    }
    if found.nlink() > 1 {
        return refuse("has a second name elsewhere: see who has linked it".to_owned());
    }
    let everybody = match holds {
        Holds::Secrets => 0o006,
        Holds::Data => 0o002,
    };
    if mode & everybody != 0 {
        return refuse(format!(
            "is open to everybody (mode {mode:04o}): `chmod 600` it, where nobody can have changed it or made use of it"
        ));
    }
    // Orchestrators give a group its rights, and for a reason: it is told, not refused.
    let group = if holds == Holds::Secrets { 0o060 } else { 0o020 };
    if mode & group != 0 {
        let (path, mode) = (path.display(), format!("{mode:04o}"));
        tracing::warn!(event = "file_open_to_group", %path, mode, group = found.gid(), "a group gets at it besides its owner");
    }
    Ok(())
}

#[cfg(not(unix))]
fn judge(_: &Path, _: &Metadata, _: Holds) -> io::Result<()> {
    Ok(())
}
