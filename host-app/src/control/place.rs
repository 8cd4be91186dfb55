use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use plugbay_loader::printable;

use crate::exit::{Exit, Failure};

/// Where the socket lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder of Plugbay's own, which nobody else may enter.
    Own(PathBuf),
    /// Where the user wants it, in a folder that is the user's business.
    Named(PathBuf),
}

impl Place {
    /// `$XDG_RUNTIME_DIR/plugbay/host.sock`; where there is no such folder,
    /// `/tmp/plugbay-UID/host.sock`.
    pub fn own() -> Self {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let folder = match runtime.filter(|dir| dir.is_absolute() && dir.is_dir()) {
            Some(dir) => dir.join("plugbay"),
            None => PathBuf::from(format!("/tmp/plugbay-{}", geteuid())),
        };
        Self::Own(folder.join("host.sock"))
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Named(path) => path,
        }
    }

    pub fn folder(&self) -> &Path {
        self.path().parent().unwrap_or(Path::new("/"))
    }

    /// The lock that its host holds. It stays when the host ends: to remove it
    /// would take it from under a host that is just starting.
    pub fn lock(&self) -> PathBuf {
        let mut name = self.path().as_os_str().to_owned();
        name.push(".lock");
        name.into()
    }

    /// Makes the folder where it is Plugbay's own, and sees that nobody else can
    /// have put anything into it.
    pub fn prepare(&self) -> Result<(), Failure> {
        let Self::Own(_) = self else { return Ok(()) };
        let folder = self.folder();
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                let message = format!("the folder {} cannot be made", printable(folder));
                let help = "set XDG_RUNTIME_DIR to a folder of yours, or use --socket";
                return Err(Failure::io("PB1004", message, &error, help));
            }
            _ => {}
        }
        // Of the folder itself: a link might lead anywhere.
        let metadata = fs::symlink_metadata(folder).map_err(|error| {
            let message = format!("the folder {} cannot be looked at", printable(folder));
            Failure::io("PB1004", message, &error, "use --socket")
        })?;
        let refuse = |exit, what: String, help: String| {
            let message = format!("the folder {} is not safe: {what}", printable(folder));
            Err(Failure::new("PB1004", exit, message, help))
        };
        let elsewhere = "set XDG_RUNTIME_DIR to a folder of yours, or use --socket".to_owned();
        if !metadata.is_dir() {
            return refuse(Exit::Failed, "it is no folder".into(), elsewhere);
        }
        if metadata.uid() != geteuid().as_raw() {
            let owner = metadata.uid();
            return refuse(Exit::NotPermitted, format!("it belongs to user {owner}"), elsewhere);
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            let help = format!("close it: chmod 700 '{}'", printable(folder));
            return refuse(Exit::Failed, format!("others may enter it (mode {mode:04o})"), help);
        }
        Ok(())
    }
}
