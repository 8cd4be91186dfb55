//! What `#[service]` makes of a trait.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Ident, Result};

use super::lifetimes;
use super::model::{Contract, Method};
use super::types::{lent_slices, value};
use super::{caller, provider};

pub(super) fn expand(contract: &Contract) -> Result<TokenStream> {
    let described = contract_trait(contract);
    let defaults = defaults(contract);
    let table = caller::table(contract);
    let proxy = caller::proxy(contract);
    let implements_contract = provider::contract(contract);
    let implemented = provider::implemented(contract);
    let lent_slices = lent_slices(contract);
    Ok(quote! {
        #described
        #defaults

        #[doc(hidden)]
        #[allow(
            non_snake_case,
            deprecated,
            unused_qualifications,
            improper_ctypes_definitions,
            trivial_bounds,
            clippy::all,
            clippy::pedantic,
            clippy::undocumented_unsafe_blocks,
        )]
        const _: () = {
            use ::plugbay_interface::export::service as __plugbay;

            #table
            #proxy
            #implements_contract
            #implemented
            #lent_slices
        };
    })
}

/// The trait with plain functions, and the default bodies elsewhere.
fn contract_trait(contract: &Contract) -> TokenStream {
    let item = &contract.item;
    let (attributes, vis, name, bounds) = (&item.attrs, &item.vis, &item.ident, &item.supertraits);
    let message = format!("`{{Self}}` does not implement the contract {}", contract.id.value());
    let note = format!("write `#[service] impl {name} for {{Self}}`");
    let helper = defaults_name(contract);
    let methods = contract.methods.iter().map(|method| {
        let attributes = &method.attributes;
        let since = (method.since > 0).then(|| {
            let text = format!("Since {}.{}.", contract.version.major, method.since);
            quote! { #[doc = ""] #[doc = #text] }
        });
        let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
        let signature = signature(method, &names, &method.name);
        match &method.body {
            None => quote! { #(#attributes)* #since #signature; },
            Some(_) => {
                let default = default_name(method);
                quote! {
                    #(#attributes)* #since #signature { #helper::#default(self #(, #names)*) }
                }
            }
        }
    });
    quote! {
        #(#attributes)*
        #[diagnostic::on_unimplemented(message = #message, note = #note)]
        #vis trait #name: #bounds {
            #(#methods)*
        }
    }
}

pub(super) fn defaults_name(contract: &Contract) -> Ident {
    format_ident!("__{}Defaults", contract.item.ident)
}

/// Another name, as both traits are in scope where the contract is written.
pub(super) fn default_name(method: &Method) -> Ident {
    format_ident!("__default_{}", method.name)
}

/// A trait of its own for the default bodies, so that a proxy can run one that it
/// has overridden.
fn defaults(contract: &Contract) -> TokenStream {
    let (vis, name, helper) = (&contract.item.vis, &contract.item.ident, defaults_name(contract));
    let methods: Vec<_> = contract
        .methods
        .iter()
        .filter_map(|method| {
            let body = method.body.as_ref()?;
            let patterns: Vec<_> =
                method.arguments.iter().map(|argument| &argument.pattern).collect();
            if !method.asynchronous {
                let signature = signature(method, &patterns, &default_name(method));
                return Some(quote! { #signature #body });
            }
            let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
            let signature = signature(method, &names, &default_name(method));
            Some(quote! {
                #signature {
                    ::plugbay_interface::export::service::ServiceFuture::new(async move {
                        #(let #patterns = #names;)*
                        #body
                    })
                }
            })
        })
        .collect();
    if methods.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #[doc(hidden)]
        #[allow(unused_variables, unused_mut)]
        #vis trait #helper: #name {
            #(#methods)*
        }

        impl<T: #name + ?Sized> #helper for T {}
    }
}

/// `fn render(&self, text: &str) -> Result<String, Error>`, and for an `async fn`
/// the same with a future.
pub(super) fn signature(method: &Method, patterns: &[impl ToTokens], name: &Ident) -> TokenStream {
    let result = &method.result;
    if !method.asynchronous {
        let types = method.arguments.iter().map(|argument| &argument.of);
        return quote! { fn #name(&self #(, #patterns: #types)*) -> #result };
    }
    let call = lifetimes::of_call();
    let types = method.arguments.iter().map(|argument| lifetimes::named(&argument.of));
    let value = value(method, &quote! { ::plugbay_interface::export::service });
    quote! {
        fn #name<#call>(&#call self #(, #patterns: #types)*)
            -> ::plugbay_interface::export::service::ServiceFuture<#call, #value>
    }
}
