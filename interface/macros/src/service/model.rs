//! A contract as its trait says it.

use plugbay_manifest::ContractVersion;
use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{
    Attribute, Block, Error, FnArg, Ident, ItemTrait, Lifetime, LitStr, Pat, Result, ReturnType,
    Token, TraitItem, TraitItemFn, Type, TypeReference,
};

use super::rules;

pub(crate) struct Contract {
    pub(crate) item: ItemTrait,
    pub(crate) id: LitStr,
    pub(crate) version: ContractVersion,
    /// In the order of the trait.
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    /// Without `#[since]`.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    /// The minor version that it came with.
    pub(crate) since: u32,
    pub(crate) asynchronous: bool,
    pub(crate) arguments: Vec<MethodArgument>,
    /// All of `Result<T, Error>`.
    pub(crate) result: Type,
    pub(crate) body: Option<Block>,
}

pub(crate) struct MethodArgument {
    pub(crate) pattern: Pat,
    pub(crate) name: Ident,
    pub(crate) of: Type,
}

impl Method {
    /// The name as people type it.
    pub(crate) fn word(&self) -> String {
        self.name.unraw().to_string()
    }
}

impl MethodArgument {
    /// The trait by which it crosses. Only what is lent needs the other one; errors
    /// are plainer without it.
    pub(crate) fn crosses_by(&self) -> Ident {
        Ident::new(if borrows(&self.of) { "Argument" } else { "Crossing" }, Span::call_site())
    }

    /// The name as people type it: `_text` is an argument that a default body
    /// does not use.
    pub(crate) fn word(&self) -> String {
        self.name.unraw().to_string().trim_start_matches('_').to_owned()
    }
}

/// Whether a type says that it borrows.
pub(crate) fn borrows(of: &Type) -> bool {
    let mut search = Lent(false);
    search.visit_type(of);
    search.0
}

struct Lent(bool);

impl<'ast> Visit<'ast> for Lent {
    fn visit_type_reference(&mut self, _reference: &'ast TypeReference) {
        self.0 = true;
    }

    fn visit_lifetime(&mut self, _lifetime: &'ast Lifetime) {
        self.0 = true;
    }
}

impl Contract {
    /// Reads the attribute's arguments and the trait, and sees that it keeps all rules.
    pub(crate) fn read(arguments: TokenStream, mut item: ItemTrait) -> Result<Self> {
        let Arguments { id, version } = syn::parse2(arguments)?;
        let mut errors = Errors::default();
        errors.take(rules::of_trait(&item));
        let mut methods = Vec::new();
        for member in std::mem::take(&mut item.items) {
            if let Some(method) = errors.take(read_method(member, version)) {
                methods.push(method);
            }
        }
        if methods.is_empty() {
            errors.take(Err::<(), _>(Error::new(item.ident.span(), "a contract has a method")));
        }
        errors.finish(Self { item, id, version, methods })
    }

    /// In the order of the table: first come those that every version has.
    pub(crate) fn in_table_order(&self) -> Vec<&Method> {
        let mut methods: Vec<_> = self.methods.iter().collect();
        methods.sort_by_key(|method| method.since);
        methods
    }
}

fn read_method(member: TraitItem, version: ContractVersion) -> Result<Method> {
    let TraitItem::Fn(member) = member else {
        return Err(Error::new_spanned(
            member,
            "a contract has methods and nothing else: it is called through a table of functions",
        ));
    };
    rules::of_signature(&member.sig)?;
    let mut attributes = Vec::new();
    let mut since = 0;
    for attribute in &member.attrs {
        if attribute.path().is_ident("since") {
            since = read_since(attribute, version, &member)?;
        } else {
            rules::of_attribute(attribute)?;
            attributes.push(attribute.clone());
        }
    }
    let TraitItemFn { sig, default, .. } = member;
    let arguments: Vec<_> = sig.inputs.into_iter().filter_map(read_argument).collect();
    rules::of_arguments(&arguments)?;
    let ReturnType::Type(_, result) = sig.output else {
        return Err(Error::new(
            sig.ident.span(),
            "a call can always fail, as the plugin may panic or be gone: end this method with \
             `-> Result<(), Error>`",
        ));
    };
    rules::of_result(&result)?;
    Ok(Method {
        attributes,
        name: sig.ident,
        since,
        asynchronous: sig.asyncness.is_some(),
        arguments,
        result: *result,
        body: default,
    })
}

/// `None` for the receiver.
fn read_argument(argument: FnArg) -> Option<MethodArgument> {
    let FnArg::Typed(argument) = argument else { return None };
    let name = match &*argument.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() && pattern.by_ref.is_none() => {
            pattern.ident.clone()
        }
        other => Ident::new("_", other.span()),
    };
    Some(MethodArgument { pattern: *argument.pat, name, of: *argument.ty })
}

fn read_since(
    attribute: &Attribute,
    version: ContractVersion,
    member: &TraitItemFn,
) -> Result<u32> {
    let word: LitStr = attribute.parse_args().map_err(|error| {
        Error::new(error.span(), "write the version that the method came with: #[since(\"1.1\")]")
    })?;
    let since = read_version(&word)?;
    let fail = |message: String| Err(Error::new(word.span(), message));
    let ContractVersion { major, minor } = version;
    if since.major != major {
        return fail(format!(
            "the contract has version {major}.{minor}, and versions with another first number have \
             nothing in common with it"
        ));
    }
    if since > version {
        return fail(format!(
            "the contract has version {major}.{minor}: raise it to {major}.{}",
            since.minor
        ));
    }
    if since.minor > 0 && member.default.is_none() {
        return Err(Error::new(
            member.sig.ident.span(),
            format!(
                "a method that came with {} has a body, for callers of a plugin that is older: \
                 `{{ Err(Error::unsupported()) }}`, or what can be said without it",
                word.value()
            ),
        ));
    }
    Ok(since.minor)
}

fn read_version(word: &LitStr) -> Result<ContractVersion> {
    word.value().parse().map_err(|error| Error::new(word.span(), error))
}

struct Arguments {
    id: LitStr,
    version: ContractVersion,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const WRITE: &str = "write #[service(id = \"my-company.renderer\", version = \"1.0\")]";
        let (mut id, mut version) = (None, None);
        while !input.is_empty() {
            let name: Ident = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            let word: LitStr = input.parse()?;
            match name.to_string().as_str() {
                "id" => id = Some(word),
                "version" => version = Some(read_version(&word)?),
                _ => return Err(Error::new(name.span(), WRITE)),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        match (id, version) {
            (Some(id), Some(version)) => {
                rules::of_id(&id)?;
                Ok(Self { id, version })
            }
            _ => Err(Error::new(Span::call_site(), WRITE)),
        }
    }
}

/// All mistakes at once, and not one after the other.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn take<T>(&mut self, outcome: Result<T>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                match &mut self.0 {
                    Some(errors) => errors.combine(error),
                    none => *none = Some(error),
                }
                None
            }
        }
    }

    fn finish<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}
