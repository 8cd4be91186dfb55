//! Changes what stands in a section of a library file.

use object::{Object, ObjectSection};
use plugbay_loader::manifest::{Embedded, section};

/// A copy of the library with the start of a section replaced.
pub fn with_section(library: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let file = object::File::parse(library).expect("a library");
    let section = file.section_by_name(name).expect("the section");
    let (offset, size) = section.file_range().expect("a section with bytes");
    assert!(content.len() as u64 <= size, "{} bytes do not fit into {size}", content.len());
    let mut changed = library.to_vec();
    let start = usize::try_from(offset).expect("an offset");
    changed[start..start + content.len()].copy_from_slice(content);
    changed
}

/// A copy of the library with its manifest changed. It must not grow.
pub fn with_embedded(library: &[u8], change: impl FnOnce(&mut Embedded)) -> Vec<u8> {
    let mut embedded = plugbay_loader::manifest_in(library).expect("a manifest");
    change(&mut embedded);
    let written = section::write(&embedded).expect("a section");
    with_section(library, section::NAME, &written)
}

/// A copy of the fixture `misbehave` with another misdeed in its constructor.
pub fn misdeed(library: &[u8], word: &str) -> Vec<u8> {
    with_section(library, ".misdeed", format!("{word:_<16}").as_bytes())
}

/// A copy of the fixture `turncoat` (or `heir`) with another version, number and
/// deeds: a number, and what `save`, `activate`, `migrate` and `deactivate` do.
pub fn turned(library: &[u8], version: &str, words: &str) -> Vec<u8> {
    let library = with_embedded(library, |embedded| {
        embedded.manifest.version = version.parse().expect("a version");
        embedded.manifest.description.clear();
    });
    with_section(&library, ".turn", format!("{:_<64}", format!("{words} ")).as_bytes())
}
