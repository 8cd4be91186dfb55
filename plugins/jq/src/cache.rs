use std::sync::{Arc, Mutex, PoisonError};

use jaq_core::Filter;

use crate::native::Steps;

/// How many filters are kept.
const MOST: usize = 32;

/// The filters that were compiled last. Compiling takes most of a millisecond,
/// whatever the filter, because the library of definitions in jq goes along.
#[derive(Default)]
pub struct Cache {
    /// The one used last stands last.
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    text: String,
    variables: Vec<String>,
    filter: Arc<Filter<Steps>>,
}

impl Cache {
    /// The filter with this text and these variables: kept, or made by `compile`
    /// and kept from now on.
    pub fn get<E>(
        &self,
        text: &str,
        variables: &[String],
        compile: impl FnOnce() -> Result<Filter<Steps>, E>,
    ) -> Result<Arc<Filter<Steps>>, E> {
        let is_it = |entry: &Entry| entry.text == text && entry.variables == variables;
        // No panic leaves the entries half-done, so that poison says nothing here.
        let lock = || self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut entries = lock();
            if let Some(at) = entries.iter().position(is_it) {
                let entry = entries.remove(at);
                let filter = entry.filter.clone();
                entries.push(entry);
                return Ok(filter);
            }
        }
        let filter = Arc::new(compile()?);
        let entry =
            Entry { text: text.to_owned(), variables: variables.to_vec(), filter: filter.clone() };
        let mut entries = lock();
        if entries.len() >= MOST {
            entries.remove(0);
        }
        entries.push(entry);
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compiled;

    #[test]
    fn a_filter_is_compiled_once_for_its_text_and_variables() {
        let cache = Cache::default();
        let mut compilations = 0;
        let mut get = |text: &str, variables: &[String]| {
            cache.get(text, variables, || {
                compilations += 1;
                compiled(text, variables)
            })
        };
        let x = ["$x".to_owned()];
        for _ in 0..2 {
            assert!(get(".", &[]).is_ok());
            assert!(get("$x", &x).is_ok());
            assert!(get("$x", &[]).is_err());
        }
        for number in 0..MOST {
            assert!(get(&number.to_string(), &[]).is_ok());
        }
        assert!(get(".", &[]).is_ok());
        assert_eq!(compilations, 2 + 2 + MOST + 1);
        assert_eq!(cache.entries.lock().unwrap().len(), MOST);
    }
}
