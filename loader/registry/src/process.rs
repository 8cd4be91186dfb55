use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::RegistryError;

/// A process that can be told from every other one of this machine: numbers come back,
/// but not with the same start, and starts come back, but not in the same boot.
///
/// Hosts that share a registry must see each other's processes: one that runs in another
/// container, or on another machine, looks as if it were gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostProcess {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since the boot (field 22 of
    /// `/proc/PID/stat`, `proc_pid_stat(5)`).
    pub started: u64,
    /// In which boot of the machine (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
}

impl HostProcess {
    /// The calling process. Reads two files of `/proc`.
    ///
    /// # Errors
    ///
    /// PB1612 where there is no `/proc`.
    pub fn current() -> Result<Self, RegistryError> {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    ///
    /// # Errors
    ///
    /// PB1612 where there is none, or no `/proc`.
    pub fn of(pid: u32) -> Result<Self, RegistryError> {
        let unknown = |source| RegistryError::Process { pid, source };
        let boot = boot().map_err(unknown)?;
        let started = started(pid).map_err(unknown)?.ok_or_else(|| {
            unknown(io::Error::new(io::ErrorKind::NotFound, "it has ended, or was never there"))
        })?;
        Ok(Self { pid, started, boot })
    }

    /// Whether it has ended. Where `/proc` does not say, it is taken to run: what it does
    /// is then not held against a plugin.
    pub fn is_gone(&self) -> bool {
        match boot() {
            Ok(boot) if boot != self.boot => true,
            Ok(_) => started(self.pid).is_ok_and(|started| started != Some(self.started)),
            Err(_) => false,
        }
    }

    /// Whether it has ended since the machine was booted, and not with it.
    pub(crate) fn is_gone_since_the_boot(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot) && self.is_gone()
    }
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// When a process was started; none where there is none, or where it is dead and only
/// waits for its parent to hear of it.
fn started(pid: u32) -> io::Result<Option<u64>> {
    let stat = match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        // It ended while this was read.
        Err(error) if error.raw_os_error() == Some(nix::Error::ESRCH as i32) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Not because nothing is there at all.
            fs::metadata("/proc/self/stat")?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    start_in(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// From the content of a `stat`; `Some(None)` for a process that is dead.
#[expect(clippy::option_option)] // not readable, or read
fn start_in(stat: &[u8]) -> Option<Option<u64>> {
    let stat = String::from_utf8_lossy(stat);
    // The name stands in parentheses and may contain some. From behind it on, the state
    // is field 0 and the start is field 19.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(Some(started).filter(|_| !matches!(state, "Z" | "X" | "x")))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_there_until_it_is_killed() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let known = HostProcess::of(child.id()).unwrap();
        assert!(!known.is_gone() && !HostProcess::current().unwrap().is_gone());
        child.kill().unwrap();
        // Dead, and not waited for: the number is still taken.
        let mut zombie = false;
        for _ in 0..1_000_000 {
            let stat = fs::read_to_string(format!("/proc/{}/stat", known.pid)).unwrap();
            zombie = stat.contains(") Z ");
            if zombie {
                break;
            }
            std::thread::yield_now();
        }
        assert!(zombie && known.is_gone());
        child.wait().unwrap();
        assert!(known.is_gone());
    }

    #[test]
    fn another_start_or_boot_is_another_process() {
        let own = HostProcess::current().unwrap();
        assert!(HostProcess { started: own.started + 1, ..own.clone() }.is_gone());
        let before = HostProcess { boot: "another".into(), ..own };
        assert!(before.is_gone() && !before.is_gone_since_the_boot());
    }

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(start_in(format!("5 (a) Z 1 2) {rest}").as_bytes()), Some(Some(777)));
        assert_eq!(start_in(format!("5 (a) Z{}", &rest[1..]).as_bytes()), Some(None));
        assert_eq!(start_in(b"5 (a) S 1"), None);
        assert_eq!(start_in(b""), None);
    }
}
