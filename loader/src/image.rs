//! What a file's bytes say: which kind of file, for which machine, whole or
//! not, and the manifest in it. Nothing here loads or trusts anything.

use std::fmt;
use std::mem::size_of;

use object::read::ReadRef;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{BinaryFormat, Endianness, FileKind, Object, ObjectSection, elf};
use plugbay_interface::abi::ROOT_SYMBOL;
use plugbay_interface::manifest::section::{self, Payload};
use plugbay_interface::manifest::{Embedded, Facts};

use crate::verify::ImageError;

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

/// Reads the manifest of a library of any platform (ELF, PE, Mach-O) without
/// loading it. `data` is the file's content, or anything of `object`'s that
/// reads it.
///
/// # Errors
///
/// When the file is none of the three, has no manifest section, or the section
/// is damaged or of another interface version.
pub fn manifest_in<'data, R: ReadRef<'data>>(data: R) -> Result<Embedded, ImageError> {
    payload_in(data)?.read().map_err(ImageError::Manifest)
}

/// Says no to what is certainly no plugin for this process, after reading as
/// little as can be: the headers and the sections' names.
pub(crate) fn glance<'data, R: ReadRef<'data>>(data: R) -> Result<(), ImageError> {
    match FileKind::parse(data).map_err(|_| not_a_library(data))? {
        FileKind::Elf64 => has_section::<elf::FileHeader64<Endianness>, R>(data),
        FileKind::Elf32 => has_section::<elf::FileHeader32<Endianness>, R>(data),
        _ => Err(not_a_library(data)),
    }
}

fn has_section<'data, H, R>(data: R) -> Result<(), ImageError>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    whole_elf::<H, R>(data)?;
    let header = H::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, data).map_err(damaged)?;
    match sections.section_by_name(endian, section::NAME.as_bytes()) {
        Some(_) => Ok(()),
        // The long way, which knows the reason.
        None => inspect(data).map(drop),
    }
}

/// Checks that this process could load the file as a plugin, and reads the
/// manifest. Loads nothing; never panics, whatever the bytes.
///
/// # Errors
///
/// The first mismatch, the most general first: format, machine, wholeness,
/// manifest, interface, target, panic strategy, ABI root.
pub fn inspect<'data, R: ReadRef<'data>>(data: R) -> Result<Embedded, ImageError> {
    match FileKind::parse(data).map_err(|_| not_a_library(data))? {
        FileKind::Elf64 => whole_elf::<elf::FileHeader64<Endianness>, R>(data)?,
        FileKind::Elf32 => whole_elf::<elf::FileHeader32<Endianness>, R>(data)?,
        _ => return Err(not_a_library(data)),
    }
    let file = object::File::parse(data).map_err(damaged)?;
    let payload = payload_in(data)?;
    check_facts(payload.facts())?;
    let offers_root = file.dynamic_symbols().any(|symbol| {
        use object::ObjectSymbol;
        symbol.is_definition() && symbol.name_bytes() == Ok(ROOT_SYMBOL.as_bytes())
    });
    if !offers_root {
        return Err(ImageError::NoRoot);
    }
    payload.read().map_err(ImageError::Manifest)
}

fn payload_in<'data, R: ReadRef<'data>>(data: R) -> Result<Payload<'data>, ImageError> {
    let file = object::File::parse(data).map_err(|_| not_a_library(data))?;
    let name = match file.format() {
        BinaryFormat::MachO => section::MACHO_NAME,
        _ => section::NAME,
    };
    let Some(section) = file.section_by_name(name) else {
        let has_root = file
            .dynamic_symbols()
            .any(|symbol| object::ObjectSymbol::name_bytes(&symbol) == Ok(ROOT_SYMBOL.as_bytes()));
        return Err(if has_root { ImageError::NoManifest } else { ImageError::NotAPlugin });
    };
    if section.size() > (section::MAX_PAYLOAD + 4096) as u64 {
        return Err(ImageError::Manifest(section::SectionError::Long {
            found: section.size() as usize,
        }));
    }
    Payload::parse(section.data().map_err(damaged)?).map_err(ImageError::Manifest)
}

