//! The manifest section, and the names in the texts that cross.

use std::collections::BTreeMap;

use plugbay_interface::abi::{FaultKind, ROOT_SYMBOL};
use plugbay_interface::manifest::section::{
    FORMAT, HEADER_LEN, MACHO_NAME, MAGIC, MAX_PAYLOAD, NAME, SYMBOL, encode, encoded_len,
};
use plugbay_interface::manifest::{Command, Facts, Manifest};
use serde::Deserialize;
use serde_aux::serde_introspection::serde_introspect;

use crate::ledger::Entry;

/// A payload like any other, so that the whole header is seen.
const SAMPLE: &[&str] = &["{\"interface\":\"1.0.0\"}"];
const WRITTEN: [u8; encoded_len(SAMPLE)] = encode(SAMPLE);

/// What can be said of them.
pub fn entries() -> BTreeMap<String, Entry> {
    let header = WRITTEN.iter().take(HEADER_LEN).map(|byte| format!("{byte:02x}"));
    let constants = [
        ("section in ELF and PE", NAME.to_owned()),
        ("section in Mach-O", MACHO_NAME.to_owned()),
        ("symbol of the section", SYMBOL.to_owned()),
        ("symbol of the root", ROOT_SYMBOL.to_owned()),
        ("magic", MAGIC.escape_ascii().to_string()),
        ("format", FORMAT.to_string()),
        ("bytes before the payload", HEADER_LEN.to_string()),
        ("longest payload", MAX_PAYLOAD.to_string()),
        ("header of {\"interface\":\"1.0.0\"}", header.collect()),
    ];
    let kinds = [
        ("ERROR", FaultKind::ERROR),
        ("PANIC", FaultKind::PANIC),
        ("UNKNOWN_COMMAND", FaultKind::UNKNOWN_COMMAND),
        ("ARGUMENTS", FaultKind::ARGUMENTS),
        ("CONFIG", FaultKind::CONFIG),
        ("STATE", FaultKind::STATE),
    ];
    let text = |(name, value): (&str, String)| (name.to_owned(), value);
    BTreeMap::from([
        ("the manifest section".to_owned(), Entry::names(constants.map(text))),
        (
            "the numbers of FaultKind".to_owned(),
            Entry::names(kinds.map(|(name, kind)| (name.to_owned(), kind.0.to_string()))),
        ),
        keys::<Facts>("the payload, beside `manifest`"),
        keys::<Manifest>("`manifest` in the payload"),
        keys::<Command>("`commands` in the manifest"),
    ])
}

/// The keys that serde reads.
pub fn keys<T: for<'a> Deserialize<'a>>(of: &str) -> (String, Entry) {
    let keys = serde_introspect::<T>().iter().map(|key| ((*key).to_owned(), String::new()));
    (format!("the keys of {of}"), Entry::names(keys))
}
