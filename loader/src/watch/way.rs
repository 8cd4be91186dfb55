use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows on one way.
const MOST_LINKS: usize = 40;

/// How the kernel gets to a file: every name that it looks up, links followed.
/// Whatever makes a path lead elsewhere changes one of these names.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Each is a name in a folder that is reached without links.
    steps: Vec<PathBuf>,
    /// Where the way leads, without links; none where it ends early.
    end: Option<PathBuf>,
}

impl Way {
    /// Goes the way of an absolute path, as far as it leads.
    pub(super) fn to(path: &Path) -> Self {
        let mut way = Self::default();
        let mut left: VecDeque<Piece> = pieces(path).collect();
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(piece) = left.pop_front() {
            let name = match piece {
                Piece::Root => {
                    here = PathBuf::from("/");
                    continue;
                }
                Piece::Up => {
                    here.pop();
                    continue;
                }
                Piece::Name(name) => name,
            };
            let next = here.join(name);
            let found = next.symlink_metadata();
            way.steps.push(next.clone());
            match found {
                Err(_) => return way,
                Ok(found) if !found.is_symlink() => here = next,
                Ok(_) => {
                    links += 1;
                    let Ok(target) = next.read_link() else { return way };
                    if links > MOST_LINKS {
                        return way;
                    }
                    for piece in pieces(&target).collect::<Vec<_>>().into_iter().rev() {
                        left.push_front(piece);
                    }
                }
            }
        }
        way.end = Some(here);
        way
    }

    pub(super) fn steps(&self) -> &[PathBuf] {
        &self.steps
    }

    pub(super) fn end(&self) -> Option<&Path> {
        self.end.as_deref()
    }

    /// The folders to watch so that no change of the way is missed.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.steps.iter().filter_map(|step| step.parent())
    }
}

enum Piece {
    Root,
    Up,
    Name(OsString),
}

fn pieces(path: &Path) -> impl Iterator<Item = Piece> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Piece::Root),
        Component::ParentDir => Some(Piece::Up),
        Component::Normal(name) => Some(Piece::Name(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_has_the_names_behind_links_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("real/file"), "").unwrap();
        symlink("real/deep/../file", root.join("link")).unwrap();
        let way = Way::to(&root.join("link"));
        assert_eq!(way.end(), Some(root.join("real/file").as_path()));
        let names = ["link", "real", "real/deep", "real/file"];
        let expected: Vec<_> = names.iter().map(|name| root.join(name)).collect();
        assert!(way.steps().ends_with(&expected), "{way:?}");
    }

    #[test]
    fn a_way_ends_at_the_first_name_that_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let way = Way::to(&root.join("a/b"));
        assert_eq!(way.end(), None);
        assert_eq!(way.steps().last(), Some(&root.join("a")));
    }

    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(Way::to(&root.join("a")).end(), None);
    }
}
