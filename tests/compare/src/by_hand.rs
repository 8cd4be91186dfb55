//! The floor: a reload with neither watching nor safety.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{fs, mem};

/// The type of the library's function.
pub type Answer = extern "C" fn(u64) -> u64;

/// Loads a library for good.
pub fn load(library: &Path) -> Result<Answer, libloading::Error> {
    // SAFETY: `answer` has no constructors.
    let library = unsafe { libloading::Library::new(library) }?;
    // SAFETY: the function's type, see answer/lib.rs.
    let answer = *unsafe { library.get::<Answer>("answer_c") }?;
    mem::forget(library);
    Ok(answer)
}

/// A pointer that one thread replaces while others call it.
pub struct Pointer(AtomicPtr<()>);

impl Pointer {
    /// To a function.
    pub fn new(answer: Answer) -> Self {
        Self(AtomicPtr::new(answer as *mut ()))
    }

    /// Calls whatever is there.
    pub fn call(&self, argument: u64) -> u64 {
        let answer = self.0.load(Ordering::Acquire);
        // SAFETY: `new` and `swap`, which alone write it, have it from an `Answer`
        // whose library is never closed.
        let answer = unsafe { mem::transmute::<*mut (), Answer>(answer) };
        answer(argument)
    }

    /// Copies a library to a name that was never used, because the loader takes
    /// the same name for the same library, and sends calls there. The old one
    /// stays: a caller may be in it, and nothing here knows.
    pub fn swap(&self, library: &Path, copy: &PathBuf) -> Result<(), Box<dyn Error>> {
        fs::copy(library, copy)?;
        self.0.store(load(copy)? as *mut (), Ordering::Release);
        Ok(())
    }
}
