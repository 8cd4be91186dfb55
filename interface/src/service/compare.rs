//! May a caller with this description call a provider with that one?
//!
//! Versions first, then the methods that both versions have, then every type that
//! those name, down to the numbers. What only one side knows is never called by the
//! other, so it is not looked at.

use std::collections::BTreeSet;
use std::fmt;

use super::{Description, MethodDescription};
use crate::crossing::{Field, Shape, Variant};

/// Why a provider cannot be called under a contract that both sides know by the same
/// id. *There* is the provider's side, *here* the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// Another contract altogether.
    Contract {
        /// The caller's.
        expected: String,
        /// The provider's.
        found: String,
    },
    /// Another major version: they have nothing in common.
    Major {
        /// The contract.
        contract: String,
        /// The caller's version.
        expected: (u32, u32),
        /// The provider's version.
        found: (u32, u32),
    },
    /// Both sides have the version, and not the same methods in it.
    Methods {
        /// The contract.
        contract: String,
        /// The version that both have.
        version: (u32, u32),
        /// What differs, in words.
        difference: String,
    },
    /// A method takes or gives something else.
    Method {
        /// The contract.
        contract: String,
        /// The method as the caller knows it.
        expected: String,
        /// The method as the provider has it.
        found: String,
        /// What differs, in words.
        difference: String,
    },
}

impl Mismatch {
    /// The long story, for a verbose mode: both sides' words, one a line.
    pub fn details(&self) -> Option<String> {
        match self {
            Self::Method { expected, found, .. } => {
                Some(format!("here:  {expected}\nthere: {found}"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract { expected, found } => {
                write!(f, "it is an offer of {found}, and {expected} is needed")
            }
            Self::Major { contract, expected, found } => write!(
                f,
                "{contract} has version {}.{} there and {}.{} here, and versions with another \
                 first number have nothing in common",
                found.0, found.1, expected.0, expected.1
            ),
            Self::Methods { contract, version, difference } => write!(
                f,
                "both sides know {contract} {}.{}, but not as the same: {difference}",
                version.0, version.1
            ),
            Self::Method { contract, difference, .. } => {
                write!(f, "{contract} is another one there than here: {difference}")
            }
        }
    }
}

impl std::error::Error for Mismatch {}

impl Description {
    /// Whether a provider that describes itself like this can be called by one who
    /// describes the contract as `caller` does. A caller may be older or newer; see
    /// [`Contract`](super::Contract) for what it gets then.
    ///
    /// # Errors
    ///
    /// What stands in the way, the most general first.
    pub fn serves(&self, caller: &Self) -> Result<(), Mismatch> {
        if self.id != caller.id {
            let (expected, found) = (caller.id.clone(), self.id.clone());
            return Err(Mismatch::Contract { expected, found });
        }
        if self.major != caller.major {
            return Err(Mismatch::Major {
                contract: self.id.clone(),
                expected: (caller.major, caller.minor),
                found: (self.major, self.minor),
            });
        }
        let common = self.minor.min(caller.minor);
        let methods = |difference: String| Mismatch::Methods {
            contract: self.id.clone(),
            version: (self.major, common),
            difference,
        };
        let there = self.until(common).map_err(|at| methods(format!("there, {at}")))?;
        let here = caller.until(common).map_err(|at| methods(format!("here, {at}")))?;
        for (found, expected) in there.iter().zip(here) {
            if found.name != expected.name {
                return Err(methods(format!(
                    "where there is `{}` there, there is `{}` here",
                    found.name, expected.name
                )));
            }
            Comparison { there: self, here: caller, seen: BTreeSet::new(), deep: 0 }
                .methods(found, expected)
                .map_err(|difference| Mismatch::Method {
                    contract: self.id.clone(),
                    expected: expected.to_string(),
                    found: found.to_string(),
                    difference: format!("`{}`: {difference}", found.name),
                })?;
        }
        let one_more = |methods: &[MethodDescription], than: usize| {
            methods.get(than).map(|method| method.name.clone())
        };
        if let Some(name) = one_more(there, here.len()) {
            return Err(methods(format!("`{name}` is there and not here")));
        }
        if let Some(name) = one_more(here, there.len()) {
            return Err(methods(format!("`{name}` is here and not there")));
        }
        Ok(())
    }

    /// The methods that came with a minor version or before it, which are the first.
    fn until(&self, minor: u32) -> Result<&[MethodDescription], String> {
        let count = self.methods.partition_point(|method| method.since <= minor);
        match self.methods.iter().find(|method| method.since > self.minor) {
            Some(early) => Err(format!("`{}` is of a later version", early.name)),
            None if !self.methods.is_sorted_by_key(|method| method.since) => {
                Err("a later method comes before an earlier one".to_owned())
            }
            None => Ok(self.methods.get(..count).unwrap_or_default()),
        }
    }
}

/// As it would stand in the trait, with types by the names that they have here.
impl fmt::Display for MethodDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = if self.asynchronous { "async fn" } else { "fn" };
        let arguments: Vec<_> =
            self.arguments.iter().map(|Field { name, of }| format!("{name}: {of}")).collect();
        write!(f, "{before} {}({}) -> {}", self.name, arguments.join(", "), self.result)
    }
}

/// What differs, in words.
type Difference = Result<(), String>;

struct Comparison<'a> {
    there: &'a Description,
    here: &'a Description,
    /// Types that were compared, or are being compared: they may contain themselves.
    seen: BTreeSet<String>,
    /// How many of those one is inside of now.
    deep: usize,
}

