//! `#[service] impl Trait for X`: its `async fn`s as the trait has them.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Result, ReturnType, parse_quote};

use super::{lifetimes, rules};

pub(super) fn expand(arguments: TokenStream, mut item: ItemImpl) -> Result<TokenStream> {
    // Said beside the implementation, so that nobody misses that.
    let mistake = (!arguments.is_empty()).then(|| {
        Error::new_spanned(
            arguments,
            "the id and the version stand on the trait; here it is #[service]",
        )
        .to_compile_error()
    });
    if item.trait_.is_none() {
        return Err(Error::new_spanned(
            &item.self_ty,
            "#[service] stands on `impl Trait for X`, with a contract as the trait",
        ));
    }
    for member in &mut item.items {
        if let ImplItem::Fn(function) = member
            && function.sig.asyncness.is_some()
        {
            returned(function)?;
        }
    }
    Ok(quote! { #item #mistake })
}

/// Makes an `async fn` one that returns its future.
fn returned(function: &mut ImplItemFn) -> Result<()> {
    rules::of_signature(&function.sig)?;
    let ReturnType::Type(_, result) = &function.sig.output else {
        return Err(Error::new(function.sig.ident.span(), "it gives `Result<T, Error>`"));
    };
    let result = result.clone();
    let call = lifetimes::of_call();
    // As in an `async fn`, arguments are taken apart when it is polled, and live
    // until it ends.
    let mut taken_apart = Vec::new();
    for (at, argument) in function.sig.inputs.iter_mut().enumerate() {
        match argument {
            FnArg::Receiver(_) => *argument = parse_quote! { &#call self },
            FnArg::Typed(typed) => {
                *typed.ty = lifetimes::named(&typed.ty);
                let pattern = &typed.pat;
                let name = format_ident!("__argument{at}");
                taken_apart.push(quote! { let #pattern = #name; });
                *typed.pat = parse_quote! { #name };
            }
        }
    }
    let body = &function.block;
    function.block = parse_quote! {{
        ::plugbay_interface::export::service::ServiceFuture::new(async move {
            #(#taken_apart)*
            #body
        })
    }};
    function.sig.asyncness = None;
    function.sig.generics.params.push(parse_quote! { #call });
    function.sig.output = parse_quote! {
        -> ::plugbay_interface::export::service::ServiceFuture<
            #call,
            <#result as ::plugbay_interface::export::service::Outcome>::Value,
        >
    };
    Ok(())
}
