#![allow(non_local_definitions)] // of StableAbi's derive

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RString, RVec};

/// What went wrong on the plugin's side, as data.
///
/// Owned by the plugin's library: copy it out and drop it before the close.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct Fault {
    /// Who says no, and whether it was a panic.
    pub kind: FaultKind,
    /// The stable code, for programs.
    pub code: RString,
    /// The message, for people.
    pub message: RString,
    /// What led to it, the nearest cause first.
    pub causes: RVec<RString>,
    /// Where in the plugin's source.
    pub place: ROption<Place>,
    /// Return addresses of the panicking thread, innermost first; empty unless
    /// the host asked for backtraces. Valid while the library is mapped.
    pub frames: RVec<u64>,
    /// Room: what later interfaces add, as a JSON object; empty for none.
    pub more: RString,
}

/// Who says no: the plugin, or the interface on its side. A number and not an
/// enum, so that a value of a later interface is no undefined behaviour in an
/// older host, which reads it as [`ERROR`](Self::ERROR).
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultKind(pub u8);

impl FaultKind {
    /// The plugin returned an error.
    pub const ERROR: Self = Self(0);
    /// The plugin panicked.
    pub const PANIC: Self = Self(1);
    /// The plugin has no command of that name.
    pub const UNKNOWN_COMMAND: Self = Self(2);
    /// The arguments do not fit the command.
    pub const ARGUMENTS: Self = Self(3);
    /// The configuration does not fit the plugin.
    pub const CONFIG: Self = Self(4);
    /// The saved state does not fit the plugin.
    pub const STATE: Self = Self(5);
}

/// A place in source code.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct Place {
    /// The file as the compiler was given it.
    pub file: RString,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// A [`Fault`] on the heap of the library that made it: what the methods of
/// services give. One word, so that a small result and the room for a fault
/// together fit into two registers.
///
/// Dropping it runs that library's code, so it is dropped before the close.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct FaultBox(NonNull<KeptFault>);

/// Frozen: other libraries read it through the pointer. Not named outside of this file.
#[repr(C)]
#[derive(StableAbi)]
pub struct KeptFault {
    fault: ManuallyDrop<Fault>,
    free: unsafe extern "C" fn(NonNull<KeptFault>),
}

// What all that is for.
const _: () = assert!(size_of::<RResult<u64, FaultBox>>() == 16);

// SAFETY: the box owns what it points to, which is text and numbers.
unsafe impl Send for FaultBox {}
// SAFETY: as above; a shared one is only read.
unsafe impl Sync for FaultBox {}

impl FaultBox {
    /// Moves a fault to the heap.
    pub fn new(fault: Fault) -> Self {
        let kept = Box::new(KeptFault { fault: ManuallyDrop::new(fault), free });
        Self(NonNull::from(Box::leak(kept)))
    }
}

/// Ends what [`FaultBox::new`] of this library made.
///
/// # Safety
///
/// `kept` comes from there, and nobody uses it afterwards.
unsafe extern "C" fn free(kept: NonNull<KeptFault>) {
    // SAFETY: `new` made it from a box.
    let mut kept = unsafe { Box::from_raw(kept.as_ptr()) };
    // SAFETY: dropped here and nowhere else.
    unsafe { ManuallyDrop::drop(&mut kept.fault) };
}

impl Deref for FaultBox {
    type Target = Fault;

    fn deref(&self) -> &Fault {
        // SAFETY: valid until `drop`.
        unsafe { &self.0.as_ref().fault }
    }
}

impl Drop for FaultBox {
    fn drop(&mut self) {
        // SAFETY: the function that belongs to it, once.
        unsafe { (self.0.as_ref().free)(self.0) };
    }
}

impl fmt::Debug for FaultBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
