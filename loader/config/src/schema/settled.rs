//! A configuration that fits its schema, with its secrets.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::scrubber::Scrubber;
use crate::document::HIDDEN;
use crate::key_path::{KeyPath, Step};
use crate::shown;

/// A plugin's configuration: defaults filled in, checked, secrets read.
///
/// `Debug`, `Display` and `Serialize` show `***` where a secret is. The secrets are
/// overwritten with zeros when this is dropped; what they were read from, a file or the
/// process's environment, keeps its copy, and so does whoever asked for them by
/// [`Settled::expose`].
#[derive(Clone)]
pub struct Settled {
    /// With `***` where a secret is.
    pub(super) shown: Value,
    pub(super) secrets: Vec<Secret>,
    pub(super) warnings: Vec<Warning>,
}

#[derive(Clone)]
pub(super) struct Secret {
    pub(super) path: KeyPath,
    pub(super) text: Zeroizing<String>,
    /// What the schema wants instead of a text: a number or a truth value.
    pub(super) other: Option<Value>,
}

impl Settled {
    /// The configuration with `***` where a secret is, for people.
    pub fn shown(&self) -> &Value {
        &self.shown
    }

    /// Where the secrets are.
    pub fn secrets(&self) -> impl Iterator<Item = &KeyPath> {
        self.secrets.iter().map(|secret| &secret.path)
    }

    /// The configuration as JSON text, with its secrets: for the plugin alone.
    pub fn expose(&self) -> Exposed {
        let value = self.expose_value();
        // Written once to be counted: a text that grows leaves copies behind.
        let mut count = Count(0);
        let _ = serde_json::to_writer(&mut count, &*value);
        let mut bytes = Vec::with_capacity(count.0);
        let _ = serde_json::to_writer(&mut bytes, &*value);
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            // serde_json writes UTF-8.
            error.into_bytes().zeroize();
            String::new()
        });
        Exposed(Zeroizing::new(text))
    }

    /// The configuration as a value, with its secrets: for the plugin alone.
    pub fn expose_value(&self) -> ExposedValue {
        let mut value = self.shown.clone();
        for secret in &self.secrets {
            if let Some(place) = value_at(&mut value, &secret.path) {
                *place = secret.value();
            }
        }
        ExposedValue(value)
    }

    /// What takes these secrets out of the plugin's messages and logs.
    pub fn scrubber(&self) -> Scrubber {
        let numbers: Vec<_> = self
            .secrets
            .iter()
            .filter_map(|secret| secret.other.as_ref().map(ToString::to_string))
            .map(Zeroizing::new)
            .collect();
        let texts = self.secrets.iter().map(|secret| secret.text.as_str());
        Scrubber::new(texts.chain(numbers.iter().map(|number| number.as_str())))
    }

    /// What should be looked after, and does not stand against the configuration.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The places at which this differs from an earlier configuration, as deep inside
    /// as can be told: keys that were added, taken out or changed, entries that were
    /// changed, and lists of another length as a whole. Empty if both are the same.
    pub fn changes_since(&self, earlier: &Self) -> Vec<KeyPath> {
        let mut changes = BTreeSet::new();
        compare(&earlier.shown, &self.shown, &mut KeyPath::default(), &mut changes);
        // A new secret is shown as the old one is.
        let of = |settled: &Self, path: &KeyPath| {
            settled.secrets.iter().position(|secret| secret.path == *path)
        };
        for secret in &self.secrets {
            let before = of(earlier, &secret.path).and_then(|at| earlier.secrets.get(at));
            if before
                .is_none_or(|before| before.text != secret.text || before.other != secret.other)
            {
                changes.insert(secret.path.clone());
            }
        }
        for secret in &earlier.secrets {
            if of(self, &secret.path).is_none() {
                changes.insert(secret.path.clone());
            }
        }
        // Of what was added or taken out as a whole, that is enough.
        let inside = |path: &KeyPath| {
            let outer =
                |at: usize| path.steps().get(..at).map(|steps| KeyPath::from(steps.to_vec()));
            (0..path.steps().len()).filter_map(outer).any(|outer| changes.contains(&outer))
        };
        changes.iter().filter(|path| !inside(path)).cloned().collect()
    }
}

impl Secret {
    pub(super) fn value(&self) -> Value {
        self.other.clone().unwrap_or_else(|| Value::String(self.text.to_string()))
    }
}

pub(super) fn value_at<'a>(value: &'a mut Value, path: &KeyPath) -> Option<&'a mut Value> {
    path.steps().iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(at) => value.get_mut(at),
    })
}

fn compare(old: &Value, new: &Value, path: &mut KeyPath, changes: &mut BTreeSet<KeyPath>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                path.push(Step::Key(key.clone()));
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => compare(old, new, path, changes),
                    _ => {
                        changes.insert(path.clone());
                    }
                }
                path.pop();
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                path.push(Step::Index(at));
                compare(old, new, path, changes);
                path.pop();
            }
        }
        _ if old != new => {
            changes.insert(path.clone());
        }
        _ => {}
    }
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settled({})", self.shown)
    }
}

/// As JSON.
impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown)
    }
}

impl Serialize for Settled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown.serialize(serializer)
    }
}

/// A configuration's JSON text with secrets in it. Overwritten with zeros when dropped.
pub struct Exposed(Zeroizing<String>);

impl Exposed {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exposed({HIDDEN})")
    }
}

/// A configuration with secrets in it. Its texts are overwritten with zeros when it is
/// dropped.
pub struct ExposedValue(pub(super) Value);

impl std::ops::Deref for ExposedValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for ExposedValue {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for ExposedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExposedValue({HIDDEN})")
    }
}

/// Numbers are overwritten as well as they can be: they lie in the value itself.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Number(number) => *number = 0.into(),
        Value::Bool(truth) => *truth = false,
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null => {}
    }
}

struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A secret's file may be read by others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Which secret.
    pub path: KeyPath,
    /// Its file.
    pub file: PathBuf,
    /// The file's permission bits.
    pub mode: u32,
}

impl Warning {
    pub(super) fn new(path: KeyPath, (file, mode): (PathBuf, u32)) -> Self {
        Self { path, file, mode }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        "PB1506"
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> String {
        format!("chmod 600 {}", quoted(&self.file))
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", shown::path(path).replace('\'', r"'\''"))
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, file, mode } = self;
        let file = shown::path(file);
        write!(f, "others may read the file of the secret `{path}` (mode {mode:04o}): {file}")
    }
}
