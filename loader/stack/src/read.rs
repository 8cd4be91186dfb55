use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use plugbay_config::document::{self, Document, Limits, Wrong};
use plugbay_config::shown;
use plugbay_manifest::PluginId;

use crate::error::{CALLED, StackError};
use crate::layer::Layers;
use crate::member::MemberName;
use crate::stack::Stack;
use crate::written::{Component, Entry, File, Plugins};

/// What to write where somebody wants several versions.
const ONCE: &str = "take one of the two out, or write one range that has the versions of both, as \
                    `sql@>=1, <3` or `version = \">=1, <3\"`: which of them run side by side is \
                    the host's to say, in `versions_of`";

/// How many files a stack is read from at most.
const MOST: usize = 64;

impl Stack {
    /// Reads a stack file and all that it extends, whose paths are relative to the file that
    /// names them. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// The first mistake, with its place; a file that cannot be read; files that extend each
    /// other in a circle, or more than 64 of them.
    pub fn read(path: &Path) -> Result<Self, StackError> {
        let mut reading = Reading::default();
        let first = open(path)?;
        let document = reading.over_its_bases(first, path)?;
        let stack = reading.layers.into_stack();
        if stack.members.is_empty() && stack.any_of.is_empty() {
            let wrong = point_out(
                &document,
                "",
                "this stack names nothing that shall run",
                "name plugins in `plugins`, or a stack that does in `extends`",
            );
            return Err(StackError::Wrong(wrong));
        }
        Ok(stack)
    }
}

#[derive(Default)]
struct Reading {
    layers: Layers,
    /// From the first one to the one at hand: each extends the next. By the path that
    /// counts, and by the one that was written.
    chain: Vec<(PathBuf, PathBuf)>,
    done: HashSet<PathBuf>,
}

impl Reading {
    /// Lays a file over those that it extends. At most [`MOST`] are open at a time, so no
    /// stack overflows.
    fn over_its_bases(
        &mut self,
        (document, real): (Document<File>, PathBuf),
        path: &Path,
    ) -> Result<Document<File>, StackError> {
        self.chain.push((real.clone(), path.to_owned()));
        check(&document)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (place, base) in document.value().extends.files() {
            self.base(&document, &place, &folder.join(base))?;
        }
        self.chain.pop();
        self.done.insert(real);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = shown::word(&stem);
        self.layers.lay(document.value().clone(), name, path.to_owned());
        Ok(document)
    }

    fn base(
        &mut self,
        document: &Document<File>,
        place: &str,
        path: &Path,
    ) -> Result<(), StackError> {
        let (base, real) = match open(path) {
            Ok(opened) => opened,
            Err(StackError::Unreadable { source, .. }) => {
                let message = format!("it extends {}, which cannot be read", shown::path(path));
                let help =
                    "correct the path, which is relative to this file, or see who may read it";
                let wrong = point_out(document, place, message, help);
                return Err(StackError::Base(wrong, Some(source)));
            }
            Err(error) => return Err(error),
        };
        if let Some(at) = self.chain.iter().position(|(open, _)| *open == real) {
            let circle = self.chain.iter().skip(at).map(|(_, path)| shown::path(path));
            let circle: Vec<_> = circle.chain([shown::path(path)]).collect();
            let message = format!("stacks extend each other in a circle: {}", circle.join(" → "));
            let help = "let one of them extend none of the others";
            return Err(StackError::Circle(point_out(document, place, message, help)));
        }
        if self.done.contains(&real) {
            return Ok(());
        }
        if self.done.len() + self.chain.len() >= MOST {
            let message = format!("with this one it would be more than {MOST} files");
            let help = "put several of them into one";
            return Err(StackError::TooMany(point_out(document, place, message, help)));
        }
        self.over_its_bases((base, real), path).map(drop)
    }
}

/// A mistake at a value.
fn point_out(
    document: &Document<File>,
    place: &str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Wrong {
    document.point_out(place, message, help).called(CALLED)
}

/// The document, and the path by which it is known whether it was read before.
fn open(path: &Path) -> Result<(Document<File>, PathBuf), StackError> {
    let document = document::read::<File>(path, Limits::default())?;
    let real = fs::canonicalize(path)
        .map_err(|source| StackError::Unreadable { path: path.to_owned(), source })?;
    Ok((document, real))
}

/// What no type can say: a key is there by one of its names, a plugin once in a list.
fn check(document: &Document<File>) -> Result<(), StackError> {
    let File { plugins: Plugins(plugins), components, .. } = document.value();
    for (key, other) in [("composition_name", "name"), ("plugin_precedence", "precedence")] {
        let is_there = |key: &str| document.place(&format!("/{key}")).is_some();
        if is_there(key) && is_there(other) {
            let message = format!("`{key}` is another name of `{other}`, which is there, too");
            let help = "take one of the two out";
            let wrong = point_out(document, &format!("/{key}"), message, help);
            return Err(StackError::Wrong(wrong));
        }
    }
    let plugins = plugins.iter().map(|(at, entry)| (format!("/plugins/{at}"), entry));
    let components = components.iter().enumerate();
    let components = components.map(|(at, Component(entry))| (format!("/components/{at}"), entry));
    for list in [plugins.collect::<Vec<_>>(), components.collect()] {
        let mut seen = Seen::default();
        for (place, entry) in list {
            if let Some(message) = seen.twice(entry) {
                let help = match entry.name {
                    Some(_) if entry.version.is_some() => ONCE,
                    _ => "take one of the two out",
                };
                let wrong = point_out(document, &place, message, help);
                return Err(StackError::Wrong(wrong));
            }
        }
    }
    Ok(())
}

/// What a list has named until now.
#[derive(Default)]
struct Seen<'a> {
    /// By each plugin that a name may mean.
    plugins: HashMap<PluginId, &'a MemberName>,
    /// Those that are no plugin's id.
    components: HashSet<&'a MemberName>,
    kinds: HashSet<&'a str>,
}

impl<'a> Seen<'a> {
    /// That an entry is there for the second time.
    fn twice(&mut self, entry: &'a Entry) -> Option<String> {
        let Some(name) = &entry.name else {
            let kind = entry.kind.as_deref().unwrap_or_default();
            let message = || format!("any `{kind}` is in this list twice");
            return (!self.kinds.insert(kind)).then(message);
        };
        let ids = name.ids();
        let is_new = !ids.is_empty() || self.components.insert(name);
        let mut earlier = (!is_new).then_some(name);
        for id in ids {
            let before = self.plugins.insert(id, name);
            earlier = earlier.or(before);
        }
        let by = earlier?.spelled_beside(name);
        Some(format!("`{name}` is in this list twice{by}"))
    }
}
