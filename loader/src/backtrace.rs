//! Names for the return addresses that a panicking plugin sent along.
//!
//! Done on the host's side, while the generation is mapped, and forgotten at
//! once: a symbolizer keeps the library's file mapped.

use std::ffi::c_void;

use crate::platform;

/// One line a frame, from the panic to the plugin's entry point.
pub(crate) fn symbolize(frames: &[u64]) -> Vec<String> {
    if frames.is_empty() {
        return Vec::new();
    }
    // The innermost frame is the plugin's own panic hook; where another library
    // begins, the host has called. A library without names still has addresses.
    let Some(library) = frames.first().and_then(|address| platform::library_of(*address)) else {
        return Vec::new();
    };
    // What is known of mapped libraries may be from before this one was loaded,
    // by another thread of the process; afterwards it would keep files mapped.
    backtrace::clear_symbol_cache();
    let lines: Vec<_> = frames
        .iter()
        .take_while(|address| platform::library_of(**address) == Some(library))
        .flat_map(|address| lines_of(*address, library))
        .collect();
    backtrace::clear_symbol_cache();

    // What lies between the panic machinery and the plugin's entry point. The
    // interface calls the plugin, so its first frame from the inside is the end.
    let begin = lines
        .iter()
        .take_while(|(name, _)| !is_entry(name))
        .enumerate()
        .filter(|(_, (name, _))| is_panic_machinery(name))
        .last()
        .map_or(0, |(at, _)| at + 1);
    lines
        .iter()
        .skip(begin)
        .take_while(|(name, _)| !is_entry(name))
        .enumerate()
        .map(|(at, (_, line))| format!("{at:>2}: {line}"))
        .collect()
}

/// A return address points behind the call; the call is what is looked for.
/// Inlined functions make several lines of one address.
fn lines_of(address: u64, library: u64) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    backtrace::resolve((address.saturating_sub(1)) as usize as *mut c_void, |symbol| {
        let Some(name) = symbol.name().map(|name| format!("{name:#}")) else { return };
        let place = match (symbol.filename(), symbol.lineno()) {
            (Some(file), Some(line)) => format!(" at {}:{line}", file.display()),
            _ => String::new(),
        };
        let line = format!("{name}{place}");
        lines.push((name, line));
    });
    if lines.is_empty() {
        lines.push(("?".into(), format!("{:#x} in the plugin's library", address - library)));
    }
    lines
}

fn is_panic_machinery(name: &str) -> bool {
    ["std::panicking::", "core::panicking::", "std::sys::backtrace::"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name.contains("rust_begin_unwind")
}

/// Where the interface calls the plugin: the call of a handler, and the guard.
fn is_entry(name: &str) -> bool {
    name.contains("plugbay_interface::commands::")
        || name.contains("plugbay_interface::export::")
        || name.starts_with("__rust_try")
}
