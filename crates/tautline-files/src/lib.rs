//! Files that are their owner's alone: checked when they are opened, and replaced as a whole.
//!
//! Start at [`read`] and [`replace`]; [`open_append`] is for logs. A file that somebody else has put into the place of ours, by a link, as its owner or
//! with rights for everybody, is refused, as ssh refuses a key. [`open_lock`] is for files that are only locked,
//! [`check`] for those that another library opens. [`secret`] is text that is used and never printed.
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("tautline-files-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! let path = dir.join("keys.json");
//! tautline_files::replace(&path, b"secret", tautline_files::Sync::Disk)?;
//! assert_eq!(tautline_files::read(&path)?, b"secret");
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod secret;
mod trust;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

pub use trust::{Holds, check, open_to_others};

/// Whether what was written outlives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It is on the disk, and so is its name.
    Disk,
    /// The system writes it some seconds later.
    Later,
}

/// What files end in that were not put into their place yet.
const FRESH: &str = ".new";

/// Reads a file that holds secrets.
///
/// # Errors
/// Where it is not there, or is not this user's alone.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_checked(OpenOptions::new().read(true), path, Holds::Secrets)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file that anybody may own, through any links. Only a regular one: others could make their reader wait for ever.
///
/// # Errors
/// Where it is not there, is no regular file, or has more than `bytes_max` bytes.
pub fn read_regular(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    set_flags(&mut options, rustix::fs::OFlags::NONBLOCK);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    read_bounded(file, bytes_max)
}

/// Reads to the end, which has to come before `bytes_max` bytes have.
///
/// # Errors
/// Where it does not, or cannot be read.
pub fn read_bounded(from: impl io::Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Puts a file with these bytes into the place of the one that is there, if any, so that a crash leaves one of the two.
///
/// # Errors
/// Where it cannot be written. The old one is then still there.
pub fn replace(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    // Nobody can have put something there beforehand: nobody knows the name, and it must be free.
    let fresh = beside(path, &format!(".{:016x}{FRESH}", random()?));
    let written = write_new(&fresh, bytes, sync).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written?;
    match sync {
        Sync::Disk => sync_directory(parent(path)),
        Sync::Later => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(bytes)?;
    match sync {
        Sync::Disk => file.sync_all(),
        Sync::Later => Ok(()),
    }
}

/// Makes an empty file, which must not be there.
///
/// # Errors
/// Where something is there, or it cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create_new(true)).open(path)
}

/// Opens a file of data for reading.
///
/// # Errors
/// Where it is not there, or is somebody else's.
pub fn open(path: &Path) -> io::Result<File> {
    open_checked(OpenOptions::new().read(true), path, Holds::Data)
}

/// Opens a file that only grows, made where it is missing.
///
/// # Errors
/// Where it cannot be opened, or is somebody else's.
pub fn open_append(path: &Path) -> io::Result<File> {
    open_checked(private(OpenOptions::new().append(true).create(true)), path, Holds::Data)
}

/// Removes what a crash has left of [`replace`]. For whoever has this file to itself.
pub fn sweep(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let is_left = |left: &str| {
        left.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(FRESH))
    };
    for entry in fs::read_dir(parent(path)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_left) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens a file to be locked, made where it is missing. Nothing of it is cut off.
///
/// # Errors
/// Where it cannot be opened, or is somebody else's.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    open_checked(private(options.create(true).truncate(false).read(true).write(true)), path, Holds::Data)
}

/// Makes a directory for its owner alone, and those above it, where there are none.
///
/// # Errors
/// Where it cannot be made.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    sync_directory(parent(path))
}

/// What was made, renamed or removed in a directory survives a power cut from here on.
///
/// # Errors
/// Where the disk fails.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    // Elsewhere than on Unix a directory is no file, and the system sees to it.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn random() -> io::Result<u64> {
    getrandom::u64().map_err(|error| io::Error::other(error.to_string()))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn set_flags(options: &mut OpenOptions, flags: rustix::fs::OFlags) {
    let flags = i32::try_from(flags.bits()).expect("flags of open(2) are an int");
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
}

/// Opens what is no link, and looks whose it is.
fn open_checked(options: &mut OpenOptions, path: &Path, holds: Holds) -> io::Result<File> {
    // Nor does a pipe that somebody has put there hold anybody up.
    #[cfg(unix)]
    set_flags(options, rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK);
    match options.open(path) {
        Ok(file) => trust::check_open(path, &file, holds).map(|()| file),
        // A link is told as one, whatever this system calls it.
        Err(error) => Err(check(path, holds).err().unwrap_or(error)),
    }
}
