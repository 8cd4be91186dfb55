//! `registry.json.journal`: what happened, a line for each step, the last one last.
//!
//! A step is there when its line has an end. What stands behind the last end of a line
//! was being written when its host was killed, or when the disk was full: nobody was
//! told that it is there, and the next host cuts it off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Content, FileRegistry, VERSION, version_of};
use crate::error::io_error;
use crate::past::{Past, Step};
use crate::place::{Identity, Place};
use crate::record::Later;
use crate::{Limits, RegistryError, durable, room};

/// How many lines more than needed there may be, besides as many as are needed.
const SPARE: usize = 1024;
/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 30;

/// The file, as far as it was read.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Open for reading and for writing at the end. While it is, no other file gets its
    /// number.
    file: File,
    identity: Identity,
    /// How many bytes were read, to the end of a line.
    read: u64,
    lines: usize,
    past: Past,
    /// Lines that a later version wrote.
    later: Vec<Vec<u8>>,
    limits: Limits,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u64,
    /// So that numbers are not given twice when their attempts are no more in the file.
    next_attempt: u64,
}

impl Journal {
    /// Where it is.
    pub(super) fn path(place: &Place) -> PathBuf {
        place.beside(FileRegistry::JOURNAL)
    }

    /// Reads the file.
    pub(super) fn read(place: &Place, limits: &Limits) -> Result<Content<Self>, RegistryError> {
        let path = Self::path(place);
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Missing),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let metadata = file.metadata().map_err(io_error("read", &path))?;
        if !metadata.is_file() {
            return Err(RegistryError::NotAFile { path });
        }
        let mut journal = Self {
            identity: Identity::of(&metadata),
            file,
            read: 0,
            lines: 0,
            past: Past::new(limits, 1),
            later: Vec::new(),
            limits: limits.clone(),
            path,
        };
        match journal.read_on()? {
            Ok(()) if journal.read == 0 => Ok(Content::Damaged("it has no first line".into())),
            Ok(()) => Ok(Content::Whole(journal)),
            Err(what) => Ok(Content::Damaged(what)),
        }
    }

    /// Writes a file that holds this, in place of the one there is.
    pub(super) fn write(
        place: &Place,
        past: Past,
        later: Vec<Vec<u8>>,
        limits: &Limits,
    ) -> Result<Self, RegistryError> {
        let path = Self::path(place);
        let mut text = Vec::new();
        let mut lines = 1;
        let header = Header { version: VERSION, next_attempt: past.next_attempt() };
        write_line(&mut text, &header, &path)?;
        for line in &later {
            text.extend_from_slice(line);
            text.push(b'\n');
            lines += 1;
        }
        for step in past.steps() {
            write_line(&mut text, &step, &path)?;
            lines += 1;
        }
        let written = durable::write(place, &path, &text)?;
        let metadata = written.metadata().map_err(io_error("write", &path))?;
        let file = OpenOptions::new().read(true).append(true).open(&path);
        let file = file.map_err(io_error("write", &path))?;
        let (identity, read) = (Identity::of(&metadata), metadata.len());
        Ok(Self { file, identity, read, lines, past, later, limits: limits.clone(), path })
    }

    /// Reads what other hosts wrote since. False where they replaced the file.
    pub(super) fn catch_up(&mut self) -> Result<Result<bool, String>, RegistryError> {
        let there = Identity::at(&self.path).map_err(io_error("read", &self.path))?;
        if there != Some(self.identity) || self.length()? < self.read {
            return Ok(Ok(false));
        }
        Ok(self.read_on()?.map(|()| true))
    }

    /// What happened, so far as it was read.
    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// Adds a step. With `wait`, it is on the disk when this returns.
    pub(super) fn append(
        &mut self,
        place: &Place,
        step: Step,
        wait: bool,
    ) -> Result<(), RegistryError> {
        let failed = || io_error("write", &self.path);
        let mut line = Vec::new();
        write_line(&mut line, &step, &self.path)?;
        if self.length()? > self.read {
            self.file.set_len(self.read).map_err(failed())?;
        }
        let later = match &step {
            Step::Begun(attempts) => Some(room::of(attempts.len())),
            Step::Events(_) => Some(0),
            Step::Over(_) | Step::Crashed(_) => None,
        };
        if let Some(later) = later {
            room::keep(&self.path, &self.file, line.len() + later)?;
        }
        if let Err(error) = self.file.write_all(&line) {
            // What is not whole is cut off here, or by who writes next.
            let _ = self.file.set_len(self.read);
            return Err(failed()(error));
        }
        self.read += line.len() as u64;
        self.lines += 1;
        self.past.apply(step);
        if wait {
            self.file.sync_data().map_err(io_error("write", &self.path))?;
        }
        if self.lines > 2 * self.past.size() + self.later.len() + SPARE {
            self.shorten(place);
        }
        Ok(())
    }

    /// Writes the file anew without what is not needed any more. The step that led to this
    /// is kept already: where there is no room, the file stays as it is.
    fn shorten(&mut self, place: &Place) {
        match Self::write(place, self.past.clone(), self.later.clone(), &self.limits) {
            Ok(journal) => *self = journal,
            Err(error) => log::debug!("the journal stays long: {error}"),
        }
    }

    fn length(&self) -> Result<u64, RegistryError> {
        Ok(self.file.metadata().map_err(io_error("read", &self.path))?.len())
    }

    /// Reads from where it was read to, up to the last end of a line; or what does not fit.
    fn read_on(&mut self) -> Result<Result<(), String>, RegistryError> {
        let length = self.length()?;
        if length > LONGEST {
            return Ok(Err(format!("{length} bytes are too many")));
        }
        let missing = usize::try_from(length.saturating_sub(self.read)).unwrap_or(usize::MAX);
        let mut text = vec![0; missing];
        let got = self.file.read_exact_at(&mut text, self.read);
        got.map_err(io_error("read", &self.path))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        text.truncate(whole);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Err(what) = self.read_line(line.trim_ascii_end())? {
                return Ok(Err(format!("line {}: {what}", self.lines + 1)));
            }
            self.read += line.len() as u64;
            self.lines += 1;
        }
        Ok(Ok(()))
    }

    fn read_line(&mut self, line: &[u8]) -> Result<Result<(), String>, RegistryError> {
        if self.lines == 0 {
            return self.read_header(line);
        }
        match serde_json::from_slice(line) {
            Ok(step) => self.past.apply(step),
            Err(_) if is_of_later_version(line) => self.later.push(line.to_owned()),
            Err(error) => return Ok(Err(error.to_string())),
        }
        Ok(Ok(()))
    }

    fn read_header(&mut self, line: &[u8]) -> Result<Result<(), String>, RegistryError> {
        if let Err(what) = version_of(&self.path, line)? {
            return Ok(Err(what));
        }
        Ok(match serde_json::from_slice::<Header>(line) {
            Ok(header) => {
                self.past = Past::new(&self.limits, header.next_attempt);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        })
    }
}

/// Whether a line is a step of a kind that is not known here.
fn is_of_later_version(line: &[u8]) -> bool {
    let known = ["events", "begun", "over", "crashed"];
    serde_json::from_slice::<Later>(line)
        .is_ok_and(|fields| !known.into_iter().any(|step| fields.contains_key(step)))
}

fn write_line(text: &mut Vec<u8>, line: &impl Serialize, path: &Path) -> Result<(), RegistryError> {
    let written = serde_json::to_writer(&mut *text, line).map_err(io::Error::from);
    written.map_err(io_error("write", path))?;
    text.push(b'\n');
    Ok(())
}
