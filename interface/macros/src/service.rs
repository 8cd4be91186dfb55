//! `#[service]`, on a trait and on its implementations.

mod caller;
mod contract;
mod implementation;
mod lifetimes;
mod model;
mod provider;
mod rules;
mod types;

use proc_macro2::{Span, TokenStream};
use syn::{Error, Item, Result};

const STANDS: &str = "#[service(id = \"…\", version = \"1.0\")] stands on a trait, and #[service] on \
                      `impl Trait for X`";

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    match syn::parse2(item).map_err(|_| Error::new(Span::call_site(), STANDS))? {
        Item::Trait(item) => contract::expand(&model::Contract::read(arguments, item)?),
        Item::Impl(item) => implementation::expand(arguments, item),
        other => Err(Error::new_spanned(other, STANDS)),
    }
}
