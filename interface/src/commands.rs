use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::abi::FaultKind;
use crate::error::code;

type Handler<P> = Box<dyn Fn(&P, &str) -> Result<String, Error> + Send + Sync>;

/// The handlers of a plugin's commands, by name. Made by [`commands`].
pub struct Commands<P> {
    handlers: BTreeMap<&'static str, Handler<P>>,
}

/// An empty table, to be filled with [`Commands::on`].
pub fn commands<P>() -> Commands<P> {
    Commands { handlers: BTreeMap::new() }
}

impl<P: 'static> Commands<P> {
    /// Answers the command `name` with `handler`.
    ///
    /// The arguments arrive as JSON and are read into `A` by serde; the result
    /// leaves as JSON. `handler` runs on the caller's thread, on many at once.
    ///
    /// Where `plugin.toml` says `cache = { ttl = "60s" }` of the command, a host may keep a
    /// result for so long and give it to calls with the same arguments, of which the plugin
    /// hears nothing. Calls that come at the same time may all run. So that is for
    /// commands that do nothing but compute, from their arguments and the configuration. It
    /// keeps no errors, and nothing beyond this generation and this configuration. A host
    /// that is older than interface 1.3 keeps nothing.
    #[must_use]
    pub fn on<A, R>(
        mut self,
        name: &'static str,
        handler: impl Fn(&P, A) -> Result<R, Error> + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
    {
        let answer = move |plugin: &P, arguments: &str| {
            let result = handler(plugin, read(arguments)?)?;
            serde_json::to_string(&result).map_err(|error| {
                Error::new(code::RESULT, "the command's result cannot be written as JSON")
                    .caused_by(&error)
            })
        };
        self.handlers.insert(name, Box::new(answer));
        self
    }

    pub(crate) fn call(&self, plugin: &P, name: &str, arguments: &str) -> Result<String, Error> {
        match self.handlers.get(name) {
            Some(handler) => handler(plugin, arguments),
            None => Err(Error::message(format!("there is no command `{name}`"))
                .of_kind(FaultKind::UNKNOWN_COMMAND, code::UNKNOWN_COMMAND)),
        }
    }
}

/// Reads JSON. `{}`, which is what a caller without arguments and a host without
/// configuration send, also reads as `()`.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    if let Ok(value) = serde_json::from_str(json) {
        return Ok(value);
    }
    let unit = if json.trim() == "{}" { serde_json::from_str("null").ok() } else { None };
    unit.map_or_else(|| read_and_explain(json), Ok)
}

/// Reads JSON and says which member was wrong: slower, as it remembers where it is.
fn read_and_explain<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let reason = without_position(error.inner());
        let message = if path == "." { reason } else { format!("`{path}`: {reason}") };
        Error::message(message).of_kind(FaultKind::ARGUMENTS, code::ARGUMENTS)
    })?;
    match deserializer.end() {
        Ok(()) => Ok(value),
        Err(error) => {
            Err(Error::message(without_position(&error))
                .of_kind(FaultKind::ARGUMENTS, code::ARGUMENTS))
        }
    }
}

/// The line and column in a JSON text that the caller may never have seen help nobody.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) if error.is_data() => text[..at].to_owned(),
        _ => text,
    }
}

impl<P> fmt::Debug for Commands<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    struct Arguments {
        #[expect(dead_code)]
        deep: Vec<u8>,
    }

    #[test]
    fn wrong_arguments_are_told_by_their_path() {
        let message = |json| read::<Arguments>(json).unwrap_err().to_string();
        assert_eq!(
            message(r#"{"deep":[1,"x"]}"#),
            "`deep[1]`: invalid type: string \"x\", expected u8"
        );
        assert_eq!(message("{}"), "missing field `deep`");
        assert!(message("{").contains("EOF"));
        assert!(message(r#"{"deep":[]} x"#).contains("trailing"));
    }

    #[test]
    fn no_arguments_read_as_unit_as_struct_and_as_value() {
        assert!(read::<()>("{}").is_ok());
        assert_eq!(read::<serde_json::Value>("{}").unwrap(), serde_json::json!({}));
        assert!(read::<()>(r#"{"x":1}"#).is_err());
        assert_eq!(read::<Arguments>("{}").unwrap_err().to_string(), "missing field `deep`");
    }

    #[test]
    fn an_unknown_command_is_an_error_with_a_code() {
        let table: Commands<()> = commands().on("go", |_: &(), n: u32| Ok(n + 1));
        assert_eq!(table.call(&(), "go", "1").unwrap(), "2");
        assert_eq!(table.call(&(), "stop", "1").unwrap_err().code(), code::UNKNOWN_COMMAND);
    }
}
