use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use notify::{ErrorKind, INotifyWatcher, RecursiveMode, Watcher as _};

use super::way::Way;
use super::{Folder, WatchError};
use crate::discover::is_watched_name;

/// How often the ways are gone anew while they change under one's feet. When that
/// is not enough, the event of the last change leads here again.
const MOST_ROUNDS: usize = 16;

/// The folders that are watched so that no change is missed: the plugins folders,
/// every folder on the ways to them, and those on the ways to the libraries that
/// links in them lead to.
pub(super) struct Territory {
    folders: Vec<Place>,
    /// By the path of the link, as it is told.
    links: BTreeMap<PathBuf, Way>,
    notify: INotifyWatcher,
    /// Whether there is a watch; some folders on a way may not be read.
    watched: BTreeMap<PathBuf, bool>,
    /// Plugins folders without a watch, which was told.
    unwatchable: BTreeSet<PathBuf>,
    map: Map,
}

/// What a path means, for the thread that the events come from: it must not wait
/// for the loop, which waits for it when a watch is to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct Map(Arc<ArcSwap<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// Those on the ways.
    steps: HashSet<PathBuf>,
    /// The plugins folders without links, and as they were named.
    folders: HashMap<PathBuf, PathBuf>,
    /// The libraries that are links, as they are told.
    links: HashSet<PathBuf>,
}

/// What a path means.
pub(super) enum Meaning {
    /// A library in a plugins folder, or a manifest beside one, as it is told, and nothing
    /// else.
    File(PathBuf),
    /// A link, or something on a way.
    Way,
    Nothing,
}

impl Map {
    pub(super) fn meaning_of(&self, path: &Path) -> Meaning {
        let names = self.0.load();
        if names.steps.contains(path) {
            return Meaning::Way;
        }
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Some(folder) = names.folders.get(parent)
            && is_watched_name(path)
        {
            let library = folder.join(name);
            let is_link = || path.symlink_metadata().is_ok_and(|found| found.is_symlink());
            if names.links.contains(&library) || is_link() {
                return Meaning::Way;
            }
            return Meaning::File(library);
        }
        Meaning::Nothing
    }
}

struct Place {
    folder: Folder,
    way: Way,
}

/// What became of the plugins folders.
#[derive(Debug, Default)]
pub(super) struct Upheaval {
    /// One has a new watch: anything may have happened in it before.
    pub(super) appeared: bool,
    /// One is no longer there.
    pub(super) lost: bool,
    /// One is there and cannot be watched.
    pub(super) unwatchable: Vec<WatchError>,
}

impl Territory {
    pub(super) fn new(folders: Vec<Folder>, notify: INotifyWatcher, map: Map) -> Self {
        let place = |folder| Place { folder, way: Way::default() };
        let folders = folders.into_iter().map(place).collect();
        Self {
            folders,
            links: BTreeMap::new(),
            notify,
            watched: BTreeMap::new(),
            unwatchable: BTreeSet::new(),
            map,
        }
    }

    /// Whether the path leads, or would lead, to a plugins folder.
    pub(super) fn is_on_the_way(&self, path: &Path) -> bool {
        self.folders.iter().any(|place| place.way.steps().iter().any(|step| step == path))
    }

    /// Whether the path is a plugins folder.
    pub(super) fn is_a_folder(&self, path: &Path) -> bool {
        self.folders.iter().any(|place| place.way.end() == Some(path))
    }

    /// The libraries and manifests, as they are told, that something at this path concerns.
    pub(super) fn files_at(&self, path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        if is_watched_name(path)
            && let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Some(place) = self.places().find(|place| place.way.end() == Some(parent))
        {
            found.push(place.folder.named.join(name));
        }
        for (link, way) in &self.links {
            if way.steps().iter().any(|step| step == path) && !found.contains(link) {
                found.push(link.clone());
            }
        }
        found
    }

