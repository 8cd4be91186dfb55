use proc_macro2::TokenStream;
use syn::Result;

pub(crate) fn expand(_arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    Ok(item)
}
