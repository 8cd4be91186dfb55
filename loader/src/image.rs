//! What a file's bytes say: which kind of file, for which machine, whole or
//! not, and the manifest in it. Nothing here loads or trusts anything.

mod elf;
mod foreign;
mod loadable;
mod reader;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;

use elf::{Elf, Machine};
use object::{FileKind, elf as elf_format};
use plugbay_interface::abi::ROOT_SYMBOL;
use plugbay_interface::manifest::section::{self, Payload};
use plugbay_interface::manifest::{Embedded, Facts};
use reader::Reader;

use crate::verify::ImageError;

/// How much of a file tells its kind.
const MAX_START: u64 = 512;
/// How many bytes of symbols are read only to say what a file lacks.
const MAX_SYMBOLS_SIZE: u64 = 4 << 20;

/// What a file turned out to be, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found(String);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Found {
    fn from(words: &str) -> Self {
        Self(words.to_owned())
    }
}

/// Where in a file something is.
struct Range {
    offset: u64,
    size: u64,
}

/// Reads the manifest of a library of any platform (ELF, PE, Mach-O) without
/// loading it. `data` is the file's whole content.
///
/// # Errors
///
/// When the file is none of the three, has no manifest section, or the section
/// is damaged or of another interface version.
pub fn manifest_in(data: &[u8]) -> Result<Embedded, ImageError> {
    read_manifest(Reader::Memory(data))
}

/// The same of a file, of which only the headers and the manifest are read.
pub(crate) fn manifest_of(file: &File) -> Result<Embedded, ImageError> {
    read_manifest(Reader::of(file)?)
}

/// Says no to what is certainly no plugin for this process, after reading as
/// little as can be: the headers and the sections' names. Some 15 MiB of memory
/// and as much reading are the most that a file can make it cost.
pub(crate) fn glance(file: &File) -> Result<(), ImageError> {
    let reader = Reader::of(file)?;
    let elf = elf_for_this_process(reader)?;
    match manifest_range(&elf.sections_named(section::NAME))? {
        Some(_) => Ok(()),
        None => Err(no_manifest(&elf)),
    }
}

/// Checks that this process could load the file as a plugin, and reads the
/// manifest. Loads nothing; never panics, whatever the bytes; the time it takes
/// is linear in their number.
///
/// # Errors
///
/// The first mismatch, the most general first: format, machine, wholeness,
/// headers, manifest, interface, target, panic strategy, ABI root.
pub fn inspect(data: &[u8]) -> Result<Embedded, ImageError> {
    let reader = Reader::Memory(data);
    let elf = elf_for_this_process(reader)?;
    let bytes = manifest_bytes(reader, &elf)?;
    let payload = Payload::parse(&bytes).map_err(ImageError::Manifest)?;
    check_facts(payload.facts())?;
    loadable::check_root(&elf)?;
    payload.read().map_err(ImageError::Manifest)
}

/// Whether a library is marked to stay mapped however often it is closed.
pub(crate) fn is_never_unmapped(data: &[u8]) -> bool {
    elf_for_this_process(Reader::Memory(data)).is_ok_and(|elf| loadable::is_never_unmapped(&elf))
}

/// The headers of a library that the dynamic linker may be given.
fn elf_for_this_process(reader: Reader<'_>) -> Result<Elf<'_>, ImageError> {
    let start = reader.start(MAX_START)?;
    let wide = elf_class(&start).ok_or_else(|| not_a_library(reader))?;
    let elf = Elf::parse(reader, wide, is_this_machine)?;
    loadable::check(&elf)?;
    Ok(elf)
}

fn read_manifest(reader: Reader<'_>) -> Result<Embedded, ImageError> {
    let start = reader.start(MAX_START)?;
    let bytes = match elf_class(&start) {
        Some(wide) => manifest_bytes(reader, &Elf::parse(reader, wide, |_| Ok(()))?)?,
        None if foreign::is_library(&start) => return read_foreign_manifest(reader),
        None => return Err(not_a_library(reader)),
    };
    Payload::parse(&bytes).and_then(Payload::read).map_err(ImageError::Manifest)
}

fn read_foreign_manifest(reader: Reader<'_>) -> Result<Embedded, ImageError> {
    let sections = foreign::sections(reader)?;
    let range = manifest_range(&sections)?.ok_or(ImageError::NotAPlugin)?;
    let bytes = bytes_at(reader, range)?;
    Payload::parse(&bytes).and_then(Payload::read).map_err(ImageError::Manifest)
}

fn manifest_bytes<'data>(
    reader: Reader<'data>,
    elf: &Elf<'data>,
) -> Result<Cow<'data, [u8]>, ImageError> {
    match manifest_range(&elf.sections_named(section::NAME))? {
        Some(range) => bytes_at(reader, range),
        None => Err(no_manifest(elf)),
    }
}

/// There is one or none. Of two, nobody knows which another program reads.
fn manifest_range(sections: &[Range]) -> Result<Option<&Range>, ImageError> {
    match sections {
        [] => Ok(None),
        [range] => Ok(Some(range)),
        _ => Err(damaged("it has more than one manifest section")),
    }
}

fn bytes_at<'data>(reader: Reader<'data>, range: &Range) -> Result<Cow<'data, [u8]>, ImageError> {
    // Linkers pad sections, by a page at most.
    if range.size > (section::MAX_PAYLOAD + 4096) as u64 {
        let found = usize::try_from(range.size).unwrap_or(usize::MAX);
        return Err(ImageError::Manifest(section::SectionError::Long { found }));
    }
    reader.read(range.offset, range.size)
}

