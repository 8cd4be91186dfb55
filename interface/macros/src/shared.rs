//! `#[shared]`: data that a contract's methods take and give.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataEnum, DataStruct, DeriveInput, Error, Field, Fields, Ident, Index, Member,
    Result, parse_quote,
};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let growing = match arguments.to_string().as_str() {
        "" => false,
        "growing" => true,
        _ => {
            return Err(Error::new_spanned(
                arguments,
                "it is #[shared], for what stays as it is, or #[shared(growing)], for what will \
                 get fields or variants",
            ));
        }
    };
    let item: DeriveInput = syn::parse2(item)?;
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new_spanned(
            generic,
            "a shared type has no generic parameters: its layout must be known; name the types",
        ));
    }
    if let Some(clause) = &item.generics.where_clause {
        return Err(Error::new_spanned(clause, "a shared type has no where clause"));
    }
    if let Some(repr) = item.attrs.iter().find(|attribute| attribute.path().is_ident("repr")) {
        return Err(Error::new_spanned(repr, "leave it out: #[shared] knows how it crosses"));
    }
    match (&item.data, growing) {
        (Data::Union(_), _) => {
            Err(Error::new_spanned(&item.ident, "a union does not say what is in it: use an enum"))
        }
        (Data::Struct(data), false) => Ok(record(&item, data)),
        (Data::Enum(data), false) => choice(&item, data),
        (Data::Struct(_), true) => Ok(growing_struct(&item)),
        (Data::Enum(_), true) => growing_enum(item),
    }
}

fn derives() -> TokenStream {
    quote! {
        #[derive(::plugbay_interface::serde::Serialize, ::plugbay_interface::serde::Deserialize)]
        #[serde(crate = "::plugbay_interface::serde")]
    }
}

/// The implementation of `Crossing` for one type.
struct Crossing<'item> {
    name: &'item Ident,
    /// Items that it needs.
    items: TokenStream,
    abi: TokenStream,
    same: TokenStream,
    into: TokenStream,
    from: TokenStream,
    describe: TokenStream,
}

impl Crossing<'_> {
    fn tokens(self) -> TokenStream {
        let Self { name, items, abi, same, into, from, describe } = self;
        quote! {
            #[doc(hidden)]
            #[allow(
                dead_code,
                non_camel_case_types,
                deprecated,
                unused_qualifications,
                clippy::all,
                clippy::pedantic,
                clippy::undocumented_unsafe_blocks,
            )]
            const _: () = {
                use ::plugbay_interface::export::service as __plugbay;

                #items

                // SAFETY: what crosses is `repr(C)`, of what its fields cross as; or
                // bytes.
                unsafe impl __plugbay::Crossing for #name {
                    type Abi = #abi;
                    const SAME: bool = #same;

                    #[inline]
                    fn into_abi(self) -> ::core::result::Result<Self::Abi, __plugbay::Error> {
                        #into
                    }

                    #[inline]
                    fn from_abi(
                        __abi: Self::Abi,
                    ) -> ::core::result::Result<Self, __plugbay::Error> {
                        #from
                    }

                    fn describe(types: &mut __plugbay::Types) -> ::std::string::String {
                        #describe
                    }
                }
            };
        }
    }
}

/// The fields of a struct or of a variant, in the forms that they are needed in.
struct Parts {
    members: Vec<Member>,
    /// Names to hold them by.
    names: Vec<Ident>,
    /// What they cross as.
    abis: Vec<TokenStream>,
    sames: Vec<TokenStream>,
    /// `Field::new(…)` each.
    described: Vec<TokenStream>,
}