    /// Of folders that are the same the first one, as discover does.
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.folders.iter().enumerate().filter_map(|(index, place)| {
            let before = self.folders.iter().take(index);
            let end = place.way.end();
            let again = end.is_some() && before.into_iter().any(|other| other.way.end() == end);
            (!again).then_some(place)
        })
    }

    /// All libraries in the folders and manifests beside them, as they are told.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.places().flat_map(|place| place.folder.files().unwrap_or_default()).collect()
    }

    /// After something happened to a library: if it is or was a link, goes its way.
    pub(super) fn follow(&mut self, library: &Path) -> Result<(), WatchError> {
        let is_link = library.symlink_metadata().is_ok_and(|found| found.is_symlink());
        let was_link = self.links.contains_key(library);
        if is_link {
            self.links.entry(library.to_owned()).or_default();
        } else if was_link {
            self.links.remove(library);
        }
        if is_link || was_link { self.settle().map(drop) } else { Ok(()) }
    }

    /// Forgets the watches at and below these paths, which may lead elsewhere now,
    /// and makes those that are needed.
    pub(super) fn renew(&mut self, changed: &[PathBuf]) -> Result<Upheaval, WatchError> {
        let before: Vec<_> = self.ends();
        // Those without a watch, too: perhaps they can be read now.
        let stale = |(folder, watched): &(&PathBuf, &bool)| {
            !**watched || changed.iter().any(|path| folder.starts_with(path))
        };
        let stale = self.watched.iter().filter(stale).map(|(folder, _)| folder.clone());
        let stale: Vec<_> = stale.collect();
        for folder in stale {
            self.forget(&folder);
        }
        let fresh = self.settle()?;
        let is_new = |place: &&Place| place.way.end().is_some_and(|end| fresh.contains(end));
        let appeared = self.places().filter(is_new).map(|place| place.folder.clone());
        let appeared: Vec<_> = appeared.collect();
        for folder in &appeared {
            self.links.retain(|link, _| link.parent() != Some(&folder.named));
            for library in folder.files().unwrap_or_default() {
                if library.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                    self.links.entry(library).or_default();
                }
            }
        }
        if !appeared.is_empty() {
            self.settle()?;
        }
        let mut upheaval = Upheaval { appeared: !appeared.is_empty(), ..Upheaval::default() };
        for (before, after) in before.iter().zip(self.ends()) {
            upheaval.lost |= before.is_some() && after.is_none();
        }
        let mut unwatchable = BTreeSet::new();
        for place in self.places() {
            let Some(end) = place.way.end() else { continue };
            if self.watched.get(end) != Some(&false) {
                continue;
            }
            let path = place.folder.named.clone();
            if !self.unwatchable.contains(&path) {
                let source = match place.folder.absolute.read_dir() {
                    Ok(_) => io::Error::other("the kernel takes no watch for it"),
                    Err(error) => error,
                };
                upheaval.unwatchable.push(WatchError::Folder { path: path.clone(), source });
            }
            unwatchable.insert(path);
        }
        self.unwatchable = unwatchable;
        Ok(upheaval)
    }

    /// The same with nothing taken for granted.
    pub(super) fn renew_all(&mut self) -> Result<Upheaval, WatchError> {
        self.links.clear();
        self.renew(&[PathBuf::from("/")])
    }

    fn ends(&self) -> Vec<Option<PathBuf>> {
        self.folders.iter().map(|place| place.way.end().map(Path::to_owned)).collect()
    }

    /// Goes all ways, and watches what is on them; again, until no watch was new.
    /// A change between the going and the watching has no event, and is found so.
    /// Returns the folders that are newly watched.
    fn settle(&mut self) -> Result<BTreeSet<PathBuf>, WatchError> {
        let mut fresh = BTreeSet::new();
        for _ in 0..MOST_ROUNDS {
            for place in &mut self.folders {
                place.way = Way::to(&place.folder.absolute);
            }
            for (link, way) in &mut self.links {
                *way = Way::to(&std::path::absolute(link).unwrap_or_else(|_| link.clone()));
            }
            let wanted = self.wanted();
            let left: Vec<_> =
                self.watched.keys().filter(|folder| !wanted.contains(*folder)).cloned().collect();
            for folder in left {
                self.forget(&folder);
            }
            // From the root down: what happens below is told from then on.
            let new: Vec<_> =
                wanted.into_iter().filter(|folder| !self.watched.contains_key(folder)).collect();
            if new.is_empty() {
                break;
            }
            for folder in new {
                if let Some(watched) = self.watch(&folder)? {
                    self.watched.insert(folder.clone(), watched);
                    fresh.insert(folder);
                }
            }
        }
        Ok(fresh)
    }

    fn wanted(&self) -> BTreeSet<PathBuf> {
        let places = self.folders.iter().map(|place| &place.way);
        let ways: Vec<_> = places.chain(self.links.values()).collect();
        let folder =
            |place: &Place| place.way.end().map(|end| (end.to_owned(), place.folder.named.clone()));
        let names = Names {
            steps: ways.iter().flat_map(|way| way.steps()).cloned().collect(),
            folders: self.places().filter_map(folder).collect(),
            links: self.links.keys().cloned().collect(),
        };
        // Before the watches: no event of theirs is to be dropped.
        self.map.0.store(Arc::new(names));
        let on_the_way = ways.iter().flat_map(|way| way.folders());
        let ends = self.folders.iter().filter_map(|place| place.way.end());
        on_the_way.chain(ends).map(Path::to_owned).collect()
    }

    /// Whether the folder is watched now; none if it is no more there.
    fn watch(&mut self, folder: &Path) -> Result<Option<bool>, WatchError> {
        match self.notify.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => Ok(Some(true)),
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch => Err(WatchError::Watches { path: folder.to_owned() }),
                ErrorKind::PathNotFound => Ok(None),
                _ => Ok(Some(false)),
            },
        }
    }

    fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder) == Some(true) {
            // Gone already where the folder is.
            let _ = self.notify.unwatch(folder);
        }
    }
}
