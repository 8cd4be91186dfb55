//! A contract's types as its functions have them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{PathArguments, Type};

use super::lifetimes;
use super::model::{Contract, Method, MethodArgument};

/// The `T` of `Result<T, Error>`, whatever name that has here.
pub(super) fn value(method: &Method, path: &TokenStream) -> TokenStream {
    let result = &method.result;
    quote! { <#result as #path::Outcome>::Value }
}

/// The result as a type that crosses.
pub(super) fn crossing_value(method: &Method) -> TokenStream {
    let value = value(method, &quote! { __plugbay });
    quote! { <#value as __plugbay::Crossing> }
}

/// An argument's type as one that crosses.
pub(super) fn crossing_argument(argument: &MethodArgument) -> TokenStream {
    crossing_type(argument, &argument.of)
}

fn crossing_type(argument: &MethodArgument, of: &Type) -> TokenStream {
    let by = argument.crosses_by();
    quote! { <#of as __plugbay::#by> }
}

/// The lifetime of an asynchronous call, its arguments' types as they cross, the
/// object's first, and what its function gives.
pub(super) fn crossing(method: &Method) -> (TokenStream, Vec<TokenStream>, TokenStream) {
    if !method.asynchronous {
        let mut types = vec![quote! { *const () }];
        types.extend(method.arguments.iter().map(|argument| {
            let crossing = crossing_argument(argument);
            quote! { #crossing::Abi }
        }));
        let value = crossing_value(method);
        let answer = quote! { __plugbay::RResult<#value::Abi, __plugbay::FaultBox> };
        return (TokenStream::new(), types, answer);
    }
    let call = lifetimes::of_call();
    // A function's type wants the lifetime of its result in an argument as well.
    let mut types = vec![quote! { __plugbay::Object<#call> }];
    types.extend(method.arguments.iter().map(|argument| {
        let crossing = crossing_type(argument, &lifetimes::named(&argument.of));
        quote! { #crossing::Abi }
    }));
    let value = value(method, &quote! { __plugbay });
    let answer = quote! {
        __plugbay::RResult<__plugbay::ServiceFuture<#call, #value>, __plugbay::FaultBox>
    };
    (quote! { #call }, types, answer)
}

/// That all types cross, as conditions of everything that is emitted: one that does
/// not is an error once, at its place, and not for each use of it.
pub(super) fn conditions(contract: &Contract) -> TokenStream {
    let conditions = contract.methods.iter().flat_map(|method| {
        let arguments = method.arguments.iter().filter_map(|argument| condition(&argument.of));
        arguments.chain(result_condition(method)).collect::<Vec<_>>()
    });
    quote! { #(#conditions,)* }
}

fn condition(of: &Type) -> Option<TokenStream> {
    // What is lent crosses by itself, but for what is in a slice.
    let of = match of {
        Type::Reference(reference) => match &*reference.elem {
            Type::Slice(slice) => &*slice.elem,
            _ => return None,
        },
        of => of,
    };
    if super::model::borrows(of) {
        return None;
    }
    Some(quote_spanned! { last(of)=> #of: __plugbay::Crossing })
}

fn result_condition(method: &Method) -> Vec<TokenStream> {
    let result = &method.result;
    let value = match result {
        Type::Path(of) => match of.path.segments.last().map(|last| &last.arguments) {
            Some(PathArguments::AngleBracketed(list)) => list.args.first(),
            _ => None,
        },
        _ => None,
    };
    // The one that is more likely to be wrong, and the plainer, comes first.
    match value {
        Some(value) => vec![
            quote_spanned! { last(value)=> #value: __plugbay::Crossing },
            quote_spanned! { last(result)=> #result: __plugbay::Outcome<Value = #value> },
        ],
        None => vec![
            quote_spanned! { last(result)=> #result: __plugbay::Outcome },
            quote_spanned! { last(result)=>
                <#result as __plugbay::Outcome>::Value: __plugbay::Crossing
            },
        ],
    }
}

/// That what is lent as a slice is lent as it is.
pub(super) fn lent_slices(contract: &Contract) -> TokenStream {
    let arguments = contract.methods.iter().flat_map(|method| &method.arguments);
    let slices = arguments.filter_map(|argument| match &argument.of {
        Type::Reference(reference) => match &*reference.elem {
            Type::Slice(slice) => Some(&*slice.elem),
            _ => None,
        },
        _ => None,
    });
    let asserted = slices.map(|of| {
        quote_spanned! { last(of)=> const _: () = __plugbay::assert_lent::<#of>(); }
    });
    quote! { #(#asserted)* }
}

/// Where the last token of something stands, so that a span from its first one to
/// that covers all of it.
fn last(of: &impl quote::ToTokens) -> proc_macro2::Span {
    of.to_token_stream().into_iter().last().map_or_else(|| of.span(), |token| token.span())
}