/// More types inside of each other are not compared: both descriptions may be a
/// library's, which says what it likes.
const DEEPEST: usize = 256;

impl Comparison<'_> {
    fn methods(&mut self, there: &MethodDescription, here: &MethodDescription) -> Difference {
        if there.since != here.since {
            let (there, here) = (there.since, here.since);
            return Err(format!("came with version .{there} there and .{here} here"));
        }
        if there.asynchronous != here.asynchronous {
            let word = |asynchronous| if asynchronous { "async" } else { "not async" };
            let (there, here) = (word(there.asynchronous), word(here.asynchronous));
            return Err(format!("{there} there and {here} here"));
        }
        let (many, few) = (there.arguments.len(), here.arguments.len());
        if many != few {
            return Err(format!("takes {many} arguments there and {few} here"));
        }
        for (found, expected) in there.arguments.iter().zip(&here.arguments) {
            let elsewhere = |list: &[Field], name| list.iter().any(|field| field.name == name);
            if found.name != expected.name
                && elsewhere(&here.arguments, found.name.clone())
                && elsewhere(&there.arguments, expected.name.clone())
            {
                return Err("takes its arguments in another order there than here".to_owned());
            }
            self.types(&format!("the argument `{}`", expected.name), &found.of, &expected.of)?;
        }
        self.types("the result", &there.result, &here.result)
    }

    fn types(&mut self, place: &str, there: &str, here: &str) -> Difference {
        if there != here {
            return Err(format!("{place} is `{there}` there and `{here}` here"));
        }
        if !self.seen.insert(here.to_owned()) {
            return Ok(());
        }
        if self.deep == DEEPEST {
            return Err(format!("`{here}` is inside of more than {DEEPEST} types"));
        }
        self.deep += 1;
        let same = self.known_types(place, here);
        self.deep -= 1;
        same
    }

    fn known_types(&mut self, place: &str, name: &str) -> Difference {
        match (self.there.types.get(name), self.here.types.get(name)) {
            // Numbers and texts are the same everywhere; slices are of their type.
            (None, None) => match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                Some(of) => self.types(place, of, of),
                None => Ok(()),
            },
            (Some(there), Some(here)) => {
                self.shapes(name, &there.shape, &here.shape)?;
                if (there.size, there.align) != (here.size, here.align) {
                    return Err(format!(
                        "`{name}` has {} bytes in steps of {} there, and {} in steps of {} here",
                        there.size, there.align, here.size, here.align
                    ));
                }
                Ok(())
            }
            _ => Err(format!("only one side says what `{name}` is")),
        }
    }

    fn shapes(&mut self, name: &str, there: &Shape, here: &Shape) -> Difference {
        let part = format!("what `{name}` is made of");
        match (there, here) {
            (Shape::List { of: there }, Shape::List { of: here })
            | (Shape::Optional { of: there }, Shape::Optional { of: here })
            | (Shape::Boxed { of: there }, Shape::Boxed { of: here }) => {
                self.types(&part, there, here)
            }
            (
                Shape::Map { key: there_key, value: there_value },
                Shape::Map { key: here_key, value: here_value },
            ) => {
                self.types(&part, there_key, here_key)?;
                self.types(&part, there_value, here_value)
            }
            (Shape::Tuple { of: there }, Shape::Tuple { of: here })
                if there.len() == here.len() =>
            {
                there.iter().zip(here).try_for_each(|(there, here)| self.types(&part, there, here))
            }
            (Shape::Record { fields: there }, Shape::Record { fields: here }) => {
                self.fields(&format!("`{name}`"), there, here)
            }
            (Shape::Choice { variants: there }, Shape::Choice { variants: here }) => {
                self.variants(name, there, here)
            }
            (Shape::Encoded { format: there }, Shape::Encoded { format: here })
                if there == here =>
            {
                Ok(())
            }
            _ => Err(format!("`{name}` is made otherwise there than here")),
        }
    }

    fn fields(&mut self, of: &str, there: &[Field], here: &[Field]) -> Difference {
        for (found, expected) in there.iter().zip(here) {
            if found.name != expected.name {
                return Err(format!(
                    "{of} has the field `{}` there where it has `{}` here",
                    found.name, expected.name
                ));
            }
            self.types(&format!("the field `{}` of {of}", found.name), &found.of, &expected.of)?;
        }
        let more =
            |more: &[Field], than: &[Field]| more.get(than.len()).map(|field| field.name.clone());
        match (more(there, here), more(here, there)) {
            (Some(name), _) => Err(format!("{of} has a field `{name}` there and not here")),
            (_, Some(name)) => Err(format!("{of} has a field `{name}` here and not there")),
            (None, None) => Ok(()),
        }
    }

    fn variants(&mut self, name: &str, there: &[Variant], here: &[Variant]) -> Difference {
        for (found, expected) in there.iter().zip(here) {
            if found.name != expected.name {
                return Err(format!(
                    "`{name}` has the variant `{}` there where it has `{}` here",
                    found.name, expected.name
                ));
            }
            self.fields(&format!("`{name}::{}`", found.name), &found.fields, &expected.fields)?;
        }
        let more = |more: &[Variant], than: &[Variant]| {
            more.get(than.len()).map(|variant| variant.name.clone())
        };
        match (more(there, here), more(here, there)) {
            (Some(own), _) => Err(format!("`{name}` has a variant `{own}` there and not here")),
            (_, Some(own)) => Err(format!("`{name}` has a variant `{own}` here and not there")),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
