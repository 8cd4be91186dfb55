//! Where in the config file something stands.

use plugbay_loader::{ConfigError, printable};

use super::Settings;

impl Settings {
    /// `FILE:LINE:COLUMN` of what stands there under these keys; none where nothing does.
    pub fn place_of(&self, keys: &[&str]) -> Option<String> {
        let place = self.tables.document()?.place(&pointer(keys))?;
        Some(format!("{}:{}:{}", printable(self.file.as_ref()?), place.line, place.column))
    }

    /// What is wrong with what stands there under these keys, each with its line; none where
    /// it does not stand in this file, or is wrong for something else.
    pub fn point_out(&self, keys: &[&str], error: &ConfigError) -> Option<String> {
        let mut document = self.tables.document()?.clone();
        document.place(&pointer(keys))?;
        let wrong = error.unsettled()?.point_out(&mut document, &pointer(keys));
        Some(wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

/// As JSON Pointer has it.
pub(super) fn pointer(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}
