use std::env;
use std::fs;

use plugbay_manifest::source::{CrateDefaults, Source};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, ImplItem, ItemImpl, LitStr, Result, Type};

use crate::{handlers, hooks, offers};

const TOML: &str = "plugin.toml";

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(
            arguments,
            "#[plugin] takes no arguments; they go into plugin.toml",
        ));
    }
    let item: ItemImpl = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), "#[plugin] stands on `impl Plugin for X`"))?;
    let of_plugin = item.trait_.as_ref().and_then(|(path, ..)| path.segments.last());
    if of_plugin.is_none_or(|segment| segment.ident != "Plugin") {
        return Err(Error::new_spanned(&item.self_ty, "#[plugin] stands on `impl Plugin for X`"));
    }
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new_spanned(generic, "a plugin's type has no generic parameters"));
    }
    let (path, source) = read_manifest()?;
    let handlers = handlers::declared_in(&item)?;
    let contracts = offers::declared_in(&item)?;
    let mut mistakes = compare(&source, &handlers);
    mistakes.extend(state_without_version(&source, &item));

    let manifest = source.manifest();
    let json = serde_json::to_string(manifest).map_err(|error| {
        Error::new(Span::call_site(), format!("the manifest cannot be written as JSON: {error}"))
    })?;
    let id = manifest.id.as_str();
    let state_version = manifest.state_version;
    let plugin = &item.self_ty;

    // Without mistakes this is all; with them, it still is there, so that the
    // compiler says nothing more than what is wrong.
    let section = if mistakes.is_empty() { section(&json) } else { TokenStream::new() };
    let hooks = hooks::symbols();
    let services = offers::comparison(&source, &contracts);
    Ok(quote! {
        #item

        impl ::plugbay_interface::export::Exported for #plugin {
            const ID: &'static str = #id;
            const STATE_VERSION: u32 = #state_version;
        }

        #(#mistakes)*

        #services

        // Compiles the crate again when plugin.toml changes.
        const _: &[u8] = ::core::include_bytes!(#path);

        #section

        #hooks

        const _: () = {
            extern "C" fn construct() -> ::plugbay_interface::export::RootModuleResult {
                ::plugbay_interface::export::root_result(
                    ::plugbay_interface::export::root::<#plugin>(),
                )
            }

            // SAFETY: the name begins with `plugbay_`, which no other library uses.
            // Not exported from unit tests, and still there, so that nothing of
            // the plugin counts as unused.
            #[cfg_attr(not(test), unsafe(export_name = "plugbay_root"))]
            #[cfg_attr(test, allow(dead_code))]
            static ROOT: ::plugbay_interface::export::LibHeader =
                // SAFETY: `construct` returns what `root_result` made.
                unsafe { ::plugbay_interface::export::header(construct) };
        };
    })
}

fn section(json: &str) -> TokenStream {
    quote! {
        #[cfg(not(test))]
        const _: () = {
            const PARTS: &[&str] = &[
                "{\"interface\":\"",
                ::plugbay_interface::VERSION,
                "\",\"rustc\":\"",
                ::plugbay_interface::RUSTC,
                "\",\"target\":\"",
                ::plugbay_interface::TARGET,
                "\",\"panic\":\"",
                if ::core::cfg!(panic = "abort") { "abort" } else { "unwind" },
                "\",\"manifest\":",
                #json,
                "}",
            ];
            const LEN: usize = ::plugbay_interface::export::encoded_len(PARTS);

            // SAFETY: a section of plain bytes, read by its name; the symbol
            // keeps the linker from dropping it.
            #[used]
            #[unsafe(export_name = "plugbay_manifest")]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__plugbay"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".plugbay"))]
            static MANIFEST: [u8; LEN] = ::plugbay_interface::export::encode(PARTS);
        };
    }
}

fn read_manifest() -> Result<(String, Source)> {
    let fail = |message: String| Error::new(Span::call_site(), message);
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let path = format!("{}/{TOML}", variable("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).map_err(|error| {
        fail(format!(
            "{path} cannot be read: {error}\n\
             a plugin has a {TOML} beside its Cargo.toml; the least is one line: id = \"my-plugin\""
        ))
    })?;
    let defaults = CrateDefaults {
        version: variable("CARGO_PKG_VERSION"),
        description: variable("CARGO_PKG_DESCRIPTION"),
        authors: variable("CARGO_PKG_AUTHORS"),
        license: variable("CARGO_PKG_LICENSE"),
    };
    let source =
        Source::parse(&text, &defaults).map_err(|error| fail(format!("{path}: {error}")))?;
    Ok((path, source))
}

/// A state that nobody could tell from another version's.
fn state_without_version(source: &Source, item: &ItemImpl) -> Option<TokenStream> {
    let state = item.items.iter().find_map(|item| match item {
        ImplItem::Type(item) if item.ident == "State" => Some(&item.ty),
        _ => None,
    })?;
    let none = matches!(state, Type::Tuple(tuple) if tuple.elems.is_empty());
    (!none && source.manifest().state_version == 0).then(|| {
        let message = format!(
            "a plugin with state says its version, so that a later one knows what it reads; in \
             {TOML}:\n\n[state]\nversion = 1"
        );
        Error::new_spanned(state, message).to_compile_error()
    })
}

/// Declared and not handled, handled and not declared, handled twice.
fn compare(source: &Source, handlers: &[LitStr]) -> Vec<TokenStream> {
    let declared = &source.manifest().commands;
    let mut mistakes = Vec::new();
    for (at, handler) in handlers.iter().enumerate() {
        let name = handler.value();
        let message = if !declared.contains_key(&name) {
            format!(
                "the command `{name}` is not in {TOML}; declare it there:\n\n[commands.{name}]\nsummary = \"…\""
            )
        } else if handlers[..at].iter().any(|earlier| earlier.value() == name) {
            format!("the command `{name}` has two handlers")
        } else {
            continue;
        };
        mistakes.push(Error::new(handler.span(), message).to_compile_error());
    }
    for name in declared.keys() {
        if !handlers.iter().any(|handler| handler.value() == *name) {
            let line = source.command_line(name).unwrap_or(0);
            let message = format!(
                "{TOML}:{line}: the command `{name}` has no handler; answer it in `fn commands`: \
                 .on(\"{name}\", Self::…)"
            );
            mistakes.push(Error::new(Span::call_site(), message).to_compile_error());
        }
    }
    mistakes
}
