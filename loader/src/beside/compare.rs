//! In what a manifest beside a library differs from the one in it.

use std::collections::BTreeSet;
use std::fmt;

use plugbay_interface::manifest::{Dependency, Manifest, PluginId};
use semver::VersionReq;

use super::span::Span;
use super::written::{Needed, Written};
use crate::error::shown_word;

/// The most of a list, and of a text, that is quoted.
const MOST_WORDS: usize = 12;
const MOST_CHARACTERS: usize = 60;

/// One key, and what each of the two says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    key: &'static str,
    file: String,
    library: String,
}

impl Difference {
    pub(super) fn of_id(file: &PluginId, library: &PluginId) -> Self {
        Self { key: "id", file: text(file.as_str()), library: text(library.as_str()) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, file, library } = self;
        write!(f, "`{key}` is {file} there, and {library} in the library")
    }
}

/// All that differs. What the file leaves out does not.
pub(super) fn differences(written: &Written, manifest: &Manifest) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |key, file: String, library: String| {
        found.push(Difference { key, file, library });
    };
    if written.id != manifest.id {
        differs("id", text(written.id.as_str()), text(manifest.id.as_str()));
    }
    if let Some(name) = written.name.as_ref().filter(|name| **name != manifest.name) {
        differs("name", text(name), text(&manifest.name));
    }
    if let Some(version) = written.version.as_ref().filter(|it| **it != manifest.version) {
        differs("version", text(&version.to_string()), text(&manifest.version.to_string()));
    }
    if let Some(least) = &written.min_host_version {
        let lowest = Span::of(&manifest.host).lowest;
        if least.0 != lowest {
            let library =
                format!("{} (host = {})", text(&lowest.to_string()), range(&manifest.host));
            differs("minHostVersion", text(&least.0.to_string()), library);
        }
    }
    if let Some(features) = &written.required_features
        && set(features) != set(&manifest.features)
    {
        differs("requiredFeatures", words(features), words(&manifest.features));
    }
    if let Some(dependencies) = &written.dependencies
        && let Some((file, library)) = other_dependencies(&dependencies.0, &manifest.dependencies)
    {
        differs("dependencies", file, library);
    }
    if let Some(permissions) = &written.permissions
        && set(permissions) != set(&manifest.permissions)
    {
        differs("permissions", words(permissions), words(&manifest.permissions));
    }
    found
}

/// Optional ones may be left out of the file: it has no word for that.
fn other_dependencies(written: &[Needed], embedded: &[Dependency]) -> Option<(String, String)> {
    let fits = |needed: &Needed| {
        let same = embedded.iter().find(|dependency| dependency.id == needed.id);
        let takes_the_same = |it: &Dependency| {
            needed.range.as_ref().is_none_or(|range| Span::of(range) == Span::of(&it.version))
        };
        same.is_some_and(takes_the_same)
    };
    let is_named = |it: &&Dependency| written.iter().any(|needed| needed.id == it.id);
    let all_are_named = embedded.iter().filter(|it| !it.optional).all(|it| is_named(&it));
    if written.iter().all(fits) && all_are_named {
        return None;
    }
    let file = written.iter().map(|needed| match &needed.range {
        Some(versions) => format!("{}@{versions}", needed.id),
        None => needed.id.to_string(),
    });
    let library = embedded.iter().map(|it| {
        let optional = if it.optional { " (optional)" } else { "" };
        format!("{}@{}{optional}", it.id, it.version)
    });
    Some((words(&file.collect::<Vec<_>>()), words(&library.collect::<Vec<_>>())))
}

fn set(words: &[String]) -> BTreeSet<&str> {
    words.iter().map(String::as_str).collect()
}

fn words(words: &[String]) -> String {
    let shown: Vec<_> = words.iter().take(MOST_WORDS).map(|word| text(word)).collect();
    let more = if words.len() > MOST_WORDS { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

fn text(text: &str) -> String {
    let begin: String = text.chars().take(MOST_CHARACTERS).collect();
    let more = if begin.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown_word(&begin))
}

fn range(range: &VersionReq) -> String {
    text(&range.to_string())
}
