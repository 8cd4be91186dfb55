#![allow(non_local_definitions)] // of StableAbi's derive

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RString, RVec};

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
