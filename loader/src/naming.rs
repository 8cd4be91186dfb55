//! What a host is called, which keeps what is its own apart from other programs'.

use std::path::{Path, PathBuf};

/// The longest name.
const MOST: usize = 64;

/// Whether a text may be a host's name: it is the name of a folder.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= MOST
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(may_be_in_it)
}

fn may_be_in_it(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// As this program's file is called.
pub(crate) fn of_this_program() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // So the system calls a file that was replaced while it runs.
    let file = file.strip_suffix(" (deleted)").unwrap_or(&file);
    let file = file.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(file);
    made_of(file)
}

fn made_of(text: &str) -> String {
    let name = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name: String =
        name.chars().map(|c| if may_be_in_it(c) { c } else { '-' }).take(MOST).collect();
    if name.is_empty() { "host".into() } else { name }
}

/// The folder that has one of each host.
pub(crate) fn hosts_in(folder: &Path) -> PathBuf {
    folder.join("hosts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_name_gives_a_name() {
        for (file, name) in [
            ("host-app", "host-app"),
            ("My Program é", "My-Program--"),
            (".hidden", "hidden"),
            ("../..", "host"),
            ("", "host"),
        ] {
            assert_eq!(made_of(file), name);
            assert!(is_name(name));
        }
        assert!(is_name(&made_of(&"x".repeat(500))));
        for text in ["", ".", "..", "a/b", "-x", "a b", "é", &"x".repeat(65)] {
            assert!(!is_name(text), "{text}");
        }
    }
}
