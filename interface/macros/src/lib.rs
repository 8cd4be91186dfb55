//! The macros of `plugbay-interface`, which re-exports them.

mod data;
mod handlers;
mod hooks;
mod offers;
mod plugin;
mod service;
mod shared;

use proc_macro::TokenStream;

/// Makes a crate a plugin: stands on `impl Plugin for X`.
///
/// It reads `plugin.toml` beside the crate's `Cargo.toml`, compares the declared
/// commands with the names in the body of `commands`, and emits, besides the
/// implementation as it stands:
///
/// * the manifest with the facts of the build, as a section of the library and
///   the exported symbol `plugbay_manifest`;
/// * the ABI root, as the exported symbol `plugbay_root`;
/// * on Linux with the GNU C library, hidden symbols through which the library's
///   threads, thread-locals and keys are the host's to know, so that the library
///   can be closed.
///
/// None of them is emitted into the crate's own unit tests.
///
/// # Errors
///
/// A compile error for a missing or wrong `plugin.toml`, with the line of the
/// mistake; for a declared command without a handler; for a handler whose
/// command is not declared; and for a handler's name that is no literal.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a type one that crosses as JSON: arguments, results, configuration, state.
///
/// The same as deriving serde's `Serialize` and `Deserialize`, without a
/// dependency on serde in the plugin's own `Cargo.toml`. `#[serde(…)]`
/// attributes work as usual.
#[proc_macro_attribute]
pub fn data(arguments: TokenStream, item: TokenStream) -> TokenStream {
    data::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a trait a contract, or makes an implementation fit one.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a struct or an enum one that crosses.
#[proc_macro_attribute]
pub fn shared(arguments: TokenStream, item: TokenStream) -> TokenStream {
    shared::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
