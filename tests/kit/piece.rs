//! Plugins that need and exclude each other, made of one build.

use std::fs;
use std::sync::OnceLock;

use plugbay_loader::manifest::source::{CrateDefaults, Source};

use crate::{build, with_embedded, with_section};

/// The library of a plugin with this id and version, and more lines of its `plugin.toml`.
/// It answers `count` with how often it was asked.
pub fn piece(id: &str, version: &str, more: &str) -> Vec<u8> {
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    let library =
        LIBRARY.get_or_init(|| fs::read(build("plugbay-fixture-piece")).expect("the fixture"));
    piece_of(library, id, version, more)
}

/// The same, of a build of the fixture `piece`.
pub fn piece_of(library: &[u8], id: &str, version: &str, more: &str) -> Vec<u8> {
    let text = format!("id = \"{id}\"\nversion = \"{version}\"\n{more}");
    let source = Source::parse(&text, &CrateDefaults::default());
    let source = source.unwrap_or_else(|error| panic!("{text}\n{error}"));
    with_embedded(library, |embedded| {
        let before = std::mem::replace(&mut embedded.manifest, source.manifest().clone());
        embedded.manifest.commands = before.commands;
        embedded.manifest.state_version = before.state_version;
    })
}

/// The same, which does not come up.
pub fn broken_piece(id: &str, version: &str, more: &str) -> Vec<u8> {
    with_section(&piece(id, version, more), ".piece", b"no")
}
