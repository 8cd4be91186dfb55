//! Files made to do harm: headers that cost hours or gigabytes to read, or that
//! a test process survives and a host does not. Each lies beside a good plugin,
//! which must serve.

use std::fs;
use std::process::Command;

use object::elf;
use plugbay_loader::{ImageError, inspect, manifest_in};
use plugbay_tests::{Folder, build, with_embedded};
use serde_json::json;

/// A library whose header fields can be set: ELF, 64 bits, of this machine.
#[derive(Clone)]
struct Forged(Vec<u8>);

// Where the fields are, in bytes from the start of each header.
const E_SHOFF: usize = 40;
const E_PHNUM: usize = 56;
const E_SHNUM: usize = 60;
const P_OFFSET: usize = 8;
const P_VADDR: usize = 16;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;
const P_ALIGN: usize = 48;
const SH_OFFSET: usize = 24;
const SH_SIZE: usize = 32;
const ST_VALUE: usize = 8;

impl Forged {
    fn u16(&self, at: usize) -> usize {
        u16::from_ne_bytes(self.0[at..at + 2].try_into().unwrap()).into()
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn set(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn set64(self, at: usize, value: u64) -> Self {
        self.set(at, value.to_ne_bytes())
    }

    /// Where the program headers of a kind are.
    fn segments(&self, kind: elf::ProgramType) -> Vec<usize> {
        let first = self.u64(32) as usize;
        (0..self.u16(E_PHNUM))
            .map(|index| first + index * 56)
            .filter(|at| self.u32(*at) == kind.0)
            .collect()
    }

    fn segment(&self, kind: elf::ProgramType) -> usize {
        *self.segments(kind).last().expect("a segment of this kind")
    }

    /// Where a section's header is.
    fn section(&self, name: &str) -> usize {
        let header = |index: usize| self.u64(E_SHOFF) as usize + index * 64;
        let names = self.u64(header(self.u16(62)) + SH_OFFSET) as usize;
        (0..self.u16(E_SHNUM))
            .map(header)
            .find(|at| {
                let name_at = names + self.u32(*at) as usize;
                self.0[name_at..].starts_with(format!("{name}\0").as_bytes())
            })
            .expect("a section of this name")
    }

    /// Where a dynamic symbol is.
    fn symbol(&self, name: &str) -> usize {
        let names = self.u64(self.section(".dynstr") + SH_OFFSET) as usize;
        let symbols = self.section(".dynsym");
        let first = self.u64(symbols + SH_OFFSET) as usize;
        (0..self.u64(symbols + SH_SIZE) as usize / 24)
            .map(|index| first + index * 24)
            .find(|at| {
                let name_at = names + self.u32(*at) as usize;
                self.0[name_at..].starts_with(format!("{name}\0").as_bytes())
            })
            .expect("a symbol of this name")
    }

    /// Where the value of an entry of the dynamic section is.
    fn dynamic(&self, tag: elf::DynamicTag) -> usize {
        let first = self.u64(self.section(".dynamic") + SH_OFFSET) as usize;
        (first..)
            .step_by(16)
            .find(|at| self.u64(*at) == tag.0 as u64)
            .map(|at| at + 8)
            .expect("an entry with this tag")
    }

    /// Appends bytes, aligned to a page, and says where.
    fn append(mut self, bytes: &[u8]) -> (Self, u64) {
        self.0.resize(self.0.len().next_multiple_of(4096), 0);
        let at = self.0.len() as u64;
        self.0.extend_from_slice(bytes);
        (self, at)
    }
}

fn fixture() -> Forged {
    let whole = build("plugbay-fixture-misbehave");
    let stripped = tempfile::NamedTempFile::new().unwrap();
    let done = Command::new("strip").arg("-o").arg(stripped.path()).arg(&whole).status().unwrap();
    assert!(done.success());
    Forged(fs::read(stripped.path()).unwrap())
}

/// Starts a host on these files and a good plugin, which must serve; each file
/// must be refused with its code and these words.
fn all_refused(forged: Vec<(&str, Forged, &str, &str)>) {
    let folder = Folder::new();
    let good = with_embedded(&fixture().0, |embedded| {
        embedded.manifest.id = "goodness".parse().unwrap();
    });
    folder.write("good.so", good);
    for (name, file, ..) in &forged {
        folder.write(&format!("{name}.so"), &file.0);
    }
    let (host, report) = folder.start();
    assert_eq!(host.call("goodness", "echo", json!(7)).unwrap(), json!(7));
    for (name, _, code, words) in &forged {
        let file = format!("{name}.so");
        let refusal = report.refused.iter().find(|refusal| refusal.path.ends_with(&file));
        let shown = refusal.unwrap_or_else(|| panic!("{name} was taken")).to_string();
        assert!(shown.contains(code) && shown.contains(words), "{name}: {shown}");
    }
    assert_eq!(report.refused.len(), forged.len());
}

#[test]
fn thread_local_data_that_would_end_a_host_with_threads_is_refused() {
    let whole = fixture();
    let tls = whole.segment(elf::PT_TLS);
    let forge = |field, value| whole.clone().set64(tls + field, value);
    let second = whole.segment(elf::PT_GNU_STACK);
    let header = whole.0[tls..tls + 56].to_vec();
    all_refused(vec![
        ("huge", forge(P_MEMSZ, 8 << 30), "PB0211", "16 MiB of memory in each thread"),
        ("just", forge(P_MEMSZ, (16 << 20) + 1), "PB0211", "16 MiB of memory in each thread"),
        ("inside-out", forge(P_FILESZ, 15 << 20), "PB0211", "larger in the file than in memory"),
        (
            "beyond",
            forge(P_FILESZ, 15 << 20).set64(tls + P_MEMSZ, 15 << 20),
            "PB0211",
            "not in what is loaded",
        ),
        ("elsewhere", forge(P_VADDR, 0x7000_0000_0000), "PB0211", "not in what is loaded"),
        ("wrapped", forge(P_VADDR, u64::MAX - 7), "PB0211", "not in what is loaded"),
        ("odd", forge(P_ALIGN, 3), "PB0211", "impossible alignment"),
        ("wide", forge(P_ALIGN, 128 << 10), "PB0211", "impossible alignment"),
        ("twice", whole.clone().set(second, header), "PB0211", "more than one segment of thread"),
    ]);
}

#[test]
fn segments_that_would_overwrite_the_host_are_refused() {
    let whole = fixture();
    let [first, .., last] = *whole.segments(elf::PT_LOAD) else { panic!("two segments") };
    let forge = |kind, field, value| whole.clone().set64(whole.segment(kind) + field, value);
    all_refused(vec![
        ("huge", forge(elf::PT_LOAD, P_MEMSZ, 16 << 30), "PB0211", "more than 4 GiB"),
        ("far", forge(elf::PT_LOAD, P_VADDR, 1 << 46), "PB0211", "more than 4 GiB"),
        ("odd", forge(elf::PT_LOAD, P_ALIGN, 3), "PB0211", "impossible alignment"),
        ("wide", forge(elf::PT_LOAD, P_ALIGN, 1 << 62), "PB0211", "impossible alignment"),
        ("overlap", whole.clone().set64(last + P_VADDR, 0), "PB0211", "out of order"),
        ("order", whole.clone().set64(first + P_VADDR, 1 << 31), "PB0211", "out of order"),
        ("fixed", forge(elf::PT_GNU_RELRO, P_VADDR, 1 << 44), "PB0211", "not its own"),
        ("unwind", forge(elf::PT_GNU_EH_FRAME, P_VADDR, 1 << 44), "PB0211", "its unwind table"),
        ("dynamic", forge(elf::PT_DYNAMIC, P_VADDR, 1 << 44), "PB0211", "its dynamic section"),
    ]);
}

#[test]
fn a_root_that_is_no_data_of_the_library_is_refused() {
    let whole = fixture();
    let root = whole.symbol("plugbay_root");
    let value = whole.u64(root + ST_VALUE);
    let forge = |value| whole.clone().set64(root + ST_VALUE, value);
    let load = whole.segment(elf::PT_LOAD);
    let end = whole.u64(load + P_VADDR) + whole.u64(load + P_MEMSZ);
    all_refused(vec![
        ("wild", forge(0x70_0000_0000), "PB0220", "exports no"),
        ("wrapped", forge(u64::MAX - 7), "PB0220", "exports no"),
        ("unaligned", forge(value + 1), "PB0220", "exports no"),
        ("last", forge((end - 8) & !7), "PB0220", "exports no"),
        ("small", whole.clone().set64(root + 16, 8), "PB0220", "exports no"),
        ("function", whole.clone().set(root + 4, [0x12]), "PB0220", "exports no"),
        ("absolute", whole.clone().set(root + 6, [0xf1, 0xff]), "PB0220", "exports no"),
        ("undefined", whole.clone().set(root + 6, [0, 0]), "PB0220", "exports no"),
        (
            "elsewhere",
            whole.clone().set64(whole.dynamic(elf::DT_SYMTAB), 0x1000),
            "PB0211",
            "dynamic symbols are not where",
        ),
    ]);
}

#[test]
fn a_table_larger_than_any_real_one_is_refused_unread() {
    let whole = fixture();
    let section = [0; 64];
    // More sections than the header can count are counted by the first one.
    let sections = |count: u64| {
        let (forged, at) = whole.clone().append(&section.repeat(count as usize));
        let forged = forged.set64(E_SHOFF, at).set(E_SHNUM, [0; 4]);
        forged.set64(at as usize + SH_SIZE, count)
    };
    let names = whole.section(".shstrtab");
    let (long_names, at) = whole.clone().append(&vec![b'a'; (1 << 20) + 1]);
    let long_names = long_names.set64(names + SH_OFFSET, at).set64(names + SH_SIZE, (1 << 20) + 1);
    let claims = |count| sections(1).set64(whole.0.len().next_multiple_of(4096) + SH_SIZE, count);
    let dynamic = whole.segment(elf::PT_DYNAMIC);
    let (long_dynamic, at) = whole.clone().append(&vec![1; (64 << 10) + 16]);
    let long_dynamic = long_dynamic
        .set64(dynamic + P_OFFSET, at)
        .set64(dynamic + P_FILESZ, (64 << 10) + 16)
        .set64(dynamic + P_MEMSZ, (64 << 10) + 16);
    all_refused(vec![
        ("sections", sections(65_536), "PB0211", "more than 65535 sections"),
        ("many", sections(65_535), "PB0214", "no plugin"),
        ("announced", claims(1 << 60), "PB0211", "more than 65535 sections"),
        ("segments", whole.clone().set(E_PHNUM, [1, 1]), "PB0211", "more than 256 segments"),
        ("names", long_names, "PB0211", "longer than 1 MiB"),
        ("dynamic", long_dynamic, "PB0211", "dynamic section"),
    ]);
}

#[test]
fn a_million_symbols_in_a_name_without_an_end_cost_no_more_than_their_reading() {
    const SYMBOLS: u64 = 1 << 20;
    let whole = fixture();
    let symbol = {
        let mut symbol = [0; 24];
        symbol[0] = 1;
        symbol[4] = 0x11;
        symbol[6] = 5;
        // Where no root can be.
        symbol[8] = 1;
        symbol
    };
    // Mapped by one more segment, so that the dynamic linker would find them.
    let forge = |count: u64, name: &[u8]| {
        let mut tables = symbol.repeat(count as usize);
        tables.resize(tables.len() + (4 << 20), b'a');
        let names_at = (count * 24) as usize;
        tables[names_at..names_at + name.len()].copy_from_slice(name);
        let size = tables.len() as u64;
        let (forged, at) = whole.clone().append(&tables);
        let address = 1 << 30;
        let segment = forged.segment(elf::PT_GNU_STACK);
        let (symbols, names) = (forged.section(".dynsym"), forged.section(".dynstr"));
        let [symbol_entry, name_entry] =
            [elf::DT_SYMTAB, elf::DT_STRTAB].map(|t| forged.dynamic(t));
        let forged = forged
            .set(segment, elf::PT_LOAD.0.to_ne_bytes())
            .set64(segment + P_OFFSET, at)
            .set64(segment + P_VADDR, address)
            .set64(segment + P_FILESZ, size)
            .set64(segment + P_MEMSZ, size)
            .set64(segment + P_ALIGN, 4096);
        let table = |forged: Forged, header: usize, entry: usize, from: u64, size: u64| {
            forged
                .set64(header + 16, address + from)
                .set64(header + SH_OFFSET, at + from)
                .set64(header + SH_SIZE, size)
                .set64(entry, address + from)
        };
        let forged = table(forged, symbols, symbol_entry, 0, count * 24);
        table(forged, names, name_entry, count * 24, 4 << 20)
    };
    all_refused(vec![
        ("endless", forge(SYMBOLS, b"aaaa"), "PB0220", "exports no"),
        ("all-roots", forge(SYMBOLS, b"aplugbay_root\0"), "PB0220", "exports no"),
        ("too-many", forge(SYMBOLS + 1, b"aaaa"), "PB0211", "more than a million"),
    ]);
}

#[test]
fn a_second_manifest_is_refused_for_nobody_knows_which_one_counts() {
    let whole = fixture();
    let name = whole.u32(whole.section(".plugbay"));
    let twice = whole.clone().set(whole.section(".comment"), name.to_ne_bytes());
    assert!(matches!(manifest_in(&twice.0), Err(ImageError::Damaged { .. })));
    all_refused(vec![("twice", twice, "PB0211", "more than one manifest section")]);
}

#[test]
fn a_manifest_that_would_garble_what_people_read_is_refused() {
    let whole = fixture();
    let garbled = with_embedded(&whole.0, |embedded| embedded.facts.target = "\u{1b}[2J".into());
    let words = "target is not 1 to 200 printable ASCII characters";
    all_refused(vec![("garbled", Forged(garbled), "PB0216", words)]);
    let version = whole.section(".plugbay");
    let nothing = whole.clone().set64(version + SH_SIZE, u64::MAX);
    assert!(matches!(inspect(&nothing.0), Err(ImageError::Manifest(_))));
}
