//! Finds the manifest in libraries of other platforms. They are never loaded,
//! so nothing else in them is looked at.

use object::macho::MachHeader64;
use object::pe::{ImageDosHeader, ImageNtHeaders32, ImageNtHeaders64};
use object::read::macho::{MachHeader, Section, Segment};
use object::read::pe::ImageNtHeaders;
use object::{Endianness, FileKind, LittleEndian as LE};
use plugbay_interface::manifest::section;

use super::reader::Reader;
use super::{Range, damaged};
use crate::verify::ImageError;

/// How much of the file is looked at; linkers put the headers first.
const MAX_HEADERS: u64 = 1 << 20;

/// Whether a file that begins so is one of these.
pub(super) fn is_library(start: &[u8]) -> bool {
    matches!(start, [b'M', b'Z', ..] | [0xcf, 0xfa, 0xed, 0xfe, ..])
}

/// The manifest sections; at most two are given.
pub(super) fn sections(reader: Reader<'_>) -> Result<Vec<Range>, ImageError> {
    let headers = &*reader.start(MAX_HEADERS)?;
    let found = match FileKind::parse(headers) {
        Ok(FileKind::Pe32) => in_pe::<ImageNtHeaders32>(headers),
        Ok(FileKind::Pe64) => in_pe::<ImageNtHeaders64>(headers),
        Ok(FileKind::MachO64) => in_mach_o(headers),
        _ => return Err(damaged("its headers make no sense")),
    };
    found.map_err(|error| damaged(&error.to_string()))
}

fn in_pe<Pe: ImageNtHeaders>(start: &[u8]) -> object::Result<Vec<Range>> {
    let mut offset = ImageDosHeader::parse(start)?.nt_headers_offset().into();
    let (headers, _) = Pe::parse(start, &mut offset)?;
    let named = |name: &[u8]| name == section::NAME.as_bytes();
    Ok(headers
        .sections(start, offset)?
        .iter()
        // Names of more than 8 bytes are elsewhere, and this is none.
        .filter(|section| named(section.raw_name()))
        .map(|section| Range {
            offset: section.pointer_to_raw_data.get(LE).into(),
            // Neither the padding of the file nor that of the memory.
            size: section.virtual_size.get(LE).min(section.size_of_raw_data.get(LE)).into(),
        })
        .take(2)
        .collect())
}

/// Of 64 bits and little-endian; macOS runs no others any more.
fn in_mach_o(start: &[u8]) -> object::Result<Vec<Range>> {
    let header = MachHeader64::<Endianness>::parse(start, 0)?;
    let endian = header.endian()?;
    let mut found = Vec::new();
    let mut commands = header.load_commands(endian, start, 0)?;
    while let Some(command) = commands.next()? {
        let Some((segment, sections)) = command.segment_64()? else { continue };
        for section in segment.sections(endian, sections)? {
            if section.name() == section::MACHO_NAME.as_bytes() {
                found.push(Range {
                    offset: section.offset(endian).into(),
                    size: section.size(endian),
                });
            }
        }
    }
    found.truncate(2);
    Ok(found)
}
