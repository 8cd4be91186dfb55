//! The caller's side: the table of functions, and the proxy that calls through it.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::contract::{default_name, defaults_name, signature};
use super::model::Contract;
use super::types::{conditions, crossing, crossing_argument, crossing_value};

pub(super) fn table(contract: &Contract) -> TokenStream {
    let fields = contract.in_table_order().into_iter().map(|method| {
        let name = &method.name;
        let (call, types, answer) = crossing(method);
        quote! {
            #name: for<#call> unsafe extern "C" fn(#(#types),*) -> #answer
        }
    });
    let conditions = conditions(contract);
    quote! {
        // A later version's has more fields, so an earlier one's ends before this
        // one does: only what `__count` covers is read.
        #[repr(C)]
        pub struct __PlugbayMethods
        where
            #conditions
        {
            __count: usize,
            #(#fields,)*
        }
    }
}

pub(super) fn proxy(contract: &Contract) -> TokenStream {
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
        let into: Vec<_> = method
            .arguments
            .iter()
            .zip(&names)
            .map(|(argument, name)| {
                let crossing = crossing_argument(argument);
                quote! { #crossing::into_abi(#name) }
            })
            .collect();
        // No `?`: whatever the method gives, these are the interface's errors.
        let result = &method.result;
        let fail = if method.asynchronous {
            quote! { __plugbay::ServiceFuture::failed(error) }
        } else {
            quote! { <#result as __plugbay::Outcome>::of(Err(error)) }
        };
        let succeed = if method.asynchronous {
            quote! { value }
        } else {
            let value = crossing_value(method);
            quote! { <#result as __plugbay::Outcome>::of(#value::from_abi(value)) }
        };
        let body = quote! {
            #(
                let #names = match #into {
                    Ok(abi) => abi,
                    Err(error) => return #fail,
                };
            )*
            match __plugbay::receive(#call) {
                Ok(value) => #succeed,
                Err(error) => #fail,
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
    let conditions = conditions(contract);
    quote! {
        pub struct __PlugbayProxy
        where
            #conditions
        {
            object: *const (),
            methods: *const __PlugbayMethods,
        }

        // SAFETY: the object is one of a type that implements the contract, and so
        // is `Send + Sync`; the table is constant.
        unsafe impl Send for __PlugbayProxy where #conditions {}
        // SAFETY: as above.
        unsafe impl Sync for __PlugbayProxy where #conditions {}

        impl #name for __PlugbayProxy
        where
            #conditions
        {
            #(#methods)*
        }
    }
}
