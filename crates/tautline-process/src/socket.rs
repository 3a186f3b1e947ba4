//! Sockets that a program listens on, and how many it may have open.

use std::{
    fs::{self, DirBuilder},
    hash::{BuildHasher as _, RandomState},
    io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// Connections that may wait to be accepted: everybody comes back at once after a restart. The kernel may cut it
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Names that are tried for a folder; one is free unless somebody takes them all.
const FOLDER_TRIES: u32 = 8;

/// Reads an address to listen on.
///
/// # Errors
/// In words, with what would be valid.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no address: write IP:port, like 127.0.0.1:8000 or [::]:8000 (port 0 takes any free one)")
    })
}

/// Listens on an address; `[::]` takes IPv4 as well, whatever this machine's default is.
///
/// # Errors
/// When the address is taken or not of this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server takes its port back although connections of the last one still linger.
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        SockRef::from(&socket).set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The file of a Unix socket that listens. Removed when dropped, unless another one has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

/// Listens on a Unix socket whose file has these rights. A socket that a crash has left is replaced; one that
/// somebody listens on, and what is no socket, is not.
///
/// # Errors
/// Where the path is taken or cannot be written.
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the path is taken, and not by a socket",
            ));
        }
        Ok(_) if has_listener(path)? => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = new_folder(path.parent().unwrap_or(Path::new("")))?;
    let fresh = folder.join("s");
    let remove = || drop((fs::remove_file(&fresh), fs::remove_dir(&folder)));
    let placed = UnixListener::bind(&fresh).and_then(|listener| {
        fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
        let found = fs::metadata(&fresh)?;
        fs::rename(&fresh, path)?;
        Ok((listener, SocketFile { path: path.to_owned(), inode: (found.dev(), found.ino()) }))
    });
    remove();
    placed
}

/// A folder that only its owner enters until the rights of the socket are set: at no moment can others connect. Its name
/// is taken by nobody: process ids are the same in many containers, which may share the folder around it.
fn new_folder(parent: &Path) -> io::Result<PathBuf> {
    for _ in 0..FOLDER_TRIES {
        // Keyed at random, by the system.
        let name = RandomState::new().hash_one(std::process::id());
        let folder = parent.join(format!(".{name:016x}"));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|()| folder),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no name is free for a folder beside the socket"))
}

/// Whether somebody listens on a socket. Never waits: a listener whose queue is full is one.
fn has_listener(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Raises the soft limit of open files to the hard one. One descriptor a connection: the usual soft limit of 1,024 is there
/// for programs that use `select`, and we do not.
///
/// # Errors
/// When the system does not allow it; the error names the limit that stays.
pub fn raise_open_files_limit() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|error| format!("cannot raise the limit of open files from {:?}: {error}", limit.current))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tautline-{name}-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[tokio::test]
    async fn stale_socket_is_replaced_and_removed_at_the_end() {
        let path = path("stale");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a crash leaves the file");
        let (listener, file) = bind_unix(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let _client = UnixStream::connect(&path).unwrap();
        listener.accept().await.unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn listener_with_a_full_queue_is_left_alone_at_once() {
        let path = path("full");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let fill = || {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            client.connect(&SockAddr::unix(&path).unwrap()).map(|()| client)
        };
        let _queued: Vec<_> = std::iter::from_fn(|| fill().ok()).collect();
        assert_eq!(bind_unix(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn nothing_is_left_beside_the_socket() {
        let folder = std::env::temp_dir().join(format!("tautline-beside-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let names = || {
            let entries = fs::read_dir(&folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let (_listener, file) = bind_unix(&folder.join("t.sock"), 0o666).unwrap();
        assert_eq!(names(), ["t.sock"]);
        drop(file);
        assert_eq!(names(), [""; 0]);
        // A name that is taken by a folder cannot be replaced, and leaves nothing either.
        fs::create_dir(folder.join("t.sock")).unwrap();
        assert!(bind_unix(&folder.join("t.sock"), 0o600).is_err());
        assert!(bind_unix(&folder.join("absent/t.sock"), 0o600).is_err());
        assert_eq!(names(), ["t.sock"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn folder_of_another_container_is_left_alone() {
        let around = std::env::temp_dir().join(format!("tautline-around-{}", std::process::id()));
        fs::create_dir_all(&around).unwrap();
        // Its process has the same id, and is binding its own socket at this moment.
        let other = around.join(format!(".{}", std::process::id()));
        fs::create_dir(&other).unwrap();
        let theirs = std::os::unix::net::UnixListener::bind(other.join("s")).unwrap();
        let (_listener, file) = bind_unix(&around.join("t.sock"), 0o600).unwrap();
        assert!(other.join("s").exists(), "the other one can go on");
        drop((file, theirs));
        fs::remove_dir_all(&around).unwrap();
    }

    #[test]
    fn folders_beside_one_socket_have_names_of_their_own() {
        let around = std::env::temp_dir().join(format!("tautline-names-{}", std::process::id()));
        fs::create_dir_all(&around).unwrap();
        let folders: std::collections::HashSet<_> = (0..50).map(|_| new_folder(&around).unwrap()).collect();
        assert_eq!(folders.len(), 50);
        let rights = |folder: &PathBuf| fs::metadata(folder).unwrap().mode() & 0o777;
        assert!(folders.iter().all(|folder| rights(folder) == 0o700));
        fs::remove_dir_all(&around).unwrap();
    }

    #[tokio::test]
    async fn socket_in_use_or_other_file_is_left_alone() {
        let path = path("used");
        let (_listener, file) = bind_unix(&path, 0o660).unwrap();
        assert_eq!(bind_unix(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert_eq!(bind_unix(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine", "the file of another one stays");
        fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn unspecified_ipv6_address_takes_ipv4() {
        let Ok(listener) = bind("[::]:0".parse().unwrap()) else { return };
        let port = listener.local_addr().unwrap().port();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
}
