//! Enums that are written as words, and that take the words of later versions: what
//! one of those wrote is neither damage nor lost.

use serde::{Deserialize, Serialize};

/// A word that this version does not know. Only reading makes one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaterWord(String);

macro_rules! words {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$of])* $variant,)+
            /// What a later version wrote; it is kept as it is.
            Later(LaterWord),
        }

        impl $name {
            /// The word, as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Later(LaterWord(word)) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Later(LaterWord(word)),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What became of a plugin.
    Status {
        /// It serves.
        Active = "active",
        /// It is ready, and is loaded when it is called for the first time.
        OnDemand = "on_demand",
        /// It is known and not loaded, as it crashed or somebody holds it back.
        HeldBack = "held_back",
        /// The host does not take it.
        Refused = "refused",
        /// It is switched off by hand.
        Disabled = "disabled",
        /// It was loaded, and was unloaded by hand.
        Unloaded = "unloaded",
        /// Its file is not there any more.
        Gone = "gone",
    }
}

words! {
    /// What is known of a library's first loading in a child process.
    Verdict {
        /// It was not tried.
        Unknown = "unknown",
        /// The child lived on.
        Survived = "survived",
        /// The child did not.
        Quarantined = "quarantined",
    }
}

words! {
    /// What happened to a plugin.
    EventKind {
        /// It came to serve.
        Loaded = "loaded",
        /// Another generation of it came to serve.
        Reloaded = "reloaded",
        /// It serves no more.
        Unloaded = "unloaded",
        /// The host did not take it.
        Refused = "refused",
        /// The host went back to the version before.
        RolledBack = "rolled_back",
        /// It took its host down.
        Crashed = "crashed",
        /// It is held back from now on.
        Quarantined = "quarantined",
        /// It is held back no more.
        Released = "released",
        /// It was switched on by hand.
        Enabled = "enabled",
        /// It was switched off by hand.
        Disabled = "disabled",
        /// Its configuration was changed.
        Configured = "configured",
    }
}

words! {
    /// What a host does with a plugin while an attempt is open.
    Doing {
        /// It loads the library, whose constructors run.
        Loading = "loading",
        /// It makes it ready to serve.
        Activating = "activating",
        /// It calls it.
        Calling = "calling",
        /// It ends it.
        Unloading = "unloading",
    }
}

impl Default for Verdict {
    /// Not tried.
    fn default() -> Self {
        Self::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_later_version_is_kept() {
        for word in ["active", "held_back", "resting"] {
            let text = format!("\"{word}\"");
            let status: Status = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&status).unwrap(), text);
            assert_eq!(matches!(status, Status::Later(_)), word == "resting");
        }
    }
}
