use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::LONGEST_LINE;

/// Why no line came.
#[derive(Debug)]
pub enum LineError {
    /// It is longer than any line may be.
    TooLong,
    Io(io::Error),
}

impl From<io::Error> for LineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The next line without its end; `None` when the other side is done. With a
/// time, that is what the whole line may take.
pub fn read(
    from: &mut BufReader<UnixStream>,
    time: Option<Duration>,
) -> Result<Option<Vec<u8>>, LineError> {
    let until = time.map(|time| Instant::now() + time);
    let mut line = Vec::new();
    loop {
        if let Some(until) = until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            from.get_ref().set_read_timeout(Some(left))?;
        }
        let available = match from.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if available.is_empty() {
            return match line.is_empty() {
                true => Ok(None),
                false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            };
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        line.extend_from_slice(taken);
        let used = taken.len() + usize::from(end.is_some());
        from.consume(used);
        if line.len() > LONGEST_LINE {
            return Err(LineError::TooLong);
        }
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// Writes a line, which has no line end in it.
pub fn write(mut to: &UnixStream, mut line: String) -> Result<(), LineError> {
    if line.len() > LONGEST_LINE {
        return Err(LineError::TooLong);
    }
    line.push('\n');
    Ok(to.write_all(line.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixStream, BufReader<UnixStream>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ours, BufReader::new(theirs))
    }

    #[test]
    fn lines_come_one_by_one_and_then_the_end() {
        let (to, mut from) = pair();
        write(&to, "{}".into()).unwrap();
        write(&to, "".into()).unwrap();
        drop(to);
        assert_eq!(read(&mut from, None).unwrap(), Some(b"{}".to_vec()));
        assert_eq!(read(&mut from, None).unwrap(), Some(Vec::new()));
        assert_eq!(read(&mut from, None).unwrap(), None);
    }

    #[test]
    fn a_line_that_breaks_off_is_an_error() {
        let (mut to, mut from) = pair();
        to.write_all(b"{").unwrap();
        drop(to);
        assert!(matches!(read(&mut from, None), Err(LineError::Io(_))));
    }

    #[test]
    fn who_stays_silent_is_not_waited_for() {
        let (mut to, mut from) = pair();
        to.write_all(b"{").unwrap();
        let Err(LineError::Io(error)) = read(&mut from, Some(Duration::from_millis(20))) else {
            panic!()
        };
        let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        assert!(kinds.contains(&error.kind()), "{error}");
    }

    #[test]
    fn a_line_without_end_is_not_collected_for_ever() {
        let (mut to, mut from) = pair();
        let writer = std::thread::spawn(move || {
            let chunk = vec![b' '; 1 << 20];
            while to.write_all(&chunk).is_ok() {}
        });
        assert!(matches!(read(&mut from, None), Err(LineError::TooLong)));
        drop(from);
        writer.join().unwrap();
    }
}
