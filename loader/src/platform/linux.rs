mod barrier;
mod child;
mod writers;

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::mem::ManuallyDrop;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libloading::os::unix as dl;
use nix::libc;

pub(crate) use barrier::{has_membarrier, heavy_barrier, thread_id, thread_name};
pub(crate) use child::{Child, ChildEnd, Served, be_a_worker, signal_name};
pub(crate) use writers::{Writers, block_signals, writers_of};

/// The extension of a library's file name.
pub(crate) const LIBRARY_EXTENSION: &str = "so";

/// Opens a file for reading without waiting: not for the writer of a FIFO, not
/// for a device. The caller looks at what was opened.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// A path, as the operating system has it.
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Whether nothing was written to a file between two looks at it.
pub(crate) fn is_unchanged(before: &Metadata, after: &Metadata) -> bool {
    let times = |one: &Metadata| (one.mtime(), one.mtime_nsec(), one.len());
    times(before) == times(after)
}

/// What a file is that is not a regular one.
pub(crate) fn kind_of(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "no regular file"
    }
}

/// The permission bits, if every user of the machine may write.
pub(crate) fn writable_by_everyone(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.mode() & 0o7777;
    (mode & 0o002 != 0).then_some(mode)
}

/// Whether only a file's owner may replace it in this folder.
pub(crate) fn is_sticky(metadata: &Metadata) -> bool {
    metadata.mode() & 0o1000 != 0
}

/// The owner of a file, if that is neither this user nor root.
pub(crate) fn foreign_owner(metadata: &Metadata) -> Option<u32> {
    let owner = metadata.uid();
    (owner != 0 && owner != nix::unistd::geteuid().as_raw()).then_some(owner)
}

/// Whether a file is this user's, and can be reached under one name alone: what is written
/// to another name would be written to it.
pub(crate) fn is_ours_alone(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.nlink() == 1 && metadata.uid() == nix::unistd::geteuid().as_raw()
}

/// Lets only this user, whose folder it must be, enter it and write to it.
pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    let metadata = dir.symlink_metadata()?;
    if !metadata.is_dir() || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

/// Opens a file for reading where it is one, waits for nobody, and follows no link.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Makes a folder, and those above it, that only this user may enter. One that
/// is there already must be this user's, and nobody else's to write to.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = path.metadata()?;
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        let message = format!("it belongs to another user (uid {})", metadata.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o7777;
        let message = format!("others may write to it (mode {mode:04o})");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

/// Opens a file to lock, and makes it if it is not there. Follows no link and
/// changes nothing.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Whether a symbolic link leads in a circle.
pub(crate) fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// The bytes of a file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Bytes(memmap2::Mmap);

impl Bytes {
    /// Maps a whole file.
    ///
    /// # Safety
    ///
    /// Nobody changes the file or cuts it off while the value lives.
    pub(crate) unsafe fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { memmap2::MmapOptions::new().populate().map(file) }.map(Self)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A library that is mapped into this process. It stays mapped when this value
/// is dropped; only [`close`](Library::close) gives it back.
#[derive(Debug)]
pub(crate) struct Library {
    /// Not dropped by itself: that would close it.
    handle: ManuallyDrop<dl::Library>,
}

impl Library {
    /// Maps a library and runs its constructors. Blocks for as long as they do.
    ///
    /// # Safety
    ///
    /// Constructors are arbitrary code: the file was verified, and survived the
    /// same in a child process wherever one could be had. Nobody writes to the
    /// file: it lies in a private folder.
    pub(crate) unsafe fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: the caller's promise.
        unsafe { dl::Library::open(Some(path), dl::RTLD_NOW | dl::RTLD_LOCAL) }
            .map(|handle| Self { handle: ManuallyDrop::new(handle) })
            .map_err(|error| innermost(&error))
    }

    /// The address of an exported symbol.
    pub(crate) fn address_of(&self, symbol: &str) -> Option<*const c_void> {
        // SAFETY: the symbol is only asked for its address, and any type that
        // is a pointer holds that.
        let symbol = unsafe { self.handle.get::<*const c_void>(symbol.as_bytes()) }.ok()?;
        Some(symbol.into_raw().cast_const())
    }

    /// Gives the library back. Whether it is unmapped then is to be looked at.
    ///
    /// # Safety
    ///
    /// No code or data of it is used from now on by any thread.
    pub(crate) unsafe fn close(self) -> Result<(), String> {
        ManuallyDrop::into_inner(self.handle).close().map_err(|error| innermost(&error))
    }
}

/// Lets the linker look again at a library that was closed and is still mapped:
/// it gives back what nobody uses any more only when something is closed.
pub(crate) fn look_again(path: &Path) {
    /// `RTLD_NOLOAD`: only if it is there already.
    const ONLY_IF_THERE: c_int = libc::RTLD_NOLOAD;
    // SAFETY: nothing is loaded, so no constructor runs; what is closed again
    // is only what was counted here.
    if let Ok(library) = unsafe { dl::Library::open(Some(path), dl::RTLD_NOW | ONLY_IF_THERE) } {
        let _ = library.close();
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

/// Where parts of the file at `path` are mapped into this process; none: it is
/// not. The path is free of links, as the kernel shows it so.
pub(crate) fn mapped_ranges(path: &Path) -> io::Result<Vec<Range<u64>>> {
    let maps = std::fs::read("/proc/self/maps")?;
    // The one character that the kernel escapes there.
    let wanted = path.as_os_str().as_encoded_bytes().to_vec();
    let wanted = String::from_utf8_lossy(&wanted).replace('\n', "\\012");
    let ranges = maps.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let file = line.strip_suffix(" (deleted)").unwrap_or(&line);
        file.strip_suffix(&wanted).filter(|before| before.ends_with(' '))?;
        let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
        Some(u64::from_str_radix(begin, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
    });
    Ok(ranges.collect())
}

/// Gives a mapping back.
///
/// # Safety
///
/// Nobody uses what is mapped there.
pub(crate) unsafe fn unmap(range: Range<u64>) {
    let length = range.end.saturating_sub(range.start) as usize;
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(range.start as usize as *mut c_void, length) };
}

/// What the system tells two files apart by: device and inode.
pub(crate) fn identity_of(descriptor: c_int) -> Option<(u64, u64)> {
    // SAFETY: plain numbers, for which all zeros is a value.
    let mut found: libc::stat64 = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place; a wrong descriptor is an error.
    let known = unsafe { libc::fstat64(descriptor, &raw mut found) } == 0;
    known.then_some((found.st_dev, found.st_ino))
}

/// The library that an address lies in: where it begins in memory, and the file
/// that it is mapped from.
pub(crate) fn library_of(address: u64) -> Option<(u64, PathBuf)> {
    // SAFETY: plain numbers and pointers, for which all zeros is a value.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; `found` is a valid place.
    let known = unsafe { libc::dladdr(address as usize as *const c_void, &raw mut found) };
    if known == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the linker's own text, which lives as long as the library is
    // mapped; the library is one that the caller holds a lease on.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    Some((found.dli_fbase as usize as u64, path))
}

/// Writes all to a socket, without a signal when nobody reads any more.
pub(crate) fn send_all(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    use nix::sys::socket::{MsgFlags, send};
    while !bytes.is_empty() {
        match send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes the lock on a file without waiting; `false` when another process has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Keeps signals of the terminal from a process that is to be started.
pub(crate) fn in_a_group_of_its_own(command: &mut std::process::Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// The time since some moment, in steps of a few milliseconds: a seventh of what the
/// exact one costs.
pub(crate) fn rough_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_MONOTONIC_COARSE;
    nix::time::clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