/// A plugin without its manifest, or no plugin. Of a library with many symbols
/// it is not worth the reading to know.
fn no_manifest(elf: &Elf<'_>) -> ImageError {
    let has_root = elf.symbols_size() <= MAX_SYMBOLS_SIZE
        && matches!(elf.all_symbols_named(ROOT_SYMBOL, |_| true), Ok(Some(_)));
    if has_root { ImageError::NoManifest } else { ImageError::NotAPlugin }
}

/// Whether it is an ELF file, and of 64 bits.
fn elf_class(start: &[u8]) -> Option<bool> {
    match FileKind::parse(start) {
        Ok(FileKind::Elf64) => Some(true),
        Ok(FileKind::Elf32) => Some(false),
        _ => None,
    }
}

fn is_this_machine((machine, bits, big_endian): Machine) -> Result<(), ImageError> {
    let here = (native_machine(), usize::BITS, cfg!(target_endian = "big"));
    if (machine, bits, big_endian) == here {
        return Ok(());
    }
    Err(ImageError::OtherMachine {
        expected: machine_name(here),
        found: machine_name((machine, bits, big_endian)),
    })
}

/// How the library was built must fit this host, whatever the manifest says.
fn check_facts(facts: &Facts) -> Result<(), ImageError> {
    let here: semver::Version = plugbay_interface::VERSION.parse().map_err(|_| {
        ImageError::Damaged { reason: "this host's interface has no version".into() }
    })?;
    if facts.interface.major != here.major {
        return Err(ImageError::Interface {
            expected: here.major,
            found: facts.interface.clone(),
            rustc: facts.rustc.clone(),
        });
    }
    if facts.target != plugbay_interface::TARGET {
        return Err(ImageError::Target {
            expected: plugbay_interface::TARGET,
            found: facts.target.clone(),
        });
    }
    if facts.panic != "unwind" {
        return Err(ImageError::Panic { found: facts.panic.clone() });
    }
    Ok(())
}

fn not_a_library(reader: Reader<'_>) -> ImageError {
    let start = match reader.start(MAX_START) {
        Ok(start) => start,
        Err(error) => return error,
    };
    let found = match &*start {
        [0x7f, b'E', b'L', b'F', ..] => return damaged("its ELF header makes no sense"),
        [b'M', b'Z', ..] => describe("a Windows library", reader),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            describe("a macOS library", reader)
        }
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "an archive of object files".into(),
        [b'#', b'!', ..] => "a script".into(),
        [b'B', b'C', 0xc0, 0xde, ..] => "LLVM bitcode".into(),
        [0, b'a', b's', b'm', ..] => "a WebAssembly module".into(),
        start if start.iter().all(|byte| *byte == 0) => "nothing but zeros".into(),
        start
            if std::str::from_utf8(start)
                .is_ok_and(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace())) =>
        {
            "text".into()
        }
        _ => "data of an unknown kind".into(),
    };
    ImageError::NotALibrary { found }
}

/// A library of another platform may still be a plugin; then say which.
fn describe(what: &str, reader: Reader<'_>) -> Found {
    Found(match read_foreign_manifest(reader) {
        Ok(Embedded { facts, manifest, .. }) => format!(
            "{what} (plugin {} {}, built for {})",
            manifest.id, manifest.version, facts.target
        ),
        Err(_) => what.to_owned(),
    })
}

fn damaged(reason: &str) -> ImageError {
    ImageError::Damaged { reason: reason.into() }
}

/// The ELF number of the machine that this host was compiled for.
const fn native_machine() -> elf_format::Machine {
    if cfg!(target_arch = "x86_64") {
        elf_format::EM_X86_64
    } else if cfg!(target_arch = "aarch64") {
        elf_format::EM_AARCH64
    } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
        elf_format::EM_RISCV
    } else if cfg!(target_arch = "x86") {
        elf_format::EM_386
    } else if cfg!(target_arch = "arm") {
        elf_format::EM_ARM
    } else if cfg!(target_arch = "powerpc64") {
        elf_format::EM_PPC64
    } else if cfg!(target_arch = "s390x") {
        elf_format::EM_S390
    } else if cfg!(target_arch = "loongarch64") {
        elf_format::EM_LOONGARCH
    } else {
        elf_format::EM_NONE
    }
}

fn machine_name((machine, bits, big_endian): Machine) -> String {
    let order = if big_endian { "big-endian" } else { "little-endian" };
    let name = match machine {
        elf_format::EM_X86_64 => "x86-64",
        elf_format::EM_AARCH64 => "ARM64",
        elf_format::EM_386 => "x86",
        elf_format::EM_ARM => "ARM",
        elf_format::EM_RISCV => "RISC-V",
        elf_format::EM_PPC64 => "PowerPC 64",
        elf_format::EM_S390 => "S/390",
        elf_format::EM_LOONGARCH => "LoongArch",
        other => return format!("machine {}, {bits} bits, {order}", other.0),
    };
    format!("{name}, {bits} bits, {order}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name() {
        assert_ne!(native_machine(), elf_format::EM_NONE);
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(inspect(&own), Err(ImageError::NotShared { .. })));
    }
}
