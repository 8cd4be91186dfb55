//! What an ELF file's headers say, and whether the dynamic linker may be given
//! them: it believes each of them, in the process that it runs in.
//!
//! All work is linear in the file, and each table has a limit: a forged file
//! must cost no more than a real one.

use std::borrow::Cow;

use object::elf::{self, FileHeader32, FileHeader64};
use object::pod::{self, Pod};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endian, Endianness};

use super::reader::{Reader, entries};
use super::{Range, damaged};
use crate::verify::ImageError;

/// The most program headers; real libraries have about a dozen.
const MAX_SEGMENTS: u64 = 256;
/// The most sections: what the header's own field could count, so 4 MiB of headers.
const MAX_SECTIONS: u64 = 65_535;
/// The longest table of section names, in bytes.
const MAX_NAMES: u64 = 1 << 20;
/// The most dynamic symbols; LLVM, one of the largest libraries, has 200,000.
const MAX_SYMBOLS: u64 = 1 << 20;
/// The longest dynamic section, in bytes; real ones have about 600.
const MAX_DYNAMIC: u64 = 64 << 10;

/// The headers of an ELF file of any machine, whose tables lie within it.
pub(super) struct Elf<'data> {
    reader: Reader<'data>,
    endian: Endianness,
    wide: bool,
    pub(super) kind: elf::FileType,
    /// Where in the file the program headers are.
    pub(super) segments_at: u64,
    pub(super) segments: Vec<Segment>,
    sections: Vec<Section>,
    /// The sections' names, each ended by a zero.
    names: Cow<'data, [u8]>,
}

/// A program header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) kind: elf::ProgramType,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) in_file: u64,
    pub(super) in_memory: u64,
    pub(super) align: u64,
}

struct Section {
    name: u32,
    kind: elf::SectionType,
    offset: u64,
    address: u64,
    size: u64,
    link: u32,
}

/// A dynamic symbol.
pub(super) struct Symbol {
    pub(super) kind: elf::SymbolType,
    pub(super) section: elf::SymbolSection,
    pub(super) value: u64,
    pub(super) size: u64,
}

/// Which tables a header tells of.
struct Tables {
    segments: u64,
    sections: u64,
    names: u32,
    size: u64,
}

/// The machine, its word size and its byte order.
pub(super) type Machine = (elf::Machine, u32, bool);

impl<'data> Elf<'data> {
    /// Reads the headers of a file for one of the machines that `wanted` takes.
    pub(super) fn parse(
        reader: Reader<'data>,
        wide: bool,
        wanted: impl FnOnce(Machine) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        match wide {
            true => Self::parse_as::<FileHeader64<Endianness>>(reader, wanted),
            false => Self::parse_as::<FileHeader32<Endianness>>(reader, wanted),
        }
    }

    fn parse_as<H: FileHeader<Endian = Endianness>>(
        reader: Reader<'data>,
        wanted: impl FnOnce(Machine) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let bytes = reader.read(0, size_of::<H>() as u64)?;
        let header = H::parse(&*bytes).map_err(|error| damaged(&error.to_string()))?;
        let endian = header.endian().map_err(|error| damaged(&error.to_string()))?;
        let (machine, wide) = (header.e_machine(endian), header.is_type_64());
        wanted((machine, if wide { 64 } else { 32 }, endian.is_big_endian()))?;

        let tables = tables(&reader, header, endian)?;
        let (segments_at, sections_at) =
            (header.e_phoff(endian).into(), header.e_shoff(endian).into());
        if tables.size > reader.length() {
            return Err(ImageError::Truncated { expected: tables.size, found: reader.length() });
        }
        let length = tables.segments * size_of::<H::ProgramHeader>() as u64;
        let bytes = reader.read(segments_at, length)?;
        let segments = entries::<H::ProgramHeader>(&bytes)
            .map(|segment| Segment {
                kind: segment.p_type(endian),
                offset: segment.p_offset(endian).into(),
                address: segment.p_vaddr(endian).into(),
                in_file: segment.p_filesz(endian).into(),
                in_memory: segment.p_memsz(endian).into(),
                align: segment.p_align(endian).into(),
            })
            .collect();
        let length = tables.sections * size_of::<H::SectionHeader>() as u64;
        let bytes = reader.read(sections_at, length)?;
        let sections: Vec<_> = entries::<H::SectionHeader>(&bytes)
            .map(|section| Section {
                name: section.sh_name(endian),
                kind: section.sh_type(endian),
                offset: section.sh_offset(endian).into(),
                address: section.sh_addr(endian).into(),
                size: section.sh_size(endian).into(),
                link: section.sh_link(endian),
            })
            .collect();
        let names = match (tables.names, sections.get(tables.names as usize)) {
            (0, _) => Cow::default(),
            (_, Some(section)) if section.kind == elf::SHT_STRTAB => {
                if section.size > MAX_NAMES {
                    return Err(damaged("the names of its sections are longer than 1 MiB"));
                }
                reader.read(section.offset, section.size)?
            }
            _ => return Err(damaged("its sections have no names")),
        };
        let kind = header.e_type(endian);
        Ok(Self { reader, endian, wide, kind, segments_at, segments, sections, names })
    }

