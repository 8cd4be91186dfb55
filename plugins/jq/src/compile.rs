use jaq_core::load::{self, Arena, File, Loader, lex, parse};
use jaq_core::{Compiler, Filter, compile};
use plugbay_interface::prelude::*;

use crate::config::Config;
use crate::meter::within;
use crate::native::{DEFINITIONS, Steps, functions};
use crate::run::explain;

/// The longest filter, in bytes. Compiling recurses with the nesting, unobserved:
/// `meter` has the room that this much needs.
const LONGEST_FILTER: usize = 16 << 10;
/// The most mistakes that are reported: a thousand brackets left open are one.
const MOST_MISTAKES: usize = 10;

/// What `check` takes.
#[data]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub filter: String,
    #[serde(default)]
    pub args: Vec<String>,
}

/// What `check` gives.
#[data]
#[derive(Debug)]
pub struct Checked {
    pub ok: bool,
    pub mistakes: Vec<Mistake>,
}

/// Something that keeps a filter from compiling.
#[data]
#[derive(Debug, PartialEq)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
}

/// Compiles a filter and throws it away.
pub fn check(request: &Check, config: &Config) -> Result<Checked, Error> {
    let limits = config.limits();
    let names = request.args.iter().map(String::as_str);
    let variables = variables(names)?;
    let mistakes = within(&limits, || compiled(&request.filter, &variables).err())
        .map_err(|stop| explain(stop, &limits))?
        .unwrap_or_default();
    Ok(Checked { ok: mistakes.is_empty(), mistakes })
}

/// The names of variables as the engine wants them, `$` in front.
pub fn variables<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<String>, Error> {
    let word = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    names
        .map(|name| {
            if word(name) {
                return Ok(format!("${name}"));
            }
            let name = name.escape_debug();
            let message = format!("`{name}` cannot be a variable: use letters, digits and `_`");
            Err(Error::new("arguments", message))
        })
        .collect()
}

/// Compiles a filter.
pub fn compiled(filter: &str, variables: &[String]) -> Result<Filter<Steps>, Vec<Mistake>> {
    if filter.len() > LONGEST_FILTER {
        let message = format!("a filter has at most {LONGEST_FILTER} bytes");
        return Err(vec![Mistake { line: 1, column: 1, message }]);
    }
    let own = load::parse(DEFINITIONS, |parser| parser.defs()).unwrap_or_default();
    // The engine's last, so that they see ours, and of equal names the last counts:
    // those of `DEFINITIONS` have no equals.
    let definitions = jaq_core::defs().chain(own).chain(jaq_std::defs()).chain(jaq_json::defs());
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(&arena, File { code: filter, path: () })
        .map_err(|errors| unread(filter, errors))?;
    Compiler::default()
        .with_funs(functions())
        .with_global_vars(variables.iter().map(String::as_str))
        .compile(modules)
        .map_err(|errors| {
            let errors = errors.into_iter().flat_map(|(_, errors)| errors);
            sorted(errors.map(|error| undefined(filter, error)))
        })
}

fn unread(filter: &str, errors: load::Errors<&str, ()>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (_, error) in errors {
        mistakes.extend(match error {
            load::Error::Io(errors) => {
                let errors = errors.into_iter();
                sorted(errors.map(|(path, reason)| mistake(filter, path, reason)))
            }
            load::Error::Lex(errors) => {
                let errors = errors.into_iter();
                sorted(errors.map(|(expected, found)| unlexed(filter, &expected, found)))
            }
            load::Error::Parse(errors) => {
                let errors = errors.into_iter();
                sorted(errors.map(|(expected, found)| unparsed(filter, &expected, found)))
            }
        });
    }
    mistakes
}

fn unlexed(filter: &str, expected: &lex::Expect<&str>, found: &str) -> Mistake {
    let what = match found.chars().next() {
        Some(letter) => format!("`{letter}`"),
        None => "the end".into(),
    };
    match expected {
        lex::Expect::Delim(open) => {
            let message = format!("this `{open}` is not closed; found {what}");
            mistake(filter, open, message)
        }
        expected => mistake(filter, found, format!("expected {}, found {what}", expected.as_str())),
    }
}

fn unparsed(filter: &str, expected: &parse::Expect<&str>, found: &str) -> Mistake {
    let what = if found.is_empty() { "the end".into() } else { format!("`{}`", short(found)) };
    mistake(filter, found, format!("expected {}, found {what}", expected.as_str()))
}

fn undefined(filter: &str, (found, undefined): compile::Error<&str>) -> Mistake {
    use compile::Undefined::Filter;
    let message = match (found, undefined) {
        ("reduce", Filter(count)) => format!("`reduce` takes 2 arguments, not {count}"),
        ("foreach", Filter(count)) => format!("`foreach` takes 2 or 3 arguments, not {count}"),
        (name, Filter(count)) => format!("there is no filter `{}/{count}`", short(name)),
        (name, undefined) => format!("there is no {} `{}`", undefined.as_str(), short(name)),
    };
    mistake(filter, found, message)
}

fn short(found: &str) -> String {
    match found.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", found.get(..end).unwrap_or_default()),
        None => found.to_owned(),
    }
}

/// `part` is a slice of `filter`, so that its address says where it stands.
fn mistake(filter: &str, part: &str, message: String) -> Mistake {
    let offset = part.as_ptr().addr().wrapping_sub(filter.as_ptr().addr());
    let before = filter.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    Mistake { line, column, message }
}

fn sorted(mistakes: impl Iterator<Item = Mistake>) -> Vec<Mistake> {
    let mut mistakes: Vec<_> = mistakes.take(MOST_MISTAKES).collect();
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    mistakes
}
