//! What `#[service]` makes of a trait.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, Meta, Result, Type};

use super::lifetimes;
use super::model::{Contract, Method};

pub(super) fn expand(contract: &Contract) -> Result<TokenStream> {
    let described = contract_trait(contract);
    let defaults = defaults(contract);
    let table = table(contract);
    let proxy = proxy(contract);
    let implements_contract = implements_contract(contract);
    let implemented = implemented(contract);
    Ok(quote! {
        #described
        #defaults

        #[doc(hidden)]
        #[allow(
            non_snake_case,
            deprecated,
            unused_qualifications,
            improper_ctypes_definitions,
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

fn defaults_name(contract: &Contract) -> Ident {
    format_ident!("__{}Defaults", contract.item.ident)
}

/// Another name, as both traits are in scope where the contract is written.
fn default_name(method: &Method) -> Ident {
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
fn signature(method: &Method, patterns: &[impl ToTokens], name: &Ident) -> TokenStream {
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

/// The `T` of `Result<T, Error>`, whatever name that has here.
fn value(method: &Method, path: &TokenStream) -> TokenStream {
    let result = &method.result;
    quote_spanned! { result.span()=> <#result as #path::Outcome>::Value }
}

/// An argument's type as it crosses.
fn abi(of: &Type) -> TokenStream {
    quote_spanned! { of.span()=> <#of as __plugbay::Argument>::Abi }
}

/// The lifetime of an asynchronous call, its arguments' types as they cross, the
/// object's first, and what its function gives.
fn crossing(method: &Method) -> (TokenStream, Vec<TokenStream>, TokenStream) {
    let value = value(method, &quote! { __plugbay });
    if !method.asynchronous {
        let mut types = vec![quote! { *const () }];
        types.extend(method.arguments.iter().map(|argument| abi(&argument.of)));
        let answer = quote_spanned! { method.result.span()=> __plugbay::Answer<#value> };
        return (TokenStream::new(), types, answer);
    }
    let call = lifetimes::of_call();
    // A function's type wants the lifetime of its result in an argument as well.
    let mut types = vec![quote! { __plugbay::Object<#call> }];
    types.extend(method.arguments.iter().map(|argument| abi(&lifetimes::named(&argument.of))));
    let answer = quote_spanned! { method.result.span()=>
        __plugbay::RResult<__plugbay::ServiceFuture<#call, #value>, __plugbay::FaultBox>
    };
    (quote! { #call }, types, answer)
}

fn table(contract: &Contract) -> TokenStream {
    let fields = contract.in_table_order().into_iter().map(|method| {
        let name = &method.name;
        let (call, types, answer) = crossing(method);
        quote! {
            #name: for<#call> unsafe extern "C" fn(#(#types),*) -> #answer
        }
    });
    quote! {
        // A later version's has more fields, so an earlier one's ends before this
        // one does: only what `__count` covers is read.
        #[repr(C)]
        pub struct __PlugbayMethods {
            __count: usize,
            #(#fields,)*
        }
    }
}

fn proxy(contract: &Contract) -> TokenStream {
    let name = &contract.item.ident;
    let helper = defaults_name(contract);
    let methods = contract.in_table_order().into_iter().enumerate().map(|(at, method)| {
        let own = &method.name;
        let names: Vec<_> =
            (0..method.arguments.len()).map(|at| format_ident!("__argument{at}")).collect();
        let signature = signature(method, &names, own);
        let older = (method.since > 0).then(|| {
            let at = Literal::usize_unsuffixed(at);
            let default = default_name(method);
            quote! {
                // SAFETY: every table begins with its count.
                if unsafe { (&raw const (*self.methods).__count).read() } <= #at {
                    return #helper::#default(self #(, #names)*);
                }
            }
        });
        let object = if method.asynchronous {
            quote! { __plugbay::Object::new(self.object) }
        } else {
            quote! { self.object }
        };
        let call = quote! {
            // SAFETY: the table has this function, as `__count` says or as every
            // version has it; it is of this type, which the descriptions were
            // compared for; and the object is there, as `Contract::proxy` asks for.
            unsafe { ((&raw const (*self.methods).#own).read())(#object #(, #names)*) }
        };
        let value = value(method, &quote! { __plugbay });
        let body = if method.asynchronous {
            quote! {
                #(
                    let #names = match __plugbay::Argument::into_abi(#names) {
                        Ok(abi) => abi,
                        Err(error) => return __plugbay::ServiceFuture::failed(error),
                    };
                )*
                match #call {
                    __plugbay::RResult::ROk(future) => future,
                    __plugbay::RResult::RErr(fault) => {
                        __plugbay::ServiceFuture::failed(__plugbay::Error::from(fault))
                    }
                }
            }
        } else {
            quote! {
                #(let #names = __plugbay::Argument::into_abi(#names)?;)*
                __plugbay::receive::<#value>(#call)
            }
        };
        quote! {
            #[inline]
            #[track_caller]
            #signature {
                #older
                #body
            }
        }
    });
    quote! {
        pub struct __PlugbayProxy {
            object: *const (),
            methods: *const __PlugbayMethods,
        }

        // SAFETY: the object is one of a type that implements the contract, and so
        // is `Send + Sync`; the table is constant.
        unsafe impl Send for __PlugbayProxy {}
        // SAFETY: as above.
        unsafe impl Sync for __PlugbayProxy {}

        impl #name for __PlugbayProxy {
            #(#methods)*
        }
    }
}

fn implements_contract(contract: &Contract) -> TokenStream {
    let name = &contract.item.ident;
    let id = &contract.id;
    let (major, minor) = (contract.version.major, contract.version.minor);
    let summary = summary(&contract.item.attrs);
    let methods = contract.in_table_order().into_iter().map(|method| {
        let (word, summary) = (method.word(), summary_of(method));
        let (since, asynchronous) = (method.since, method.asynchronous);
        let words = method.arguments.iter().map(|argument| argument.word());
        let types = method.arguments.iter().map(|argument| {
            let of = &argument.of;
            quote_spanned! { of.span()=> <#of as __plugbay::Argument>::describe }
        });
        let value = value(method, &quote! { __plugbay });
        let result = quote_spanned! { method.result.span()=>
            <#value as __plugbay::Crossing>::describe
        };
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
    quote! {
        // SAFETY: the proxy calls by the table, as its own blocks say.
        unsafe impl __plugbay::Contract for dyn #name {
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

fn implemented(contract: &Contract) -> TokenStream {
    let name = &contract.item.ident;
    let id = &contract.id;
    let methods = contract.in_table_order();
    let count = Literal::usize_unsuffixed(methods.len());
    let own: Vec<_> = methods.iter().map(|method| &method.name).collect();
    let words: Vec<_> = methods.iter().map(|method| method.word()).collect();
    let functions = methods.iter().map(|method| function(contract, method));
    let calls = methods.iter().map(|method| named_call(contract, method));
    quote! {
        struct __PlugbayFunctions<T>(::core::marker::PhantomData<T>);

        impl<T: #name + 'static> __PlugbayFunctions<T> {
            const METHODS: &'static __PlugbayMethods = &__PlugbayMethods {
                __count: #count,
                #(#own: Self::#own,)*
            };

            #(#functions)*
        }

        // SAFETY: the table is the one above, whose functions take a `T`.
        unsafe impl<T: #name + 'static> __plugbay::Implemented<T> for dyn #name {
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
    let run = if method.asynchronous {
        quote! { Ok(#name::#own(service #(, __plugbay::Argument::from_abi(#names)?)*)) }
    } else {
        quote! { #name::#own(service #(, __plugbay::Argument::from_abi(#names)?)*) }
    };
    let value = value(method, &quote! { __plugbay });
    let guard = if method.asynchronous {
        quote! { __plugbay::start::<#value> }
    } else {
        quote! { __plugbay::answer::<#value> }
    };
    quote! {
        unsafe extern "C" fn #own<#call>(__object: #of_object #(, #names: #types)*) -> #answer {
            #guard(|| {
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
    let types: Vec<_> = method.arguments.iter().map(|argument| &argument.of).collect();
    let names: Vec<_> =
        (0..method.arguments.len()).map(|at| format_ident!("__argument{at}")).collect();
    let wait = method.asynchronous.then(|| quote! { .wait() });
    quote! {
        #word => {
            let mut __given = __plugbay::Arguments::read(__arguments.as_str(), &[#(#words),*])?;
            #(
                let mut #names =
                    __given.take::<<#types as __plugbay::Argument>::Owned>(#words)?;
            )*
            let __result = #name::#own(
                __service
                #(, __plugbay::lent(<#types as __plugbay::Lend<'_>>::lend(&mut #names))?)*
            )#wait?;
            __plugbay::written(&__result)
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