    /// Where the sections of this name are in the file; at most two are given.
    pub(super) fn sections_named(&self, name: &str) -> Vec<Range> {
        self.sections
            .iter()
            .filter(|section| is_name_at(&self.names, section.name, name))
            .map(|section| Range {
                offset: section.offset,
                size: if section.kind == elf::SHT_NOBITS { 0 } else { section.size },
            })
            .take(2)
            .collect()
    }

    /// The file's length.
    pub(super) fn length(&self) -> u64 {
        self.reader.length()
    }

    /// Where in the file lies what is at an address, if all of it does.
    pub(super) fn offset_of(&self, address: u64, size: u64) -> Option<u64> {
        self.loads().find_map(|load| {
            let within = address.checked_sub(load.address)?;
            let end = within.checked_add(size)?;
            (end <= load.in_file).then(|| load.offset.checked_add(within)).flatten()
        })
    }

    /// The segments that are mapped.
    pub(super) fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD)
    }

    /// The value of a tag of the dynamic section, which is found as the dynamic
    /// linker finds it.
    pub(super) fn dynamic(&self, tag: elf::DynamicTag) -> Result<Option<u64>, ImageError> {
        match self.wide {
            true => self.dynamic_as::<elf::Dyn64<Endianness>>(tag),
            false => self.dynamic_as::<elf::Dyn32<Endianness>>(tag),
        }
    }

    fn dynamic_as<D: Dyn<Endian = Endianness>>(
        &self,
        tag: elf::DynamicTag,
    ) -> Result<Option<u64>, ImageError> {
        let Some(segment) = self.segments.iter().find(|segment| segment.kind == elf::PT_DYNAMIC)
        else {
            return Ok(None);
        };
        if segment.in_file > MAX_DYNAMIC {
            return Err(damaged("its dynamic section is longer than 64 KiB"));
        }
        let offset = self
            .offset_of(segment.address, segment.in_file)
            .ok_or_else(|| damaged("its dynamic section is not in what is loaded"))?;
        let bytes = self.reader.read(offset, segment.in_file)?;
        Ok(entries::<D>(&bytes)
            .take_while(|entry| entry.tag(self.endian) != elf::DT_NULL)
            // The last one counts for the dynamic linker.
            .filter(|entry| entry.tag(self.endian) == tag)
            .last()
            .map(|entry| entry.val(self.endian)))
    }

    /// How many bytes it takes to look for a symbol.
    pub(super) fn symbols_size(&self) -> u64 {
        self.symbol_tables().fold(0, |sum: u64, (symbols, names)| {
            sum.saturating_add(symbols.size).saturating_add(names.size)
        })
    }

    fn symbol_tables(&self) -> impl Iterator<Item = (&Section, &Section)> {
        self.sections
            .iter()
            .filter(|section| section.kind == elf::SHT_DYNSYM)
            .filter_map(|section| Some((section, self.sections.get(section.link as usize)?)))
            // There is one; a second would not be the dynamic linker's.
            .take(1)
    }

    /// Where the dynamic symbols and their names are, by their sections: address
    /// and offset in the file.
    pub(super) fn symbols_at(&self) -> Option<[(u64, u64); 2]> {
        let (symbols, names) = self.symbol_tables().next()?;
        Some([(symbols.address, symbols.offset), (names.address, names.offset)])
    }

    /// Whether `check` holds for all dynamic symbols of this name that are
    /// defined; none if there is no such symbol.
    pub(super) fn all_symbols_named(
        &self,
        name: &str,
        check: impl Fn(&Symbol) -> bool,
    ) -> Result<Option<bool>, ImageError> {
        match self.wide {
            true => self.all_symbols_as::<elf::Sym64<Endianness>>(name, check),
            false => self.all_symbols_as::<elf::Sym32<Endianness>>(name, check),
        }
    }

    fn all_symbols_as<S: Sym<Endian = Endianness>>(
        &self,
        name: &str,
        check: impl Fn(&Symbol) -> bool,
    ) -> Result<Option<bool>, ImageError> {
        let Some((symbols, names)) = self.symbol_tables().next() else { return Ok(None) };
        if symbols.size > MAX_SYMBOLS * size_of::<S>() as u64 {
            return Err(damaged("it has more than a million dynamic symbols"));
        }
        let symbols = self.reader.read(symbols.offset, symbols.size)?;
        let names = self.reader.read(names.offset, names.size)?;
        let endian = self.endian;
        Ok(entries::<S>(&symbols)
            .filter(|symbol| is_name_at(&names, symbol.st_name(endian), name))
            .filter(|symbol| symbol.st_bind() != elf::STB_LOCAL && !symbol.is_undefined(endian))
            .map(|symbol| {
                check(&Symbol {
                    kind: symbol.st_type(),
                    section: symbol.st_shndx(endian),
                    value: symbol.st_value(endian).into(),
                    size: symbol.st_size(endian).into(),
                })
            })
            .reduce(|all, this| all && this))
    }
}

