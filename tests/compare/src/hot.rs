//! hot-lib-reloader, as its documentation shows it.
//!
//! Two modules, because its settings are fixed at compile time. A process calls
//! one of them: each watches from its first call on.

use hot_lib_reloader::hot_module;

#[hot_module(dylib = "answer", lib_dir = crate::live::watched())]
pub mod default_settings {
    #[hot_functions]
    extern "Rust" {
        pub fn answer(argument: u64) -> u64;
    }

    #[lib_version]
    pub fn version() -> usize {}
}

// One millisecond is the smallest that is useful: with 0, its watching thread
// never sleeps and takes a core.
#[hot_module(dylib = "answer", lib_dir = crate::live::watched(), file_watch_debounce = 1)]
pub mod best_settings {
    #[hot_functions]
    extern "Rust" {
        pub fn answer(argument: u64) -> u64;
    }
}