impl Parts {
    fn of(fields: &Fields) -> Self {
        let member = |(at, field): (usize, &Field)| match &field.ident {
            Some(name) => Member::Named(name.clone()),
            None => Member::Unnamed(Index::from(at)),
        };
        let described = |(at, field): (usize, &Field)| {
            let word = match &field.ident {
                Some(name) => syn::ext::IdentExt::unraw(name).to_string(),
                None => at.to_string(),
            };
            let of = &field.ty;
            quote_spanned! { of.span()=>
                __plugbay::Field::new(#word, <#of as __plugbay::Crossing>::describe(types))
            }
        };
        let each = |make: fn(&syn::Type) -> TokenStream| {
            fields.iter().map(|field| make(&field.ty)).collect()
        };
        Self {
            members: fields.iter().enumerate().map(member).collect(),
            names: (0..fields.len()).map(|at| format_ident!("__field{at}")).collect(),
            abis: each(|of| quote_spanned! { of.span()=> <#of as __plugbay::Crossing>::Abi }),
            sames: each(|of| quote_spanned! { of.span()=> <#of as __plugbay::Crossing>::SAME }),
            described: fields.iter().enumerate().map(described).collect(),
        }
    }
}

fn record(item: &DeriveInput, data: &DataStruct) -> TokenStream {
    let name = &item.ident;
    let word = name.to_string();
    let Parts { members, names, abis, sames, described } = Parts::of(&data.fields);
    let derives = derives();
    let crossing = Crossing {
        name,
        // By numbers, so that no name means something else here.
        items: quote! {
            #[repr(C)]
            pub struct __PlugbayAbi(#(#abis),*);
        },
        abi: quote! { __PlugbayAbi },
        same: quote! { true #(&& #sames)* },
        into: quote! {
            let Self { #(#members: #names),* } = self;
            Ok(__PlugbayAbi(#(__plugbay::Crossing::into_abi(#names)?),*))
        },
        from: quote! {
            let __PlugbayAbi(#(#names),*) = __abi;
            Ok(Self { #(#members: __plugbay::Crossing::from_abi(#names)?),* })
        },
        describe: quote! {
            types.add::<__PlugbayAbi>(#word, |types| {
                let _ = &types;
                __plugbay::Shape::Record { fields: ::std::vec![#(#described),*] }
            })
        },
    };
    let crossing = crossing.tokens();
    quote! {
        #derives
        // So that a struct of what crosses as itself does so, too.
        #[repr(C)]
        #item

        #crossing
    }
}

fn choice(item: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &item.ident;
    let word = name.to_string();
    if data.variants.is_empty() {
        return Err(Error::new_spanned(name, "an enum without variants has no value to share"));
    }
    if data.variants.len() > 256 {
        return Err(Error::new_spanned(name, "a shared enum has at most 256 variants"));
    }
    let mut fields_of_abi = Vec::new();
    let (mut into, mut from, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        let own = &variant.ident;
        let word = syn::ext::IdentExt::unraw(own).to_string();
        let Parts { members, names, abis, described: fields, .. } = Parts::of(&variant.fields);
        fields_of_abi.push(quote! { #own(#(#abis),*) });
        into.push(quote! {
            Self::#own { #(#members: #names),* } => {
                __PlugbayAbi::#own(#(__plugbay::Crossing::into_abi(#names)?),*)
            }
        });
        from.push(quote! {
            __PlugbayAbi::#own(#(#names),*) => {
                Self::#own { #(#members: __plugbay::Crossing::from_abi(#names)?),* }
            }
        });
        described.push(quote! {
            __plugbay::Variant { name: #word.into(), fields: ::std::vec![#(#fields),*] }
        });
    }
    let derives = derives();
    let crossing = Crossing {
        name,
        items: quote! {
            #[repr(C, u8)]
            pub enum __PlugbayAbi { #(#fields_of_abi),* }
        },
        abi: quote! { __PlugbayAbi },
        same: quote! { false },
        into: quote! { Ok(match self { #(#into),* }) },
        from: quote! { Ok(match __abi { #(#from),* }) },
        describe: quote! {
            types.add::<__PlugbayAbi>(#word, |types| {
                let _ = &types;
                __plugbay::Shape::Choice { variants: ::std::vec![#(#described),*] }
            })
        },
    };
    let crossing = crossing.tokens();
    Ok(quote! {
        #derives
        #item

        #crossing
    })
}

fn encoded(name: &Ident) -> TokenStream {
    let word = name.to_string();
    let crossing = Crossing {
        name,
        items: TokenStream::new(),
        abi: quote! { __plugbay::Encoded },
        same: quote! { false },
        into: quote! { __plugbay::encode(#word, &self) },
        from: quote! { __plugbay::decode(#word, __abi) },
        describe: quote! { types.add_encoded::<Self, Self::Abi>(#word, "msgpack") },
    };
    crossing.tokens()
}

fn growing_struct(item: &DeriveInput) -> TokenStream {
    let derives = derives();
    let encoded = encoded(&item.ident);
    quote! {
        #derives
        #item

        #encoded
    }
}

/// As serde's own, but for variants that nobody knows yet.
fn growing_enum(mut item: DeriveInput) -> Result<TokenStream> {
    for attribute in &item.attrs {
        if let Some(key) = other_form(attribute) {
            return Err(Error::new_spanned(
                attribute,
                format!("leave `{key}` out: the variant's name must be where all readers look"),
            ));
        }
    }
    let name = item.ident.clone();
    let Data::Enum(data) = &mut item.data else { return Ok(TokenStream::new()) };
    let mut fallback = None;
    for variant in &mut data.variants {
        let before = variant.attrs.len();
        variant.attrs.retain(|attribute| !attribute.path().is_ident("fallback"));
        if variant.attrs.len() == before {
            continue;
        }
        if !variant.fields.is_empty() || fallback.is_some() {
            return Err(Error::new_spanned(
                variant,
                "one variant without fields is the #[fallback]: it stands for those that are not \
                 known here, and nothing is known of them",
            ));
        }
        fallback = Some(variant.ident.clone());
    }
    let Some(fallback) = fallback else {
        return Err(Error::new_spanned(
            &name,
            "say what a reader gets for a variant that is not known to it: one without fields, \
             with #[fallback] on it",
        ));
    };
    // Serde's functions beside the traits, so that the traits' can be others.
    item.attrs.push(parse_quote! { #[serde(remote = "Self")] });
    let derives = derives();
    let encoded = encoded(&name);
    Ok(quote! {
        #derives
        #item

        impl ::plugbay_interface::serde::Serialize for #name {
            fn serialize<S: ::plugbay_interface::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                #name::serialize(self, serializer)
            }
        }

        impl<'de> ::plugbay_interface::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::plugbay_interface::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let known =
                    ::plugbay_interface::export::service::known_variant(deserializer)?;
                Ok(known.unwrap_or(#name::#fallback))
            }
        }

        impl ::plugbay_interface::export::service::Growing for #name {
            fn read<'de, D: ::plugbay_interface::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                #name::deserialize(deserializer)
            }
        }

        #encoded
    })
}

/// The key of a serde attribute that writes an enum without its variant's name
/// around it.
fn other_form(attribute: &Attribute) -> Option<&'static str> {
    if !attribute.path().is_ident("serde") {
        return None;
    }
    let mut found = None;
    // What it cannot read is for serde to complain of.
    let _ = attribute.parse_nested_meta(|meta| {
        for key in ["tag", "untagged", "content"] {
            if meta.path.is_ident(key) {
                found = Some(key);
            }
        }
        if meta.input.peek(syn::Token![=]) {
            let _: syn::Expr = meta.value()?.parse()?;
        }
        Ok(())
    });
    found
}
