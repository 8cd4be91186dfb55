//! Lifetimes that nobody wrote.

use proc_macro2::Span;
use syn::visit_mut::{self, VisitMut};
use syn::{Lifetime, Type, TypeReference};

/// The lifetime of an asynchronous method's call: of the service and all that is
/// lent to it.
pub(super) fn of_call() -> Lifetime {
    Lifetime::new("'plugbay", Span::call_site())
}

/// The type with that lifetime where it has none by name.
pub(super) fn named(of: &Type) -> Type {
    let mut of = of.clone();
    Name.visit_type_mut(&mut of);
    of
}

struct Name;

impl VisitMut for Name {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        reference.lifetime.get_or_insert_with(of_call);
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = of_call();
        }
    }
}
