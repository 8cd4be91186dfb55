//! Secrets: where a configuration says that they come from, and how they are read.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::shown;

/// The longest secret, in bytes: 64 KiB.
pub const MAX_SECRET: usize = 64 << 10;

/// Where a secret comes from, as a configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Variable(String),
    File(String),
}

/// What stands in a configuration where a secret belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    Reference(Reference),
    /// `null`.
    Nothing,
    /// The secret itself, for everybody to read.
    Plain,
    /// Meant as a reference, and none.
    Malformed(&'static str),
}

impl Given {
    pub(super) fn of(value: &Value) -> Self {
        let object = match value {
            Value::Object(object) => object,
            Value::Null => return Self::Nothing,
            _ => return Self::Plain,
        };
        let mut pairs = object.iter();
        match (pairs.next(), pairs.next()) {
            (Some((key, value)), None) if key == "env" => match value.as_str() {
                Some(name) if is_name(name) => Self::Reference(Reference::Variable(name.into())),
                // The name is not told: it could be the secret itself.
                _ => Self::Malformed(
                    "`env` is the name of a variable: letters, digits and `_`, no digit first",
                ),
            },
            (Some((key, value)), None) if key == "file" => match value.as_str() {
                Some(path) if !path.is_empty() && !path.contains('\0') => {
                    Self::Reference(Reference::File(path.into()))
                }
                _ => Self::Malformed("`file` is the path of a file"),
            },
            _ if object.contains_key("env") || object.contains_key("file") => {
                Self::Malformed("there is either `env` or `file`, and nothing else")
            }
            _ => Self::Plain,
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Where secrets are looked for: a folder for files, and variables.
#[derive(Clone)]
pub struct SecretSource {
    folder: PathBuf,
    variables: Option<HashMap<String, OsString>>,
}

impl SecretSource {
    /// Files relative to `folder`, which is the configuration file's; variables of
    /// this process.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), variables: None }
    }

    /// These variables, and none of the process's.
    #[must_use]
    pub fn with_variables<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<OsString>,
    {
        let pair = |(name, value): (N, V)| (name.into(), value.into());
        self.variables = Some(variables.into_iter().map(pair).collect());
        self
    }

    pub(super) fn read(&self, reference: &Reference) -> Result<Found, Unavailable> {
        match reference {
            Reference::Variable(name) => self.variable(name),
            Reference::File(path) => file(&self.folder.join(path)),
        }
    }

    fn variable(&self, name: &str) -> Result<Found, Unavailable> {
        let value = match &self.variables {
            Some(variables) => variables.get(name).cloned(),
            None => env::var_os(name),
        };
        let text = match value.ok_or(Unavailable::NotSet)?.into_string() {
            Ok(text) => Zeroizing::new(text),
            Err(other) => {
                other.into_encoded_bytes().zeroize();
                return Err(Unavailable::NotText);
            }
        };
        if text.len() > MAX_SECRET {
            return Err(Unavailable::TooLarge);
        }
        Ok(Found { text, open_to: None })
    }
}

/// No variables: they are secrets.
impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSource").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A secret that was read.
pub(super) struct Found {
    pub(super) text: Zeroizing<String>,
    /// The file and its mode, if others may read it.
    pub(super) open_to: Option<(PathBuf, u32)>,
}

/// Why a secret is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// There is no such variable.
    #[error("it is not set")]
    NotSet,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// It has more than [`MAX_SECRET`] bytes.
    #[error("it has more than {MAX_SECRET} bytes")]
    TooLarge,
    /// A folder, FIFO, socket or device. It was not opened.
    #[error("it is no regular file")]
    NotAFile,
    /// The operating system does not let it be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

fn file(path: &Path) -> Result<Found, Unavailable> {
    if !fs::metadata(path).map_err(Unavailable::Unreadable)?.is_file() {
        return Err(Unavailable::NotAFile);
    }
    let file = File::open(path).map_err(Unavailable::Unreadable)?;
    let mode = mode(&file).map_err(Unavailable::Unreadable)?;
    // Large enough from the start, as growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 64));
    file.take(MAX_SECRET as u64 + 1).read_to_end(&mut bytes).map_err(Unavailable::Unreadable)?;
    if bytes.len() > MAX_SECRET {
        return Err(Unavailable::TooLarge);
    }
    let text = str::from_utf8(&bytes).map_err(|_| Unavailable::NotText)?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let open = mode & 0o077 != 0;
    Ok(Found {
        text: Zeroizing::new(text.to_owned()),
        open_to: open.then(|| (path.to_owned(), mode)),
    })
}

#[cfg(unix)]
fn mode(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o7777)
}

/// Who else may read a file is told otherwise there.
#[cfg(not(unix))]
fn mode(_: &File) -> io::Result<u32> {
    Ok(0)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the variable `{}`", shown::short(name, 100)),
            Self::File(path) => write!(f, "the file {}", shown::short(path, 400)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_told_from_secrets_and_slips() {
        let variable = |name: &str| Given::Reference(Reference::Variable(name.into()));
        assert_eq!(Given::of(&json!({"env": "A_1"})), variable("A_1"));
        let file = Given::Reference(Reference::File("a b".into()));
        assert_eq!(Given::of(&json!({"file": "a b"})), file);
        assert_eq!(Given::of(&json!(null)), Given::Nothing);
        for plain in [json!("x"), json!(3), json!([]), json!({}), json!({"value": "x"})] {
            assert_eq!(Given::of(&plain), Given::Plain, "{plain}");
        }
        for slip in [
            json!({"env": ""}),
            json!({"env": "1A"}),
            json!({"env": "a b"}),
            json!({"env": 3}),
            json!({"file": ""}),
            json!({"file": "a\u{0}"}),
            json!({"env": "A", "file": "b"}),
            json!({"env": "A", "default": "x"}),
        ] {
            assert!(matches!(Given::of(&slip), Given::Malformed(_)), "{slip}");
        }
    }

    #[test]
    fn variables_are_read_as_they_are() {
        let source = SecretSource::new("").with_variables([("A", "x\n")]);
        let read = |name: &str| source.read(&Reference::Variable(name.into()));
        assert_eq!(*read("A").unwrap().text, "x\n");
        assert!(matches!(read("B"), Err(Unavailable::NotSet)));
        assert!(!format!("{source:?}").contains('x'));
        // Of this process: cargo sets it for tests.
        let process = SecretSource::new("");
        let name = process.read(&Reference::Variable("CARGO_PKG_NAME".into())).unwrap();
        assert_eq!(*name.text, "plugbay-config");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            let source =
                SecretSource::new("").with_variables([("A", OsString::from_vec(vec![0xff]))]);
            let read = source.read(&Reference::Variable("A".into()));
            assert!(matches!(read, Err(Unavailable::NotText)));
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_lose_one_line_end_and_tell_who_else_may_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let source = SecretSource::new(folder.path());
        let path = folder.path().join("secret");
        let read = |content: &[u8], mode: u32| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            source.read(&Reference::File("secret".into()))
        };
        for (content, text) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), ("", "")]
        {
            assert_eq!(*read(content.as_bytes(), 0o600).unwrap().text, text, "{content:?}");
        }
        assert!(read(b"a", 0o600).unwrap().open_to.is_none());
        assert_eq!(read(b"a", 0o640).unwrap().open_to, Some((path.clone(), 0o640)));
        assert!(matches!(read(b"\xff", 0o600), Err(Unavailable::NotText)));
        assert!(read(&vec![b'a'; MAX_SECRET], 0o600).is_ok());
        assert!(matches!(read(&vec![b'a'; MAX_SECRET + 1], 0o600), Err(Unavailable::TooLarge)));

        let other = |name: &str| source.read(&Reference::File(name.into()));
        assert!(matches!(other("none"), Err(Unavailable::Unreadable(_))));
        assert!(matches!(other("."), Err(Unavailable::NotAFile)));
        // Absolute paths stay what they are.
        fs::write(&path, "a").unwrap();
        assert!(other(path.to_str().unwrap()).is_ok());
    }
}
