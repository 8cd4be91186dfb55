//! Names for the return addresses that a panicking plugin sent along.
//!
//! Done on the host's side, while the generation is mapped, and with nothing kept
//! afterwards: a symbolizer with a cache keeps the library's file mapped, and
//! does not know the libraries that came after its first use.

use addr2line::{Loader, demangle_auto};

use crate::platform;

/// One line a frame, from the panic to the plugin's entry point. Does file I/O.
pub(crate) fn symbolize(frames: &[u64]) -> Vec<String> {
    // The innermost frame is the plugin's own panic hook; where another library
    // begins, the host has called. A library without names still has addresses.
    let Some((begin, file)) = frames.first().and_then(|frame| platform::library_of(*frame)) else {
        return Vec::new();
    };
    let names = Loader::new(&file).ok();
    let lines: Vec<_> = frames
        .iter()
        .take_while(|frame| platform::library_of(**frame).is_some_and(|of| of.0 == begin))
        // A return address points behind the call; the call is what is looked for.
        .flat_map(|frame| lines_of(frame.saturating_sub(begin).saturating_sub(1), names.as_ref()))
        .collect();

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

/// Inlined functions make several lines of one address.
fn lines_of(address: u64, names: Option<&Loader>) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    if let Some(names) = names {
        // Where there are line tables only, the function's name is the symbol's.
        let symbol = names.find_symbol(address);
        let symbol = symbol.map(|name| demangle_auto(name.into(), None).into_owned());
        if let Ok(mut frames) = names.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let function = frame.function.and_then(|name| Some(name.demangle().ok()?.into()));
                let Some(name) = function.or_else(|| symbol.clone()) else { continue };
                let place = frame.location.and_then(|place| Some((place.file?, place.line?)));
                let line = match place {
                    Some((file, line)) => format!("{name} at {file}:{line}"),
                    None => name.clone(),
                };
                lines.push((name, line));
            }
        }
        if let (true, Some(name)) = (lines.is_empty(), symbol) {
            lines.push((name.clone(), name));
        }
    }
    if lines.is_empty() {
        lines.push(("?".into(), format!("{address:#x} in the plugin's library")));
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
