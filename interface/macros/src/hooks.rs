//! The functions of the C library that a plugin's library has of its own.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::LitStr;

/// Thin symbols around `plugbay_interface::hooks`, which says what they are for.
///
/// Hidden, or the dynamic linker would take the C library's for them; and not in
/// unit tests, nor where the program is linked with its C library.
pub(crate) fn symbols() -> TokenStream {
    let symbols = [
        (
            "__cxa_thread_atexit_impl",
            quote! { register_local },
            quote! { destructor: *const (), object: *mut (), library: *mut () },
            quote! { destructor, object, library },
            quote! { i32 },
        ),
        (
            "pthread_create",
            quote! { create_thread },
            quote! { thread: *mut (), attributes: *const (), start: *const (), argument: *mut () },
            quote! { thread, attributes, start, argument },
            quote! { i32 },
        ),
        (
            "pthread_key_create",
            quote! { create_key },
            quote! { key: *mut u32, destructor: *const () },
            quote! { key, destructor },
            quote! { i32 },
        ),
        (
            "pthread_key_delete",
            quote! { delete_key },
            quote! { key: u32 },
            quote! { key },
            quote! { i32 },
        ),
        (
            "pthread_setspecific",
            quote! { set_value },
            quote! { key: u32, value: *const () },
            quote! { key, value },
            quote! { i32 },
        ),
        (
            "mmap64",
            quote! { map_file },
            quote! { address: *mut (), length: usize, protection: i32, flags: i32, file: i32, offset: i64 },
            quote! { address, length, protection, flags, file, offset },
            quote! { *mut () },
        ),
    ];
    let symbols = symbols.map(|(name, function, parameters, arguments, result)| {
        let name = LitStr::new(name, Span::call_site());
        let hidden = LitStr::new(&format!(".hidden {}", name.value()), Span::call_site());
        quote! {
            ::core::arch::global_asm!(#hidden);

            // SAFETY: the name and the arguments of the C library's own
            // function, which this one does what is asked of.
            #[unsafe(export_name = #name)]
            unsafe extern "C" fn #function(#parameters) -> #result {
                // SAFETY: the caller's promise is the same.
                unsafe { ::plugbay_interface::export::#function(#arguments) }
            }
        }
    });
    quote! {
        #[cfg(all(
            not(test),
            target_os = "linux",
            target_env = "gnu",
            not(target_feature = "crt-static"),
        ))]
        mod plugbay_hooks {
            #(#symbols)*
        }
    }
}
