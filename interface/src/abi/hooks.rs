#![allow(missing_docs, non_local_definitions)] // of the items that StableAbi makes

use abi_stable::StableAbi;

/// What the host does for one generation where its library would ask the C
/// library to remember something of a thread.
///
/// Every function may be called from any thread that runs the library's code,
/// takes the word that came with the table as its first argument, and neither
/// panics nor unwinds. The table and the word are valid as long as the library
/// is mapped. Pointers are the C library's own, which this table does not look
/// into; their types are those of the functions that are named.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HooksRef, prefix_fields = HooksPrefix)))]
#[sabi(missing_field(option))]
pub struct Hooks {
    /// Calls `destructor(object)` once: when the calling thread ends or, if that
    /// is earlier, when the generation is retired, the last one given first.
    /// `false`: it will not, as the thread has ended already but for this call.
    pub keep_local: extern "C" fn(context: usize, destructor: *const (), object: *mut ()) -> bool,
    /// As `pthread_create`, with its arguments and result. The generation is not
    /// closed before the thread has gone.
    pub start_thread: extern "C" fn(
        context: usize,
        thread: *mut (),
        attributes: *const (),
        start: *const (),
        argument: *mut (),
    ) -> i32,
    /// The calling thread is about to hold the value of a key of the library's,
    /// whose destructor runs when it ends. The generation is not closed while
    /// it is ending.
    pub watch_thread: extern "C" fn(context: usize),
    /// The file behind the descriptor was mapped at this address. Where that is
    /// the library's own file, as what turns addresses into names maps it and
    /// never gives it back, the host does so after the close.
    #[sabi(last_prefix_field)]
    pub file_mapped: extern "C" fn(context: usize, descriptor: i32, address: *const ()),
    /// Since 1.2. Whether the library has started the calling thread itself.
    /// Asked when that thread panics: nobody waits for such a panic but the log.
    pub is_own_thread: extern "C" fn(context: usize) -> bool,
}
