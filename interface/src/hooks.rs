//! What this library leaves on threads goes through the host, so that it can be
//! taken back before the library is closed.
//!
//! `#[plugin]` defines six functions of the C library once more, as hidden
//! symbols of the plugin's library: they are what the standard library and all
//! else that is linked into it call, and nobody outside of it does. Each of them
//! is one of the functions below. Without a host's hooks they only forward, so a
//! plugin's crate can be linked into an ordinary program, too.
//!
//! They run where the C library is called: on any thread, in constructors, in
//! the middle of a thread's end. So they use no thread-local, no lock and no
//! memory of their own, and do not panic.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use gnu::{create_key, create_thread, delete_key, map_file, register_local, set_value};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) use gnu::{delete_keys, has_threads, is_own_thread, set};

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) extern "C" fn set(_hooks: crate::abi::HooksRef, _context: usize) -> bool {
    false
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) extern "C" fn delete_keys() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn is_own_thread() -> Option<bool> {
    None
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn has_threads() -> bool {
    true
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::mem::transmute_copy;
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

    use crate::abi::HooksRef;

    static HOOKS: OnceLock<(HooksRef, usize)> = OnceLock::new();

    /// Whether this library has ever started a thread.
    static THREADS: AtomicBool = AtomicBool::new(false);
    /// The keys that this library has made and not deleted, a bit each.
    static KEYS: [AtomicU64; KEYS_MAX / 64] = [const { AtomicU64::new(0) }; KEYS_MAX / 64];
    /// PTHREAD_KEYS_MAX of the GNU C library, which no key reaches.
    const KEYS_MAX: usize = 1024;

    /// What a function answers when the C library's own is not found.
    const EAGAIN: c_int = 11;

    unsafe extern "C" {
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
        // In a plugin's library these are the symbols that `#[plugin]` made.
        fn pthread_key_create(
            key: *mut u32,
            destructor: Option<unsafe extern "C" fn(*mut c_void)>,
        ) -> c_int;
        fn pthread_key_delete(key: u32) -> c_int;
    }

    /// A function of the C library, looked for once.
    struct Real {
        name: &'static CStr,
        found: AtomicPtr<c_void>,
    }

    impl Real {
        const fn new(name: &'static CStr) -> Self {
            Self { name, found: AtomicPtr::new(ptr::null_mut()) }
        }

        fn address(&self) -> Option<ptr::NonNull<c_void>> {
            /// RTLD_NEXT: in the libraries that come after the calling one.
            const NEXT: *mut c_void = ptr::without_provenance_mut(usize::MAX);
            let mut found = self.found.load(Ordering::Relaxed);
            if found.is_null() {
                // SAFETY: the name is a text that ends with a zero.
                found = unsafe { dlsym(NEXT, self.name.as_ptr()) };
                self.found.store(found, Ordering::Relaxed);
            }
            ptr::NonNull::new(found)
        }
    }

    /// The function as the type that its name has in the C library.
    macro_rules! real {
        ($name:literal, fn($($argument:ty),*) -> $result:ty) => {{
            static REAL: Real = Real::new($name);
            REAL.address().map(|address| {
                // SAFETY: the C library's function of that name, whose
                // arguments and result are these.
                unsafe {
                    transmute_copy::<_, unsafe extern "C" fn($($argument),*) -> $result>(&address)
                }
            })
        }};
    }

    /// Takes the host's hooks, if this library's code asks for them: that is
    /// tried, with a key, because a linker may have thought otherwise.
    pub(crate) extern "C" fn set(hooks: HooksRef, context: usize) -> bool {
        let mut key = 0;
        // SAFETY: a place for the key, and a key without a destructor.
        let asks = unsafe { pthread_key_create(&raw mut key, None) } == 0 && {
            let noted = has_key(key);
            // SAFETY: the key that was made just above.
            unsafe { pthread_key_delete(key) };
            noted && !has_key(key)
        };
        asks && HOOKS.set((hooks, context)).is_ok()
    }

    pub(crate) extern "C" fn delete_keys() {
        for key in 0..KEYS_MAX as u32 {
            if has_key(key) {
                // SAFETY: this library made the key and has not deleted it.
                unsafe { delete_key(key) };
            }
        }
    }

    /// Whether this library has started the calling thread; `None` where the host
    /// does not know.
    pub(crate) fn is_own_thread() -> Option<bool> {
        let (hooks, context) = HOOKS.get()?;
        Some(hooks.is_own_thread()?(*context))
    }

    /// Whether the calling thread may be one that this library has started. What such a
    /// thread sees was written before it was started.
    #[inline(always)]
    pub(crate) fn has_threads() -> bool {
        THREADS.load(Ordering::Relaxed)
    }

    /// `__cxa_thread_atexit_impl`.
    ///
    /// # Safety
    ///
    /// As for the function that it stands for.
    pub unsafe fn register_local(
        destructor: *const (),
        object: *mut (),
        library: *mut (),
    ) -> c_int {
        if let Some((hooks, context)) = HOOKS.get()
            && hooks.keep_local()(*context, destructor, object)
        {
            return 0;
        }
        match real!(c"__cxa_thread_atexit_impl", fn(*const (), *mut (), *mut ()) -> c_int) {
            // SAFETY: the caller's promise.
            Some(real) => unsafe { real(destructor, object, library) },
            None => -1,
        }
    }

    /// `pthread_create`.
    ///
    /// # Safety
    ///
    /// As for the function that it stands for.
    pub unsafe fn create_thread(
        thread: *mut (),
        attributes: *const (),
        start: *const (),
        argument: *mut (),
    ) -> c_int {
        THREADS.store(true, Ordering::Relaxed);
        if let Some((hooks, context)) = HOOKS.get() {
            return hooks.start_thread()(*context, thread, attributes, start, argument);
        }
        match real!(c"pthread_create", fn(*mut (), *const (), *const (), *mut ()) -> c_int) {
            // SAFETY: the caller's promise.
            Some(real) => unsafe { real(thread, attributes, start, argument) },
            None => EAGAIN,
        }
    }

    /// `pthread_key_create`.
    ///
    /// # Safety
    ///
    /// As for the function that it stands for.
    pub unsafe fn create_key(key: *mut u32, destructor: *const ()) -> c_int {
        let Some(real) = real!(c"pthread_key_create", fn(*mut u32, *const ()) -> c_int) else {
            return EAGAIN;
        };
        // SAFETY: the caller's promise.
        let outcome = unsafe { real(key, destructor) };
        if outcome == 0 {
            // SAFETY: the place that the caller gave, which was written to.
            note_key(unsafe { *key });
        }
        outcome
    }

    /// `pthread_key_delete`.
    ///
    /// # Safety
    ///
    /// As for the function that it stands for.
    pub unsafe fn delete_key(key: u32) -> c_int {
        // Forgotten first: once it is deleted, somebody else may get the number.
        forget_key(key);
        match real!(c"pthread_key_delete", fn(u32) -> c_int) {
            // SAFETY: the caller's promise.
            Some(real) => unsafe { real(key) },
            None => EAGAIN,
        }
    }

    /// `pthread_setspecific`.
    ///
    /// # Safety
    ///
    /// As for the function that it stands for.
    pub unsafe fn set_value(key: u32, value: *const ()) -> c_int {
        if let Some((hooks, context)) = HOOKS.get()
            && !value.is_null()
        {
            hooks.watch_thread()(*context);
        }
        match real!(c"pthread_setspecific", fn(u32, *const ()) -> c_int) {
            // SAFETY: the caller's promise.
            Some(real) => unsafe { real(key, value) },
            None => EAGAIN,
        }
    }

    /// `mmap64`.
    ///
    /// # Safety
    ///
    /// As for the function that it stands for.
    pub unsafe fn map_file(
        address: *mut (),
        length: usize,
        protection: c_int,
        flags: c_int,
        descriptor: c_int,
        offset: i64,
    ) -> *mut () {
        const FAILED: *mut () = ptr::without_provenance_mut(usize::MAX);
        let real = real!(c"mmap64", fn(*mut (), usize, c_int, c_int, c_int, i64) -> *mut ());
        let Some(real) = real else { return FAILED };
        // SAFETY: the caller's promise.
        let mapped = unsafe { real(address, length, protection, flags, descriptor, offset) };
        if let Some((hooks, context)) = HOOKS.get()
            && descriptor >= 0
            && mapped != FAILED
        {
            hooks.file_mapped()(*context, descriptor, mapped);
        }
        mapped
    }

    fn bit_of(key: u32) -> Option<(&'static AtomicU64, u64)> {
        Some((KEYS.get(key as usize / 64)?, 1 << (key % 64)))
    }

    fn has_key(key: u32) -> bool {
        bit_of(key).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn note_key(key: u32) {
        if let Some((word, bit)) = bit_of(key) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn forget_key(key: u32) {
        if let Some((word, bit)) = bit_of(key) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}
