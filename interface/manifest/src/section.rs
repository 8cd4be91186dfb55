//! The manifest's form inside a library file.
//!
//! ```text
//! 0   8 bytes   magic "PLUGBAY\0"
//! 8   u32 LE    format, 1
//! 12  u32 LE    length of the payload, in bytes
//! 16  u32 LE    CRC-32 (ISO-HDLC) of the payload
//! 20  u32 LE    reserved, 0
//! 24  payload   UTF-8 JSON: {"interface":…,"rustc":…,"target":…,"panic":…,"manifest":{…}}
//! ```
//!
//! The section may be longer than that: linkers pad. The checksum is there to
//! find damage, not to stop a forger.

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Embedded, Facts, Manifest};

/// The section's name in ELF and PE files.
pub const NAME: &str = ".plugbay";
/// The section's name in Mach-O files, in the segment `__DATA`.
pub const MACHO_NAME: &str = "__plugbay";
/// The exported symbol that keeps the section from the linker's garbage collection.
pub const SYMBOL: &str = "plugbay_manifest";
/// The first bytes of the section.
pub const MAGIC: [u8; 8] = *b"PLUGBAY\0";
/// The format that this crate writes.
pub const FORMAT: u32 = 1;
/// The bytes before the payload.
pub const HEADER_LEN: usize = 24;
/// The longest payload, in bytes: 1 MiB.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// The longest of the texts in [`Facts`], in bytes.
pub const MAX_WORDS: usize = 200;
/// The longest version, in bytes: it becomes part of a file's name.
pub const MAX_VERSION: usize = 64;

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What is wrong with a manifest section.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// Shorter than its header, or than its header says.
    #[error("the section has {found} bytes, and {expected} were announced")]
    Short {
        /// Bytes that the section should have at least.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// Does not begin with [`MAGIC`].
    #[error("the section does not begin with the mark of a manifest")]
    Magic,
    /// Written in a format that this crate does not read.
    #[error("the section has format {found}, and this host reads format {FORMAT}")]
    Format {
        /// The format found.
        found: u32,
    },
    /// Longer than [`MAX_PAYLOAD`].
    #[error("the manifest says it has {found} bytes, and at most {MAX_PAYLOAD} are read")]
    Long {
        /// The length that the header gives, in bytes.
        found: usize,
    },
    /// The payload is not what was written.
    #[error("the checksum is {found:08x}, and {expected:08x} was written")]
    Checksum {
        /// The checksum in the header.
        expected: u32,
        /// The checksum of the payload found.
        found: u32,
    },
    /// One of the facts of the build is no short line of text.
    #[error("its {field} is not 1 to {most} printable ASCII characters")]
    Words {
        /// Which one, in words.
        field: &'static str,
        /// The most bytes that it may have.
        most: usize,
    },
    /// The facts of the build cannot be read.
    #[error("the facts of the build cannot be read")]
    Facts(#[source] serde_json::Error),
    /// The manifest itself cannot be read.
    #[error("the manifest cannot be read")]
    Manifest(#[source] serde_json::Error),
}

/// The payload, checked and not yet read.
#[derive(Debug)]
pub struct Payload<'data> {
    facts: Facts,
    manifest: &'data RawValue,
}

/// [`Facts`] and the manifest's text; serde's `flatten` cannot hold raw text.
#[derive(Deserialize)]
struct RawPayload<'data> {
    interface: semver::Version,
    rustc: String,
    target: String,
    panic: String,
    #[serde(borrow)]
    manifest: &'data RawValue,
}

impl<'data> Payload<'data> {
    /// Checks the section's header and checksum and reads the facts of the build.
    ///
    /// `section` is the whole content of the section, padding included. Never
    /// panics, whatever the bytes; reads at most [`MAX_PAYLOAD`] bytes.
    pub fn parse(section: &'data [u8]) -> Result<Self, SectionError> {
        let short = |expected| SectionError::Short { expected, found: section.len() };
        let (magic, rest) = section.split_first_chunk::<8>().ok_or(short(HEADER_LEN))?;
        if *magic != MAGIC {
            return Err(SectionError::Magic);
        }
        let (numbers, rest) = rest.split_first_chunk::<16>().ok_or(short(HEADER_LEN))?;
        let number = |index: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&numbers[index * 4..index * 4 + 4]);
            u32::from_le_bytes(bytes)
        };
        if number(0) != FORMAT {
            return Err(SectionError::Format { found: number(0) });
        }
        let length = number(1) as usize;
        if length > MAX_PAYLOAD {
            return Err(SectionError::Long { found: length });
        }
        let payload = rest.get(..length).ok_or(short(HEADER_LEN + length))?;
        let found = CHECKSUM.checksum(payload);
        if found != number(2) {
            return Err(SectionError::Checksum { expected: number(2), found });
        }
        let raw: RawPayload<'data> =
            serde_json::from_slice(payload).map_err(SectionError::Facts)?;
        let RawPayload { interface, rustc, target, panic, manifest } = raw;
        // They are shown to people, also where the rest is refused unread.
        check_words("compiler", &rustc, MAX_WORDS)?;
        check_words("target", &target, MAX_WORDS)?;
        check_words("panic strategy", &panic, MAX_WORDS)?;
        check_words("interface version", &interface.to_string(), MAX_VERSION)?;
        Ok(Self { facts: Facts { interface, rustc, target, panic }, manifest })
    }

    /// How the library was built.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Reads the manifest. To be called once the facts are known to fit.
    pub fn read(self) -> Result<Embedded, SectionError> {
        let manifest: Manifest =
            serde_json::from_str(self.manifest.get()).map_err(SectionError::Manifest)?;
        check_words("version", &manifest.version.to_string(), MAX_VERSION)?;
        Ok(Embedded { facts: self.facts, manifest })
    }
}

