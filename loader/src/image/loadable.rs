//! Which ELF headers the dynamic linker may be given. It maps, protects and
//! reads where they say, and much of that not at once: a test process survives
//! what ends a host with many threads, or one that unwinds through the library.

use object::elf;
use plugbay_interface::abi::ROOT_SYMBOL;
use plugbay_interface::abi::abi_stable::library::LibHeader;

use super::damaged;
use super::elf::{Elf, Segment, Symbol};
use crate::verify::ImageError;

/// The most memory that a library may take, in bytes.
const MAX_MEMORY: u64 = 4 << 30;
/// The largest page that there is.
const MAX_ALIGN: u64 = 1 << 30;
/// The most memory that a library may take in each thread, present and future.
const MAX_THREAD_MEMORY: u64 = 16 << 20;
const MAX_THREAD_ALIGN: u64 = 64 << 10;

/// A library, whole, with headers that do no harm.
pub(super) fn check(elf: &Elf<'_>) -> Result<(), ImageError> {
    if elf.kind != elf::ET_DYN {
        return Err(ImageError::NotShared {
            found: match elf.kind {
                elf::ET_EXEC => "an executable".into(),
                elf::ET_REL => "an object file, not linked yet".into(),
                elf::ET_CORE => "a core dump".into(),
                _ => "an ELF file of unknown type".into(),
            },
        });
    }
    check_loads(elf)?;
    if is_program(elf)? {
        return Err(ImageError::NotShared { found: "an executable".into() });
    }
    for segment in &elf.segments {
        check_segment(elf, segment)?;
    }
    for (kind, reason) in [
        (elf::PT_DYNAMIC, "it has more than one dynamic section"),
        (elf::PT_TLS, "it has more than one segment of thread-local data"),
    ] {
        if elf.segments.iter().filter(|segment| segment.kind == kind).count() > 1 {
            return Err(damaged(reason));
        }
    }
    Ok(())
}

/// What is mapped. The dynamic linker reserves memory from the first segment's
/// start to the last one's end, and overwrites what lies elsewhere.
fn check_loads(elf: &Elf<'_>) -> Result<(), ImageError> {
    let mut start = None;
    let mut free_from = 0;
    for load in elf.loads() {
        let in_file = load.offset.saturating_add(load.in_file);
        if in_file > elf.length() {
            return Err(ImageError::Truncated { expected: in_file, found: elf.length() });
        }
        if load.in_file > load.in_memory {
            return Err(damaged("a segment is larger in the file than in memory"));
        }
        if !is_align(load.align, MAX_ALIGN) {
            return Err(damaged("a segment has an impossible alignment"));
        }
        if load.address < free_from {
            return Err(damaged("its segments overlap or are out of order"));
        }
        let start = *start.get_or_insert(load.address);
        free_from = load.address.saturating_add(load.in_memory);
        if free_from - start > MAX_MEMORY {
            return Err(damaged("it would take more than 4 GiB of memory"));
        }
    }
    if start.is_none() {
        return Err(damaged("it has nothing to load"));
    }
    Ok(())
}

/// A position-independent executable has the type of a library; what tells it
/// apart is the PIE flag. (An interpreter alone does not: libc.so.6 has one.)
fn is_program(elf: &Elf<'_>) -> Result<bool, ImageError> {
    if !elf.segments.iter().any(|segment| segment.kind == elf::PT_INTERP) {
        return Ok(false);
    }
    let flags = elf.dynamic(elf::DT_FLAGS_1)?;
    Ok(flags.is_some_and(|flags| flags & elf::DF_1_PIE.0 != 0))
}

/// NODELETE.
pub(super) fn is_never_unmapped(elf: &Elf<'_>) -> bool {
    let flags = elf.dynamic(elf::DT_FLAGS_1);
    flags.is_ok_and(|flags| flags.is_some_and(|flags| flags & elf::DF_1_NODELETE.0 != 0))
}

fn check_segment(elf: &Elf<'_>, segment: &Segment) -> Result<(), ImageError> {
    let outside = |segment: &Segment| {
        segment.in_file > 0 && elf.offset_of(segment.address, segment.in_file).is_none()
    };
    let reason = match segment.kind {
        elf::PT_TLS if segment.in_file > segment.in_memory => {
            "its thread-local data is larger in the file than in memory"
        }
        elf::PT_TLS if segment.in_memory > MAX_THREAD_MEMORY => {
            "it would take more than 16 MiB of memory in each thread"
        }
        elf::PT_TLS if !is_align(segment.align, MAX_THREAD_ALIGN) => {
            "its thread-local data has an impossible alignment"
        }
        // Copied whenever a thread first uses it.
        elf::PT_TLS if outside(segment) => "its thread-local data is not in what is loaded",
        elf::PT_DYNAMIC if outside(segment) => "its dynamic section is not in what is loaded",
        // Read for each backtrace and panic in this process, whose ever it is.
        elf::PT_GNU_EH_FRAME if outside(segment) => "its unwind table is not in what is loaded",
        elf::PT_PHDR
            if elf.offset_of(segment.address, segment.in_file) != Some(elf.segments_at) =>
        {
            "its program headers are not where they say"
        }
        elf::PT_GNU_RELRO if !can_be_protected(elf, segment) => {
            "it would make memory read-only that is not its own"
        }
        _ => return Ok(()),
    };
    Err(damaged(reason))
}

/// Within one segment in memory, up to the end of its last page.
fn can_be_protected(elf: &Elf<'_>, relro: &Segment) -> bool {
    elf.loads().any(|load| {
        let page = load.align.max(4096);
        let end = load.address.saturating_add(load.in_memory).checked_next_multiple_of(page);
        relro.address >= load.address
            && relro
                .address
                .checked_add(relro.in_memory)
                .is_some_and(|relro_end| end.is_none_or(|end| relro_end <= end))
    })
}

fn is_align(align: u64, most: u64) -> bool {
    align == 0 || align.is_power_of_two() && align <= most
}

/// The ABI root is what `load.rs` takes it for: data in this library, at least
/// as large as the header that is read there, and aligned.
pub(super) fn check_root(elf: &Elf<'_>) -> Result<(), ImageError> {
    // Checked by its section, and looked up by the dynamic one.
    if let Some([symbols, names]) = elf.symbols_at() {
        for (tag, (address, offset)) in [(elf::DT_SYMTAB, symbols), (elf::DT_STRTAB, names)] {
            if elf.dynamic(tag)? != Some(address) || elf.offset_of(address, 1) != Some(offset) {
                return Err(damaged("its dynamic symbols are not where their section says"));
            }
        }
    }
    match elf.all_symbols_named(ROOT_SYMBOL, |symbol| is_root(elf, symbol))? {
        Some(true) => Ok(()),
        _ => Err(ImageError::NoRoot),
    }
}

fn is_root(elf: &Elf<'_>, symbol: &Symbol) -> bool {
    let least = size_of::<LibHeader>() as u64;
    let Some(end) = symbol.value.checked_add(symbol.size.max(least)) else { return false };
    matches!(symbol.kind, elf::STT_OBJECT | elf::STT_NOTYPE)
        // Absolute ones are not moved along with the library.
        && !symbol.section.is_special()
        && (symbol.size == 0 || symbol.size >= least)
        && symbol.value.is_multiple_of(align_of::<LibHeader>() as u64)
        && elf.loads().any(|load| {
            load.address <= symbol.value && end <= load.address.saturating_add(load.in_memory)
        })
}
