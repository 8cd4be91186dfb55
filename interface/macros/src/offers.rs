//! The contracts that the body of `fn services` offers.

use plugbay_manifest::source::Source;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Error, Expr, ExprMethodCall, GenericArgument, ImplItem, ItemImpl, Result, Type};

/// The contract of every `.offer::<dyn X>()` and `.offer_by::<dyn X, _>(…)` in
/// `fn services`, in order.
pub(crate) fn declared_in(item: &ItemImpl) -> Result<Vec<Type>> {
    let mut search = Search { contracts: Vec::new(), error: None };
    for member in &item.items {
        if let ImplItem::Fn(function) = member
            && function.sig.ident == "services"
        {
            search.visit_block(&function.block);
        }
    }
    match search.error {
        Some(error) => Err(error),
        None => Ok(search.contracts),
    }
}

struct Search {
    contracts: Vec<Type>,
    error: Option<Error>,
}

impl<'ast> Visit<'ast> for Search {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        // The receiver first: it holds the calls that stand before this one.
        visit::visit_expr_method_call(self, call);
        if call.method != "offer" && call.method != "offer_by" {
            return;
        }
        let first = call.turbofish.as_ref().and_then(|turbofish| turbofish.args.first());
        match first {
            Some(GenericArgument::Type(Type::Infer(_))) | None => {}
            Some(GenericArgument::Type(contract)) => {
                self.contracts.push(contract.clone());
                return;
            }
            Some(_) => return,
        }
        // Something else may have a method of that name, too.
        if begins_with_services(&call.receiver) {
            self.error.get_or_insert(Error::new(
                call.method.span(),
                format!(
                    "write the contract out, so that it can be compared with plugin.toml: \
                     .{}::<dyn …>(…)",
                    call.method
                ),
            ));
        }
    }
}

/// Whether a chain of method calls begins with `services()`.
fn begins_with_services(receiver: &Expr) -> bool {
    match receiver {
        Expr::MethodCall(call) => begins_with_services(&call.receiver),
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => {
                path.path.segments.last().is_some_and(|segment| segment.ident == "services")
            }
            _ => false,
        },
        _ => false,
    }
}

/// Constants that do not evaluate when `plugin.toml` and the body disagree: only the
/// compiler knows a contract's id.
pub(crate) fn comparison(source: &Source, contracts: &[Type]) -> TokenStream {
    let declared = source.manifest().services.iter().enumerate().map(|(at, service)| {
        let (id, version) = (service.id.as_str(), service.version);
        let (major, minor) = (version.major, version.minor);
        let line = source.service_line(at).unwrap_or(0).to_string();
        quote! {
            ::plugbay_interface::export::Declared {
                id: #id,
                major: #major,
                minor: #minor,
                line: #line,
            }
        }
    });
    let offered = contracts.iter().map(|contract| {
        quote! {
            ::plugbay_interface::export::Offered::of::<#contract>()
        }
    });
    let each = contracts.iter().enumerate().map(|(at, contract)| {
        quote_spanned! { contract.span()=>
            const _: () = ::plugbay_interface::export::assert_declared(OFFERED, #at, DECLARED);
        }
    });
    quote! {
        const _: () = {
            const DECLARED: &[::plugbay_interface::export::Declared] = &[#(#declared),*];
            const OFFERED: &[::plugbay_interface::export::Offered] = &[#(#offered),*];
            #(#each)*
            const _: () = ::plugbay_interface::export::assert_offered(OFFERED, DECLARED);
        };
    }
}
