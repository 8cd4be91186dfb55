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
/// commands with the names in the body of `commands`, and the declared services with
/// the contracts in the body of `services`, and emits, besides the implementation as
/// it stands:
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
/// command is not declared; and for a handler's name that is no literal. The same for
/// services, whose contracts' versions are compared, too.
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
///
/// ```ignore
/// use plugbay_interface::prelude::*;
///
/// /// Text to text.
/// #[service(id = "my-company.renderer", version = "1.1")]
/// pub trait Renderer: Send + Sync {
///     /// Renders a text.
///     fn render(&self, text: &str) -> Result<String, Error>;
///     /// The headings of a text.
///     #[since("1.1")]
///     fn outline(&self, text: &str) -> Result<Vec<Heading>, Error> {
///         Err(Error::unsupported())
///     }
///     /// Renders what comes from a stream.
///     async fn follow(&self, input: Input) -> Result<Output, Error>;
/// }
/// ```
///
/// The trait stands in a crate that hosts and plugins depend on; that crate needs
/// `plugbay-interface` and nothing else. `dyn Renderer` is the contract's name as a
/// type. A plugin implements the trait, offers it in `Plugin::services`, and declares
/// it in `plugin.toml`:
///
/// ```ignore
/// #[service]
/// impl Renderer for Markdown { /* as the trait says, `async fn` included */ }
///
/// // In `impl Plugin for Markdown`:
/// fn services(&self) -> Services<Self> {
///     services().offer::<dyn Renderer>()
/// }
/// ```
///
/// # What becomes of it
///
/// On a trait:
///
/// ```ignore
/// // The trait, with plain functions. Usable as it stands, without any host.
/// pub trait Renderer: Send + Sync {
///     fn render(&self, text: &str) -> Result<String, Error>;
///     fn outline(&self, text: &str) -> Result<Vec<Heading>, Error> { /* the default */ }
///     fn follow<'a>(&'a self, input: Input) -> ServiceFuture<'a, Output>;
/// }
///
/// // What crosses: a table of C functions. Methods that came later come last.
/// #[repr(C)]
/// struct Methods {
///     count: usize,
///     render: unsafe extern "C" fn(*const (), RStr<'_>) -> RResult<RString, FaultBox>,
///     follow: unsafe extern "C" fn(*const (), InputAbi)
///         -> RResult<ServiceFuture<'_, Output>, FaultBox>,
///     outline: unsafe extern "C" fn(*const (), RStr<'_>)
///         -> RResult<RVec<HeadingAbi>, FaultBox>,
/// }
///
/// // The caller's side. A method that the table does not have runs the default body
/// // with this as `self`.
/// struct Proxy { object: *const (), methods: *const Methods }
/// impl Renderer for Proxy { /* … */ }
/// unsafe impl Contract for dyn Renderer { type Proxy = Proxy; /* id, version, description */ }
///
/// // The provider's side, for every type that implements the trait: the table, with
/// // `catch_unwind` around each method, and calls by name with JSON.
/// unsafe impl<T: Renderer + 'static> Implemented<T> for dyn Renderer { /* … */ }
/// ```
///
/// On an implementation only `async fn`s change: each becomes a function that returns
/// its body as a `ServiceFuture`.
///
/// # Rules, and what each is for
///
/// * *`id`: words with `.` between them, whose it is first; `version`: two numbers.*
///   Callers and providers find each other by the id, in all crates that there are.
/// * *The trait is `Send + Sync`, and has no other supertraits, no generic parameters
///   and nothing but methods.* Services are called from many threads; there is one
///   table for all callers.
/// * *Every method takes `&self` and gives `Result<T, Error>`.* A call can always fail:
///   the plugin may panic or be gone.
/// * *Every type crosses (`plugbay_interface::crossing::Crossing`). `&str` and `&[T]` of
///   numbers are lent; all others are given by value, and a result owns what it has.*
///   The two sides may be built by different compilers, and later run in different
///   processes. Types of an author's own are made for that by [`macro@shared`].
/// * *A method that came with a later minor version says `#[since("1.1")]` and has a
///   body.* Callers of an older provider get that body's answer. It may stand anywhere
///   in the trait. Methods of `MAJOR.0` have no `#[since]`; what has been published is
///   not changed, and not moved among those of its version. If it is, the sides find
///   out when they compare, before anything is called.
/// * *A breaking change is a new trait with the same id and the next major version.*
///   A plugin may offer both.
///
/// # Errors
///
/// A compile error for each rule that is not kept, at its place, with what to write
/// instead.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a struct or an enum one that a contract's methods may take and give.
///
/// ```ignore
/// #[shared]
/// #[derive(Debug, Clone)]
/// pub struct Heading {
///     pub level: u8,
///     pub text: String,
/// }
///
/// #[shared(growing)]
/// #[derive(Debug, Clone)]
/// pub enum Event {
///     Began,
///     Moved { to: String },
///     #[fallback]
///     Other,
/// }
/// ```
///
/// Both forms derive serde's `Serialize` and `Deserialize`, as [`macro@data`] does, and
/// implement `Crossing`. Other derives go below.
///
/// * `#[shared]` is for what stays as it is. It crosses as a `repr(C)` copy of its
///   fields, or, for an enum, of its variant's fields behind the variant's number; that
///   costs what its fields cost. A struct of numbers crosses as itself and can be lent
///   in slices. Its fields and variants, their order and their types are part of every
///   contract that names it: changing them is a breaking change, and two sides that
///   disagree are told so before anything is called.
/// * `#[shared(growing)]` is for what will get more fields or variants. It crosses as
///   bytes (MessagePack, with the names of fields and variants), so it is written on one
///   side and read on the other: about 150 ns for a handful of fields, where the frozen
///   form takes 30. A field that is added later has `#[serde(default)]`. An enum has a
///   variant without fields under `#[fallback]`: what a reader gets that is older than
///   the variant that came.
///
/// # Errors
///
/// A compile error for generic parameters, for `#[repr]`, for a union, for a field that
/// does not cross, for a growing enum without `#[fallback]` or with
/// `#[serde(untagged)]`, `tag` or `content`.
#[proc_macro_attribute]
pub fn shared(arguments: TokenStream, item: TokenStream) -> TokenStream {
    shared::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
