//! The manifest is read from libraries of every platform, without loading them.

use std::path::{Path, PathBuf};
use std::process::Command;

use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};
use plugbay_interface::manifest::{Embedded, Facts, section};
use plugbay_loader::{Explain, ImageError, VerifyOptions, Workspace, manifest_in, verify};
use plugbay_tests::build;

fn embedded(target: &str) -> Embedded {
    let manifest = serde_json::from_value(serde_json::json!({
        "id": "elsewhere", "name": "Elsewhere", "version": "1.2.3",
    }))
    .unwrap();
    let facts = Facts {
        interface: plugbay_interface::VERSION.parse().unwrap(),
        rustc: "rustc 1.95.0".into(),
        target: target.into(),
        panic: "unwind".into(),
    };
    Embedded::new(facts, manifest)
}

/// An object file with nothing but the manifest section and its symbol.
fn object_file(format: BinaryFormat, embedded: &Embedded) -> Vec<u8> {
    let mut object = Object::new(format, Architecture::X86_64, Endianness::Little);
    let (segment, name) = match format {
        BinaryFormat::MachO => (b"__DATA".to_vec(), section::MACHO_NAME),
        _ => (Vec::new(), section::NAME),
    };
    let id = object.add_section(segment, name.into(), SectionKind::ReadOnlyData);
    let bytes = section::write(embedded).unwrap();
    let size = bytes.len() as u64;
    object.append_section_data(id, &bytes, 8);
    object.add_symbol(Symbol {
        name: section::SYMBOL.into(),
        value: 0,
        size,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(id),
        flags: SymbolFlags::None,
    });
    object.write().unwrap()
}

/// The linker that comes with the compiler and knows all formats.
fn lld() -> PathBuf {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let sysroot = String::from_utf8(sysroot).unwrap();
    Path::new(sysroot.trim())
        .join(format!("lib/rustlib/{}/bin/rust-lld", env!("PLUGBAY_TEST_TARGET")))
}

/// A real library of that platform.
fn library(format: BinaryFormat, embedded: &Embedded) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (object, library) = (dir.path().join("x.o"), dir.path().join("x.lib"));
    std::fs::write(&object, object_file(format, embedded)).unwrap();
    let mut link = Command::new(lld());
    match format {
        BinaryFormat::Coff => link
            .args(["-flavor", "link", "/dll", "/noentry", "/nologo", "/machine:x64"])
            .arg(format!("/export:{},DATA", section::SYMBOL))
            .arg(format!("/out:{}", library.display())),
        BinaryFormat::MachO => link
            .args(["-flavor", "darwin", "-dylib", "-arch", "x86_64"])
            .args(["-platform_version", "macos", "11.0", "11.0", "-o"])
            .arg(&library),
        _ => link.args(["-flavor", "gnu", "-shared", "-o"]).arg(&library),
    };
    let done = link.arg(&object).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(library).unwrap()
}

#[test]
fn a_manifest_is_read_from_elf_pe_and_mach_o() {
    for (format, target) in [
        (BinaryFormat::Elf, "x86_64-unknown-linux-gnu"),
        (BinaryFormat::Coff, "x86_64-pc-windows-msvc"),
        (BinaryFormat::MachO, "x86_64-apple-darwin"),
    ] {
        let written = embedded(target);
        let library = library(format, &written);
        assert_eq!(manifest_in(&library).unwrap(), written, "{format:?}");
    }
}

#[test]
fn a_library_of_another_platform_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(&dir.path().join("live")).unwrap();
    for (format, target, words) in [
        (BinaryFormat::Coff, "x86_64-pc-windows-msvc", "found a Windows library"),
        (BinaryFormat::MachO, "x86_64-apple-darwin", "found a macOS library"),
    ] {
        let path = dir.path().join("x.so");
        std::fs::write(&path, library(format, &embedded(target))).unwrap();
        let error =
            verify(plugbay_loader::discover_file(&path), &workspace, &VerifyOptions::default())
                .map(|_| ())
                .unwrap_err();
        assert_eq!(error.code(), "PB0209");
        let message = error.to_string();
        let plugin = format!("(plugin elsewhere 1.2.3, built for {target})");
        assert!(message.contains(words) && message.contains(&plugin), "{message}");
    }
}

#[test]
fn a_stripped_library_keeps_its_manifest() {
    let whole = build("plugbay-fixture-misbehave");
    let stripped = tempfile::NamedTempFile::new().unwrap();
    let done = Command::new("strip")
        .args(["--strip-all", "-o"])
        .args([stripped.path(), &whole])
        .status()
        .unwrap();
    assert!(done.success());
    let read = |path: &Path| manifest_in(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(read(stripped.path()), read(&whole));
    assert!(matches!(manifest_in(&b"nothing"[..]), Err(ImageError::NotALibrary { .. })));
}