fn check_words(field: &'static str, text: &str, most: usize) -> Result<(), SectionError> {
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if (1..=most).contains(&text.len()) && text.bytes().all(printable) {
        return Ok(());
    }
    Err(SectionError::Words { field, most })
}

/// The section's bytes for a payload, as the compiler builds them into a library.
///
/// `N` is [`encoded_len`] of the same parts; the payload is the parts, one after
/// the other.
pub const fn encode<const N: usize>(parts: &[&str]) -> [u8; N] {
    assert!(N == encoded_len(parts), "N must be encoded_len(parts)");
    assert!(N - HEADER_LEN <= MAX_PAYLOAD, "plugin.toml gives a manifest of more than 1 MiB");
    let mut section = [0; N];
    let mut digest = CHECKSUM.digest();
    let mut at = HEADER_LEN;
    let mut part = 0;
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        digest.update(bytes);
        let mut byte = 0;
        while byte < bytes.len() {
            section[at] = bytes[byte];
            at += 1;
            byte += 1;
        }
        part += 1;
    }
    put(&mut section, 0, &MAGIC);
    put(&mut section, 8, &FORMAT.to_le_bytes());
    put(&mut section, 12, &((N - HEADER_LEN) as u32).to_le_bytes());
    put(&mut section, 16, &digest.finalize().to_le_bytes());
    section
}

/// The length of the section for these parts, in bytes.
pub const fn encoded_len(parts: &[&str]) -> usize {
    let mut len = HEADER_LEN;
    let mut part = 0;
    while part < parts.len() {
        len += parts[part].len();
        part += 1;
    }
    len
}

const fn put<const N: usize>(section: &mut [u8; N], at: usize, bytes: &[u8]) {
    let mut byte = 0;
    while byte < bytes.len() {
        section[at + byte] = bytes[byte];
        byte += 1;
    }
}

/// The section's bytes for a manifest that is known only now: for tools that
/// write or rewrite library files.
pub fn write(embedded: &Embedded) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Out<'a> {
        #[serde(flatten)]
        facts: &'a Facts,
        manifest: &'a Manifest,
    }
    let payload =
        serde_json::to_vec(&Out { facts: &embedded.facts, manifest: &embedded.manifest })?;
    let mut section = Vec::with_capacity(HEADER_LEN + payload.len());
    section.extend_from_slice(&MAGIC);
    section.extend_from_slice(&FORMAT.to_le_bytes());
    section.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    section.extend_from_slice(&CHECKSUM.checksum(&payload).to_le_bytes());
    section.extend_from_slice(&0u32.to_le_bytes());
    section.extend_from_slice(&payload);
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &[&str] = &[
        r#"{"interface":"1.0.0","rustc":"rustc 1.95.0","target":"t","panic":"unwind","manifest":"#,
        r#"{"id":"x","name":"X","version":"0.1.0","later":true}"#,
        "}",
    ];
    const SECTION: [u8; encoded_len(PARTS)] = encode(PARTS);

    fn read(section: &[u8]) -> Result<Embedded, SectionError> {
        Payload::parse(section)?.read()
    }

    #[test]
    fn what_the_compiler_writes_is_read_back_and_later_keys_are_passed_over() {
        let embedded = read(&SECTION).unwrap();
        assert_eq!(embedded.facts.rustc, "rustc 1.95.0");
        assert_eq!(embedded.manifest.id.as_str(), "x");
        let again = write(&embedded).unwrap();
        assert_eq!(read(&again).unwrap(), embedded);
    }

    #[test]
    fn padding_is_no_damage() {
        let mut padded = SECTION.to_vec();
        padded.extend_from_slice(&[0; 40]);
        assert!(read(&padded).is_ok());
    }

    #[test]
    fn texts_of_the_build_are_short_and_printable() {
        let good = read(&SECTION).unwrap();
        let refusal = |change: fn(&mut Embedded)| {
            let mut embedded = good.clone();
            change(&mut embedded);
            match read(&write(&embedded).unwrap()) {
                Err(SectionError::Words { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        let mut longest = good.clone();
        longest.facts.rustc = "r".repeat(MAX_WORDS);
        longest.manifest.version = version_of(MAX_VERSION);
        assert_eq!(read(&write(&longest).unwrap()).unwrap(), longest);

        assert_eq!(refusal(|e| e.facts.rustc = "r".repeat(MAX_WORDS + 1)), "compiler");
        assert_eq!(refusal(|e| e.facts.target = "\u{1b}[2J".into()), "target");
        assert_eq!(refusal(|e| e.facts.panic = String::new()), "panic strategy");
        assert_eq!(
            refusal(|e| e.facts.interface = version_of(MAX_VERSION + 1)),
            "interface version"
        );
        assert_eq!(refusal(|e| e.manifest.version = version_of(MAX_VERSION + 1)), "version");
    }

    fn version_of(len: usize) -> semver::Version {
        format!("1.0.0-{}", "a".repeat(len - 6)).parse().unwrap()
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        for at in (0..SECTION.len()).filter(|at| !(20..24).contains(at)) {
            for bit in 0..8 {
                let mut damaged = SECTION;
                damaged[at] ^= 1 << bit;
                assert!(read(&damaged).is_err(), "byte {at}, bit {bit}");
            }
        }
        for len in 0..SECTION.len() {
            assert!(read(&SECTION[..len]).is_err(), "{len} bytes");
        }
    }
}