/// Counts the entries of the tables; what does not fit into the header is in the
/// first section's.
fn tables<H: FileHeader<Endian = Endianness>>(
    reader: &Reader<'_>,
    header: &H,
    endian: Endianness,
) -> Result<Tables, ImageError> {
    let (segments_at, sections_at): (u64, u64) =
        (header.e_phoff(endian).into(), header.e_shoff(endian).into());
    let segments = u64::from(header.e_phnum(endian));
    let mut sections = u64::from(header.e_shnum(endian));
    let mut names = u32::from(header.e_shstrndx(endian).0);
    let (segment_size, section_size) =
        (size_of::<H::ProgramHeader>(), size_of::<H::SectionHeader>());
    let has_other_entries = |count, found, size| count > 0 && usize::from(found) != size;
    if has_other_entries(segments, header.e_phentsize(endian), segment_size)
        || has_other_entries(sections_at, header.e_shentsize(endian), section_size)
    {
        return Err(damaged("its tables have entries of another size"));
    }
    if sections_at > 0 && (sections == 0 || names == u32::from(elf::SHN_XINDEX.0)) {
        let first = first_section::<H::SectionHeader>(reader, sections_at)?;
        if sections == 0 {
            sections = first.sh_size(endian).into();
        }
        if names == u32::from(elf::SHN_XINDEX.0) {
            names = first.sh_link(endian);
        }
    }
    if segments > MAX_SEGMENTS {
        return Err(damaged("it has more than 256 segments"));
    }
    if sections > MAX_SECTIONS {
        return Err(damaged("it has more than 65535 sections"));
    }
    let end = |at: u64, count: u64, size: usize| at.saturating_add(count * size as u64);
    let size =
        end(segments_at, segments, segment_size).max(end(sections_at, sections, section_size));
    Ok(Tables { segments, sections, names, size })
}

fn first_section<S: Pod>(reader: &Reader<'_>, at: u64) -> Result<S, ImageError> {
    let bytes = reader.read(at, size_of::<S>() as u64)?;
    let (first, _) = pod::from_bytes::<S>(&bytes).map_err(|()| damaged("it has no section"))?;
    Ok(*first)
}

/// Whether this name is there, and ends there. Never looks for an end: in a
/// forged table that may be megabytes away, for each of a million entries.
fn is_name_at(names: &[u8], at: u32, name: &str) -> bool {
    names
        .get(at as usize..)
        .and_then(|rest| rest.strip_prefix(name.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&0))
}