/// Headers within the file's size, for this machine, and a library.
fn whole_elf<'data, H, R>(data: R) -> Result<(), ImageError>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let length =
        data.len().map_err(|()| ImageError::Damaged { reason: "it has no length".into() })?;
    let short = |expected: u64| ImageError::Truncated { expected, found: length };
    let header = H::parse(data).map_err(|_| short(size_of::<H>() as u64))?;
    let endian = header.endian().map_err(damaged)?;

    let machine = header.e_machine(endian);
    let bits = if header.is_type_64() { 64 } else { 32 };
    let order = if header.is_big_endian() { "big-endian" } else { "little-endian" };
    let here = (native_machine(), usize::BITS, native_order());
    if (machine, bits, order) != here {
        return Err(ImageError::OtherMachine {
            expected: machine_name(here.0, here.1, here.2),
            found: machine_name(machine, bits, order),
        });
    }
    let end_of = |offset: u64, count: u64, size: u64| {
        count.checked_mul(size).and_then(|len| offset.checked_add(len)).unwrap_or(u64::MAX)
    };
    let sections: u64 = header.e_shoff(endian).into();
    let sections_end =
        end_of(sections, header.e_shnum(endian).into(), header.e_shentsize(endian).into());
    let programs: u64 = header.e_phoff(endian).into();
    let programs_end =
        end_of(programs, header.e_phnum(endian).into(), header.e_phentsize(endian).into());
    let end = sections_end.max(programs_end);
    if end > length {
        return Err(short(end));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(ImageError::NotShared {
            found: match header.e_type(endian) {
                elf::ET_EXEC => "an executable".into(),
                elf::ET_REL => "an object file, not linked yet".into(),
                elf::ET_CORE => "a core dump".into(),
                _ => "an ELF file of unknown type".into(),
            },
        });
    }
    let mut loadable = false;
    for program in header.program_headers(endian, data).map_err(damaged)? {
        match program.p_type(endian) {
            elf::PT_LOAD => {
                loadable = true;
                let offset: u64 = program.p_offset(endian).into();
                let in_file: u64 = program.p_filesz(endian).into();
                let in_memory: u64 = program.p_memsz(endian).into();
                let end = end_of(offset, 1, in_file);
                if end > length {
                    return Err(short(end));
                }
                if in_file > in_memory {
                    return Err(ImageError::Damaged {
                        reason: "a segment is larger in the file than in memory".into(),
                    });
                }
            }
            elf::PT_INTERP if is_program::<H, R>(header, endian, data) => {
                return Err(ImageError::NotShared { found: "an executable".into() });
            }
            _ => {}
        }
    }
    if !loadable {
        return Err(ImageError::Damaged { reason: "it has nothing to load".into() });
    }
    Ok(())
}

/// A position-independent executable has the type of a library; what tells it
/// apart is the PIE flag. (An interpreter alone does not: libc.so.6 has one.)
fn is_program<'data, H, R>(header: &H, endian: Endianness, data: R) -> bool
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    use object::read::elf::Dyn;

    let Ok(programs) = header.program_headers(endian, data) else { return false };
    programs
        .iter()
        .filter_map(|program| program.dynamic(endian, data).ok().flatten())
        .flatten()
        .any(|entry| {
            let flags: u64 = entry.d_val(endian).into();
            entry.d_tag(endian) == elf::DT_FLAGS_1 && flags & elf::DF_1_PIE.0 != 0
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

fn not_a_library<'data, R: ReadRef<'data>>(data: R) -> ImageError {
    let start = data.read_bytes_at(0, data.len().unwrap_or(0).min(512)).unwrap_or_default();
    let found = match start {
        [0x7f, b'E', b'L', b'F', ..] => {
            return ImageError::Damaged { reason: "its ELF header makes no sense".into() };
        }
        [b'M', b'Z', ..] => describe("a Windows library", data),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            describe("a macOS library", data)
        }
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "an archive of object files".into(),
        [b'#', b'!', ..] => "a script".into(),
        [b'B', b'C', 0xc0, 0xde, ..] => "LLVM bitcode".into(),
        [0, b'a', b's', b'm', ..] => "a WebAssembly module".into(),
        _ if start.iter().all(|byte| *byte == 0) => "nothing but zeros".into(),
        _ if std::str::from_utf8(start)
            .is_ok_and(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace())) =>
        {
            "text".into()
        }
        _ => "data of an unknown kind".into(),
    };
    ImageError::NotALibrary { found }
}

/// A library of another platform may still be a plugin; then say which.
fn describe<'data, R: ReadRef<'data>>(what: &str, data: R) -> Found {
    let known = object::File::parse(data).is_ok().then(|| manifest_in(data).ok()).flatten();
    Found(match known {
        Some(Embedded { facts, manifest, .. }) => format!(
            "{what} (plugin {} {}, built for {})",
            manifest.id, manifest.version, facts.target
        ),
        None => what.to_owned(),
    })
}

fn damaged(error: object::Error) -> ImageError {
    ImageError::Damaged { reason: error.to_string() }
}

const fn native_order() -> &'static str {
    if cfg!(target_endian = "big") { "big-endian" } else { "little-endian" }
}

/// The ELF number of the machine that this host was compiled for.
const fn native_machine() -> elf::Machine {
    if cfg!(target_arch = "x86_64") {
        elf::EM_X86_64
    } else if cfg!(target_arch = "aarch64") {
        elf::EM_AARCH64
    } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
        elf::EM_RISCV
    } else if cfg!(target_arch = "x86") {
        elf::EM_386
    } else if cfg!(target_arch = "arm") {
        elf::EM_ARM
    } else if cfg!(target_arch = "powerpc64") {
        elf::EM_PPC64
    } else if cfg!(target_arch = "s390x") {
        elf::EM_S390
    } else if cfg!(target_arch = "loongarch64") {
        elf::EM_LOONGARCH
    } else {
        elf::EM_NONE
    }
}

fn machine_name(machine: elf::Machine, bits: u32, order: &str) -> String {
    let name = match machine {
        elf::EM_X86_64 => "x86-64",
        elf::EM_AARCH64 => "ARM64",
        elf::EM_386 => "x86",
        elf::EM_ARM => "ARM",
        elf::EM_RISCV => "RISC-V",
        elf::EM_PPC64 => "PowerPC 64",
        elf::EM_S390 => "S/390",
        elf::EM_LOONGARCH => "LoongArch",
        other => return format!("machine {}, {bits} bits, {order}", other.0),
    };
    format!("{name}, {bits} bits, {order}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name() {
        assert_ne!(native_machine(), elf::EM_NONE);
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(inspect(&*own), Err(ImageError::NotShared { .. })));
    }
}
