//! The provider's side: the contract itself, and the functions for a type that
//! implements it.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use super::model::{Contract, Method};
use super::types::{conditions, crossing, crossing_argument, crossing_value};

pub(super) fn contract(contract: &Contract) -> TokenStream {
    let name = &contract.item.ident;
    let id = &contract.id;
    let (major, minor) = (contract.version.major, contract.version.minor);
    let summary = summary(&contract.item.attrs);
    let methods = contract.in_table_order().into_iter().map(|method| {
        let (word, summary) = (method.word(), summary_of(method));
        let (since, asynchronous) = (method.since, method.asynchronous);
        let words = method.arguments.iter().map(|argument| argument.word());
        let types = method.arguments.iter().map(|argument| {
            let crossing = crossing_argument(argument);
            quote! { #crossing::describe }
        });
        let value = crossing_value(method);
        let result = quote! { #value::describe };
        quote! {
            described.method(
                #word,
                #summary,
                #since,
                #asynchronous,
                &[#((#words, #types)),*],
                #result,
            );
        }
    });
    let conditions = conditions(contract);
    quote! {
        // SAFETY: the proxy calls by the table, as its own blocks say.
        unsafe impl __plugbay::Contract for dyn #name
        where
            #conditions
        {
            const ID: &'static str = #id;
            const MAJOR: u32 = #major;
            const MINOR: u32 = #minor;

            type Proxy = __PlugbayProxy;

            #[inline(always)]
            unsafe fn proxy(object: *const (), methods: *const ()) -> __PlugbayProxy {
                __PlugbayProxy { object, methods: methods.cast() }
            }

            fn description() -> __plugbay::Description {
                let mut described = __plugbay::Described::new::<Self>(#summary);
                #(#methods)*
                described.finish()
            }
        }
    }
}

pub(super) fn implemented(contract: &Contract) -> TokenStream {
    let name = &contract.item.ident;
    let id = &contract.id;
    let methods = contract.in_table_order();
    let count = Literal::usize_unsuffixed(methods.len());
    let own: Vec<_> = methods.iter().map(|method| &method.name).collect();
    let words: Vec<_> = methods.iter().map(|method| method.word()).collect();
    let functions = methods.iter().map(|method| function(contract, method));
    let calls = methods.iter().map(|method| named_call(contract, method));
    let conditions = conditions(contract);
    quote! {
        struct __PlugbayFunctions<T>(::core::marker::PhantomData<T>);

        impl<T: #name + 'static> __PlugbayFunctions<T>
        where
            #conditions
        {
            const METHODS: &'static __PlugbayMethods = &__PlugbayMethods {
                __count: #count,
                #(#own: Self::#own,)*
            };

            #(#functions)*
        }

        // SAFETY: the table is the one above, whose functions take a `T`.
        unsafe impl<T: #name + 'static> __plugbay::Implemented<T> for dyn #name
        where
            #conditions
        {
            const METHODS: *const () =
                ::core::ptr::from_ref(__PlugbayFunctions::<T>::METHODS).cast();

            unsafe fn call(
                __object: *const (),
                __method: __plugbay::RStr<'_>,
                __arguments: __plugbay::RStr<'_>,
            ) -> __plugbay::RResult<__plugbay::RString, __plugbay::Fault> {
                __plugbay::dispatch(|| {
                    // SAFETY: the caller's promise.
                    let __service = unsafe { &*__object.cast::<T>() };
                    match __method.as_str() {
                        #(#calls)*
                        other => Err(__plugbay::unknown(#id, other, &[#(#words),*])),
                    }
                })
            }
        }
    }
}

/// The function of the table for one method.
fn function(contract: &Contract, method: &Method) -> TokenStream {
    let (own, name) = (&method.name, &contract.item.ident);
    let (call, types, answer) = crossing(method);
    let (of_object, types) = (&types[0], &types[1..]);
    let names: Vec<_> =
        (0..method.arguments.len()).map(|at| format_ident!("__argument{at}")).collect();
    let pointer = method.asynchronous.then(|| quote! { .pointer() });
    let from: Vec<_> = method
        .arguments
        .iter()
        .zip(&names)
        .map(|(argument, name)| {
            let crossing = crossing_argument(argument);
            quote! { #crossing::from_abi(#name)? }
        })
        .collect();
    let run = if method.asynchronous {
        quote! { Ok(#name::#own(service #(, #from)*)) }
    } else {
        let value = crossing_value(method);
        let into = quote! { #value::into_abi };
        quote! {
            #into(__plugbay::Outcome::outcome(#name::#own(service #(, #from)*))?)
        }
    };
    quote! {
        unsafe extern "C" fn #own<#call>(__object: #of_object #(, #names: #types)*) -> #answer {
            __plugbay::answer(|| {
                // SAFETY: an offer's function is called with that offer's object,
                // which is there as long as the offer is.
                let service = unsafe { &*__object #pointer .cast::<T>() };
                #run
            })
        }
    }
}

/// The arm for one method called by name.
fn named_call(contract: &Contract, method: &Method) -> TokenStream {
    let (own, name, word) = (&method.name, &contract.item.ident, method.word());
    let words: Vec<_> = method.arguments.iter().map(|argument| argument.word()).collect();
    let names: Vec<_> =
        (0..method.arguments.len()).map(|at| format_ident!("__argument{at}")).collect();
    let (mut owned, mut lent) = (Vec::new(), Vec::new());
    for (argument, name) in method.arguments.iter().zip(&names) {
        let of = &argument.of;
        if argument.crosses_by() == "Crossing" {
            owned.push(quote! { #of });
            lent.push(quote! { #name });
        } else {
            owned.push(quote! { <#of as __plugbay::Argument>::Owned });
            lent.push(quote! { <#of as __plugbay::Lend<'_>>::lend(&#name) });
        }
    }
    let run = quote! { #name::#own(__service #(, #lent)*) };
    let outcome = if method.asynchronous {
        quote! { #run.wait() }
    } else {
        quote! { __plugbay::Outcome::outcome(#run) }
    };
    quote! {
        #word => {
            let mut __given = __plugbay::Arguments::read(__arguments.as_str(), &[#(#words),*])?;
            #(
                let #names: #owned = __plugbay::read(__given.take(#words), #words)?;
            )*
            __plugbay::written(&#outcome?)
        }
    }
}

fn summary_of(method: &Method) -> String {
    summary(&method.attributes)
}

/// The first paragraph of a documentation.
fn summary(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let paragraph: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}
