//! dynamic_reload, after the example in its documentation.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use dynamic_reload::{DynamicReload, Lib, PlatformName, Search, Symbol, UpdateState};

use crate::live::Live;

/// What its documentation uses.
pub const DEFAULT: Duration = Duration::from_secs(2);

/// The smallest that is useful, as for hot-lib-reloader.
pub const BEST: Duration = Duration::from_millis(1);

/// One thread's plugins: it has no guard, so that who updates must be who calls.
pub struct Plugins {
    handler: DynamicReload,
    loaded: Vec<Arc<Lib>>,
}

impl Plugins {
    /// With the library loaded.
    pub fn new(live: &Live, debounce: Duration) -> Result<Self, Box<dyn Error>> {
        let folder = live.folder();
        let shadow = live.beside("shadow");
        std::fs::create_dir(&shadow)?;
        let mut handler = DynamicReload::new(
            Some(vec![folder.to_str().ok_or("a path that is not text")?]),
            Some(shadow.to_str().ok_or("a path that is not text")?),
            Search::Default,
            debounce,
        );
        // SAFETY: `answer` has no constructors.
        let library = unsafe { handler.add_library("answer", PlatformName::Yes) }
            .map_err(|error| format!("dynamic_reload: {error:?}"))?;
        Ok(Self { handler, loaded: vec![library] })
    }

    /// Reloads what has changed, then calls. The example's pause of half a second
    /// between two calls is left out: it is the caller's and not the library's.
    pub fn call(&mut self) -> u64 {
        // SAFETY: as in `new`, and nothing of the old one is held.
        unsafe { self.handler.update(&reloaded, &mut self.loaded) };
        let Some(library) = self.loaded.first() else { return 0 };
        // SAFETY: the function's type, see answer/lib.rs.
        let answer: Symbol<extern "C" fn(u64) -> u64> =
            unsafe { library.lib.get(b"answer_c\0") }.expect("a function");
        answer(0)
    }
}

fn reloaded(loaded: &mut Vec<Arc<Lib>>, state: UpdateState, library: Option<&Arc<Lib>>) {
    match (state, library) {
        (UpdateState::Before, Some(old)) => loaded.retain(|library| library != old),
        (UpdateState::After, Some(new)) => loaded.push(new.clone()),
        (UpdateState::ReloadFailed(error), _) => eprintln!("dynamic_reload: {error:?}"),
        (UpdateState::Before | UpdateState::After, None) => {}
    }
}
