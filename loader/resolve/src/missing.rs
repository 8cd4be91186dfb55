use std::fmt;

use plugbay_manifest::PluginId;

use crate::excerpt::Excerpt;
use crate::offer::{Name, Refused};

/// What is missing, what there is of it, and why that does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// `sql ^2`, or `plugbay.renderer 1.2`.
    pub wants: String,
    /// What there is that would not do: the newest ones.
    pub found: Excerpt,
    /// Files that might have done, and are refused: the newest ones.
    pub refused: Vec<Refused>,
    /// One that would do, and why it does not run.
    pub because: Option<Because>,
}

/// Why another one does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The other one.
    pub name: Name,
    /// The one that it goes back to, where that is yet another one.
    pub root: Option<Name>,
    /// Why that one does not run.
    pub reason: String,
    /// What to do about that.
    pub help: String,
}

impl Missing {
    /// Whether what is missing is another version of this plugin.
    pub(crate) fn is_of(&self, id: &PluginId) -> bool {
        self.wants.split(' ').next() == Some(id.as_str())
    }

    /// What to do about it; `lacks` is what to look for where there is nothing of it.
    pub(crate) fn hint(&self, lacks: &str) -> String {
        match &self.because {
            // Another version may run, which does not do.
            Some(Because { name, root: None, help, .. }) if self.is_of(&name.id) => {
                format!("first let {} run: {help}", self.wants)
            }
            Some(Because { name, root: None, help, .. }) => {
                format!("first let {name} run: {help}")
            }
            Some(Because { root: Some(root), .. }) => {
                format!("begin with {}: host-app plan --why {}", root.id, root.id)
            }
            None if !self.refused.is_empty() => "replace the file that is refused".into(),
            None => format!("put {lacks} into a plugins folder"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wants, found, refused, because } = self;
        write!(f, "{wants}")?;
        match because {
            Some(Because { name, root: None, reason, .. }) => {
                return write!(f, "; {name} is not run: {reason}");
            }
            Some(Because { name, root: Some(root), reason, .. }) => {
                return write!(f, "; {name} is not run, which goes back to {root}: {reason}");
            }
            None if found.is_empty() && refused.is_empty() => {
                write!(f, ", and there is none")?;
            }
            None if found.is_empty() => {}
            None => {
                write!(f, ", found {}", found.shown(3, ToOwned::to_owned))?;
            }
        }
        for Refused { id, version, reason } in refused.iter().take(3) {
            write!(f, "; {id} {version} is refused: {reason}")?;
        }
        Ok(())
    }
}
