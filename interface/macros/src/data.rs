use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "#[data] takes no arguments"));
    }
    let item: DeriveInput = syn::parse2(item)?;
    Ok(quote! {
        #[derive(::plugbay_interface::serde::Serialize, ::plugbay_interface::serde::Deserialize)]
        #[serde(crate = "::plugbay_interface::serde")]
        #item
    })
}
