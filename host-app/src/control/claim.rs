use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use plugbay_loader::printable;

use super::place::Place;
use crate::exit::{Exit, Failure};

/// The right to serve a socket, held until it is dropped: no other host can
/// have it, whatever became of the one before.
#[derive(Debug)]
pub struct Claim {
    listener: UnixListener,
    place: Place,
    /// Where the socket is now: under a name of its own, until it is published.
    bound: PathBuf,
    /// By which it is known again.
    identity: (u64, u64),
    _lock: File,
}

impl Claim {
    /// Locks the place and binds a socket beside it, for this user only. Clients
    /// find it after [`publish`](Self::publish).
    pub fn take(place: &Place) -> Result<Self, Failure> {
        // Or it would be bound under its short name, and nobody could reach it.
        SocketAddr::from_pathname(place.path())
            .map_err(|error| cannot_make(place.path(), &error))?;
        place.prepare()?;
        let lock = lock(place)?;
        see_that_nothing_is_lost(place.path())?;
        let bound = place.folder().join(format!(".plugbay-{}", std::process::id()));
        // Left by a host of the same process id, which is gone: the lock says so.
        let _ = fs::remove_file(&bound);
        let failed = |error: io::Error| cannot_make(place.path(), &error);
        let listener = UnixListener::bind(&bound).map_err(failed)?;
        let metadata = fs::symlink_metadata(&bound).map_err(failed)?;
        let identity = (metadata.dev(), metadata.ino());
        let claim = Self { listener, place: place.clone(), bound, identity, _lock: lock };
        fs::set_permissions(&claim.bound, Permissions::from_mode(0o600)).map_err(failed)?;
        claim.listener.set_nonblocking(true).map_err(failed)?;
        Ok(claim)
    }

    /// Lets clients find the socket, in place of a stale one.
    pub fn publish(&mut self) -> Result<(), Failure> {
        let path = self.place.path();
        fs::rename(&self.bound, path).map_err(|error| cannot_make(path, &error))?;
        self.bound = path.to_owned();
        Ok(())
    }

    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Somebody may have put another file there by hand.
        let is_ours = fs::symlink_metadata(&self.bound)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.bound) {
            log::warn!("the socket {} stays behind: {error}", printable(&self.bound));
        }
    }
}

fn lock(place: &Place) -> Result<File, Failure> {
    let path = place.lock();
    let failed = |error: io::Error| cannot_make(&path, &error);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // In a shared folder somebody may have laid a link there.
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(place.path(), pid_in(&mut lock))),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(lock)
}

fn pid_in(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Only a socket that nobody listens on is replaced.
fn see_that_nothing_is_lost(path: &Path) -> Result<(), Failure> {
    let other = |what| {
        let message = format!("{} is there already, {what}", printable(path));
        Failure::new("PB1007", Exit::Failed, message, "name another path with --socket")
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(other("and is no socket")),
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Err(other("and another program listens on it"))
        }
        // Gone, stale, or not to be looked at: the rename will tell.
        _ => Ok(()),
    }
}

fn in_use(path: &Path, pid: Option<u32>) -> Failure {
    let path = printable(path);
    let (who, end) = match pid {
        Some(pid) => (format!(" (process {pid})"), format!("kill {pid}")),
        None => (String::new(), "send it SIGTERM".to_owned()),
    };
    Failure::new(
        "PB1006",
        Exit::Failed,
        format!("another host{who} serves on {path}"),
        format!(
            "reach it: host-app list --socket '{path}'; end it: {end}; or run a second one on \
             another --socket"
        ),
    )
}

fn cannot_make(path: &Path, error: &io::Error) -> Failure {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "make its folder first, or name another path with --socket",
        io::ErrorKind::PermissionDenied => {
            "name a path in a folder that you may write to with --socket"
        }
        io::ErrorKind::InvalidInput => "name a shorter path with --socket",
        _ => "name another path with --socket",
    };
    Failure::io("PB1005", format!("the socket {} cannot be made", printable(path)), error, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Own(folder.path().join("plugbay/host.sock"));
        (folder, place)
    }

    #[test]
    fn one_place_has_one_host() {
        let (_folder, place) = place();
        let claim = Claim::take(&place).unwrap();
        let failure = Claim::take(&place).unwrap_err();
        assert_eq!(failure.code, "PB1006");
        assert!(failure.message.contains(&std::process::id().to_string()));
        drop(claim);
        Claim::take(&place).unwrap();
    }

    #[test]
    fn the_socket_is_there_from_publish_to_drop_for_its_user_only() {
        let (_folder, place) = place();
        let mut claim = Claim::take(&place).unwrap();
        assert!(!place.path().exists());
        claim.publish().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(place.path()), mode(place.folder())), (0o600, 0o700));
        drop(claim);
        assert!(!place.path().exists());
    }

    #[test]
    fn what_is_no_stale_socket_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        let place = Place::Named(path.clone());
        fs::write(&path, "notes").unwrap();
        assert_eq!(Claim::take(&place).unwrap_err().code, "PB1007");
        assert_eq!(fs::read(&path).unwrap(), b"notes");

        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        assert_eq!(Claim::take(&place).unwrap_err().code, "PB1007");
        drop(other);
        Claim::take(&place).unwrap().publish().unwrap();
    }

    #[test]
    fn a_path_that_nobody_could_connect_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Named(folder.path().join("x".repeat(120)));
        assert_eq!(Claim::take(&place).unwrap_err().code, "PB1005");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let (_folder, place) = place();
        fs::create_dir(place.folder()).unwrap();
        fs::set_permissions(place.folder(), Permissions::from_mode(0o755)).unwrap();
        let failure = Claim::take(&place).unwrap_err();
        assert_eq!(failure.code, "PB1004");
        assert!(failure.message.contains("0755"), "{}", failure.message);
    }
}
