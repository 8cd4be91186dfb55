use std::fmt;
use std::path::Path;

/// How a configuration file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Syntax {
    /// TOML 1.1: `.toml`.
    Toml,
    /// YAML 1.2 with its core schema: `.yaml` or `.yml`.
    Yaml,
    /// JSON (RFC 8259): `.json`.
    Json,
}

impl Syntax {
    /// By the ending of a file's name, whatever its case; none for other endings.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Json => "JSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_which() {
        for (name, syntax) in [
            ("host.toml", Some(Syntax::Toml)),
            ("a/host.YAML", Some(Syntax::Yaml)),
            ("host.yml", Some(Syntax::Yaml)),
            ("host.tar.json", Some(Syntax::Json)),
            ("host.ini", None),
            ("host", None),
            (".toml", None),
        ] {
            assert_eq!(Syntax::of(Path::new(name)), syntax, "{name}");
        }
    }
}
