//! Reads pieces of a file that somebody else may have made to do harm: no piece
//! is larger than the caller's limit or than the file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use object::pod::{self, Pod};

use crate::verify::ImageError;

/// A file's content: all of it, or as much as is asked for.
#[derive(Clone, Copy)]
pub(super) enum Reader<'data> {
    /// Bytes that nobody changes any more.
    Memory(&'data [u8]),
    /// A file, with the length that it had.
    File(&'data File, u64),
}

impl<'data> Reader<'data> {
    pub(super) fn of(file: &'data File) -> Result<Self, ImageError> {
        Ok(Self::File(file, file.metadata().map_err(unreadable)?.len()))
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// `length` bytes. From a file they cost as much memory, so it is the caller
    /// who limits the length.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Cow<'data, [u8]>, ImageError> {
        let end = offset.saturating_add(length);
        let short = || ImageError::Truncated { expected: end, found: self.length() };
        if end > self.length() {
            return Err(short());
        }
        match *self {
            Self::Memory(bytes) => {
                // A slice that is long enough has no offset beyond `usize`.
                bytes.get(offset as usize..end as usize).map(Cow::Borrowed).ok_or_else(short)
            }
            Self::File(mut file, _) => {
                let mut bytes = vec![0; usize::try_from(length).map_err(|_| short())?];
                file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
                file.read_exact(&mut bytes).map_err(unreadable)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// As many bytes from the start as there are, at most `most`.
    pub(super) fn start(&self, most: u64) -> Result<Cow<'data, [u8]>, ImageError> {
        self.read(0, self.length().min(most))
    }
}

/// The entries of a table that was read, as far as they are whole.
pub(super) fn entries<T: Pod>(bytes: &[u8]) -> impl Iterator<Item = &T> {
    bytes
        .chunks_exact(size_of::<T>())
        .filter_map(|entry| pod::from_bytes::<T>(entry).ok().map(|(entry, _)| entry))
}

fn unreadable(error: io::Error) -> ImageError {
    ImageError::Damaged { reason: format!("it cannot be read: {error}") }
}
