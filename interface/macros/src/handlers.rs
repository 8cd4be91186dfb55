//! The names that the body of `fn commands` answers to.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Error, Expr, ExprLit, ExprMethodCall, ImplItem, ItemImpl, Lit, LitStr, Result};

/// The first argument of every `.on(…)` in `fn commands`, in order.
pub(crate) fn declared_in(item: &ItemImpl) -> Result<Vec<LitStr>> {
    let mut search = Search { names: Vec::new(), error: None };
    for member in &item.items {
        if let ImplItem::Fn(function) = member
            && function.sig.ident == "commands"
        {
            search.visit_block(&function.block);
        }
    }
    match search.error {
        Some(error) => Err(error),
        None => Ok(search.names),
    }
}

struct Search {
    names: Vec<LitStr>,
    error: Option<Error>,
}

impl<'ast> Visit<'ast> for Search {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        // The receiver first: it holds the calls that stand before this one.
        visit::visit_expr_method_call(self, call);
        if call.method != "on" || call.args.len() != 2 {
            return;
        }
        match &call.args[0] {
            Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) => self.names.push(name.clone()),
            // Something else may have a method of that name, too.
            _ if !begins_with_commands(&call.receiver) => {}
            other => {
                self.error.get_or_insert(Error::new(
                    other.span(),
                    "a command's name must be a string literal here, so that it can be compared \
                     with plugin.toml",
                ));
            }
        }
    }
}

/// Whether a chain of method calls begins with `commands()`.
fn begins_with_commands(receiver: &Expr) -> bool {
    match receiver {
        Expr::MethodCall(call) => begins_with_commands(&call.receiver),
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => {
                path.path.segments.last().is_some_and(|segment| segment.ident == "commands")
            }
            _ => false,
        },
        _ => false,
    }
}
