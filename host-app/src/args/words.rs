//! Words of the command line that have parts.

use std::str::FromStr;

/// `ID:TEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub plugin: String,
    pub text: String,
}

impl FromStr for Stage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((plugin, text)) if !plugin.is_empty() => {
                Ok(Self { plugin: plugin.to_owned(), text: text.to_owned() })
            }
            _ => Err("expected a plugin's id, a colon and a text, for example 'jq:.name'"),
        }
    }
}

/// `NAME=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub path: String,
}

impl FromStr for Table {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: path.to_owned() })
            }
            _ => Err("expected a name, `=` and a path, for example people=people.csv"),
        }
    }
}

/// `ID:COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub plugin: String,
    pub command: String,
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((plugin, command)) if !plugin.is_empty() && !command.is_empty() => {
                Ok(Self { plugin: plugin.to_owned(), command: command.to_owned() })
            }
            _ => Err("expected a plugin's id, a colon and a command, for example markdown:render"),
        }
    }
}
