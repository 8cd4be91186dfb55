//! What a contract may not have, each with what to write instead.

use plugbay_manifest::ContractId;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, ItemTrait, LitStr, Receiver, ReceiverKind, Result, Safety, Signature, Type,
    TypeParamBound, TypePath, TypeReference,
};

use super::model::MethodArgument;

pub(super) fn of_id(id: &LitStr) -> Result<()> {
    match id.value().parse::<ContractId>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(id.span(), error)),
    }
}

pub(super) fn of_trait(item: &ItemTrait) -> Result<()> {
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new_spanned(
            generic,
            "a contract has no generic parameters: its layout must be known; name the types",
        ));
    }
    if let Some(clause) = &item.generics.where_clause {
        return Err(Error::new_spanned(clause, "a contract has no where clause"));
    }
    if let Some(token) = &item.unsafety {
        return Err(Error::new_spanned(token, "a contract is a safe trait"));
    }
    let mut found = [false; 2];
    for bound in &item.supertraits {
        match bound {
            TypeParamBound::Trait(of) if of.path.is_ident("Send") => found[0] = true,
            TypeParamBound::Trait(of) if of.path.is_ident("Sync") => found[1] = true,
            TypeParamBound::Lifetime(lifetime) if lifetime.ident == "static" => {}
            other => {
                return Err(Error::new_spanned(
                    other,
                    "a contract has no supertraits but Send and Sync: whoever calls has but its \
                     own methods",
                ));
            }
        }
    }
    if found != [true, true] {
        return Err(Error::new(
            item.ident.span(),
            format!(
                "services are called from many threads at once: write `trait {}: Send + Sync`",
                item.ident
            ),
        ));
    }
    Ok(())
}

pub(super) fn of_signature(sig: &Signature) -> Result<()> {
    const SELF: &str =
        "a method of a contract takes `&self`: services are called from many threads at once";
    let Some(Receiver { kind: ReceiverKind::Reference(_, None, None), .. }) = sig.receiver() else {
        let place = sig.receiver().map_or_else(|| sig.ident.span(), Spanned::span);
        return Err(Error::new(place, SELF));
    };
    if let Some(generic) = sig.generics.params.first() {
        return Err(Error::new_spanned(
            generic,
            "a method of a contract has no generic parameters, lifetimes included: it is one \
             function behind a pointer; name the types, and leave out lifetimes",
        ));
    }
    if let Some(clause) = &sig.generics.where_clause {
        return Err(Error::new_spanned(clause, "a method of a contract has no where clause"));
    }
    if !matches!(sig.safety, Safety::Default) {
        return Err(Error::new(sig.ident.span(), "a method of a contract is a safe function"));
    }
    if let Some(abi) = &sig.abi {
        return Err(Error::new_spanned(abi, "leave it out: #[service] makes the C function"));
    }
    if let Some(token) = &sig.constness {
        return Err(Error::new_spanned(token, "a method of a contract is no const fn"));
    }
    if let Some(token) = &sig.variadic {
        return Err(Error::new_spanned(token, "a method of a contract has its arguments by name"));
    }
    Ok(())
}

pub(super) fn of_attribute(attribute: &Attribute) -> Result<()> {
    if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
        return Err(Error::new_spanned(
            attribute,
            "a contract has the same methods everywhere: leave the condition out, and give \
             Err(Error::unsupported()) where it does not hold",
        ));
    }
    Ok(())
}

fn of_argument(argument: &MethodArgument) -> Result<()> {
    if argument.word().is_empty() {
        return Err(Error::new_spanned(
            &argument.pattern,
            "an argument of a contract has a name: it can also be called by names, with JSON",
        ));
    }
    if let Type::Reference(reference) = &argument.of {
        return of_reference(reference);
    }
    of_type(&argument.of)
}

/// That each can be given by its name.
pub(super) fn of_arguments(arguments: &[MethodArgument]) -> Result<()> {
    for (at, argument) in arguments.iter().enumerate() {
        of_argument(argument)?;
        let word = argument.word();
        if arguments[..at].iter().any(|other| other.word() == word) {
            let message = format!(
                "there is another argument `{word}`: by name, they are the same with and without \
                 an underscore"
            );
            return Err(Error::new_spanned(&argument.pattern, message));
        }
    }
    Ok(())
}

fn of_reference(reference: &TypeReference) -> Result<()> {
    if reference.mutability.is_some() {
        return Err(Error::new_spanned(
            reference,
            "nothing is lent to be changed: give it by value, and return what became of it",
        ));
    }
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|one| one.ident != "_") {
        return Err(Error::new_spanned(
            lifetime,
            "what is lent is lent for the call: leave the lifetime out",
        ));
    }
    let lent = match &*reference.elem {
        Type::Path(path) => path.path.is_ident("str"),
        Type::Slice(_) => true,
        _ => false,
    };
    if lent {
        return Ok(());
    }
    Err(Error::new_spanned(
        reference,
        "only `&str` and `&[T]` of numbers are lent; give this by value",
    ))
}

pub(super) fn of_result(result: &Type) -> Result<()> {
    let named_result = match result {
        Type::Path(TypePath { qself: None, path, .. }) => {
            path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result"))
        }
        _ => false,
    };
    if !named_result {
        return Err(Error::new_spanned(
            result,
            "a call can always fail, as the plugin may panic or be gone: give `Result<T, Error>` \
             with this as `T`",
        ));
    }
    let mut search = Borrowed(None);
    search.visit_type(result);
    match search.0 {
        Some(error) => Err(error),
        None => of_type(result),
    }
}

/// References in a result.
struct Borrowed(Option<Error>);

impl<'ast> Visit<'ast> for Borrowed {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.0.get_or_insert(Error::new_spanned(
            reference,
            "a result owns what it has, as it outlives the call: `String` for `&str`, `Vec<T>` for \
             `&[T]`",
        ));
    }
}

/// What no type of a contract has in it.
fn of_type(of: &Type) -> Result<()> {
    let mut search = Foreign(None);
    search.visit_type(of);
    search.0.map_or(Ok(()), Err)
}

struct Foreign(Option<Error>);

impl<'ast> Visit<'ast> for Foreign {
    fn visit_type(&mut self, of: &'ast Type) {
        let message = match of {
            Type::ImplTrait(_) => "name the type: a method of a contract has no generic parameters",
            Type::TraitObject(_) => {
                "an object with methods of its own does not cross: give data, or make it a service"
            }
            Type::FnPtr(_) => "a function does not cross: make it a method of another contract",
            Type::Ptr(_) => "a pointer does not cross: the same trait is called across processes",
            Type::Path(path) if path.path.is_ident("Self") => {
                "`Self` is another type on each side; name the type"
            }
            other => return visit::visit_type(self, other),
        };
        self.0.get_or_insert(Error::new_spanned(of, message));
    }
}
