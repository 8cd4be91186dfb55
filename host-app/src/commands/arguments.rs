//! The arguments of a call, as a command line gives them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use plugbay_loader::printable;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::{Exit, Failure};
use crate::terminal::one_line;

/// A word for the whole, and members that go into it.
pub struct Given {
    pub word: String,
    pub members: Vec<Member>,
}

/// `NAME=TEXT`, `NAME=@FILE` (its text), `NAME:=JSON` or `NAME:=@FILE` (its JSON).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    name: String,
    json: bool,
    value: String,
}

impl FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("expected NAME=TEXT, NAME=@FILE, NAME:=JSON or NAME:=@FILE")?;
        let (name, json) = match name.strip_suffix(':') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if name.is_empty() {
            return Err("the name before the = is missing".into());
        }
        Ok(Self { name: name.into(), json, value: value.into() })
    }
}

impl Member {
    fn read(&self) -> Result<Box<RawValue>, Failure> {
        let (text, from) = match self.value.strip_prefix('@') {
            Some(path) => {
                let path = Path::new(path);
                (
                    file(path, if self.json { "JSON in UTF-8" } else { "UTF-8 text" })?,
                    printable(path),
                )
            }
            None => (self.value.clone(), format!("--arg {}", one_line(&self.name))),
        };
        if self.json {
            let text = text.trim().to_owned();
            RawValue::from_string(text.clone()).map_err(|error| no_json(&text, &from, &error))
        } else {
            to_raw_value(&text).map_err(|error| no_json(&text, &from, &error))
        }
    }
}

impl Given {
    /// The JSON text of all of it.
    pub fn read(&self, stdin: &mut impl Read) -> Result<String, Failure> {
        let text = whole(&self.word, stdin)?;
        if self.members.is_empty() {
            return Ok(text);
        }
        // Raw, so that numbers of any size arrive as they are.
        let mut object: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&text).map_err(|_| {
                let help = "give an object, or nothing, beside --arg";
                let message = "--arg adds members, and the arguments are no JSON object";
                Failure::new("PB1015", Exit::Usage, message, help)
            })?;
        for member in &self.members {
            object.insert(member.name.clone(), member.read()?);
        }
        serde_json::to_string(&object).map_err(|error| no_json(&text, "--arg", &error))
    }
}

/// The arguments' JSON text, from where the word says.
fn whole(word: &str, stdin: &mut impl Read) -> Result<String, Failure> {
    let (text, from) = if word == "-" {
        let mut text = String::new();
        stdin.read_to_string(&mut text).map_err(|error| {
            let help = "give the arguments as UTF-8";
            Failure::io("PB1014", "standard input cannot be read", &error, help)
        })?;
        (text, "standard input".to_owned())
    } else if let Some(path) = word.strip_prefix('@') {
        let path = Path::new(path);
        let text = file(path, "JSON in UTF-8")?;
        (text, printable(path))
    } else {
        (word.to_owned(), "the command line".to_owned())
    };
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(no_json(&text, &from, &error)),
    }
}

fn file(path: &Path, what: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        let message = format!("the arguments in {} cannot be read", printable(path));
        Failure::io("PB1014", message, &error, format!("name a file with {what} after the @"))
    })
}

fn no_json(text: &str, from: &str, error: &serde_json::Error) -> Failure {
    let message = format!("the arguments from {from} are no JSON: {error}");
    if text.trim().is_empty() {
        return Failure::new(
            "PB1015",
            Exit::Usage,
            message,
            "there was nothing; for no arguments give {} or leave them out",
        );
    }
    // What arrived is seldom what was typed: the shell takes quotes away.
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let before = error.column().saturating_sub(1);
    let shown: String = line.chars().skip(before.saturating_sub(30)).take(60).collect();
    Failure::new(
        "PB1015",
        Exit::Usage,
        format!("{message}\n  near: {}", one_line(&shown)),
        "quote JSON for the shell, as '{\"text\": \"# Hi\"}', or give it as @FILE or on standard \
         input as -",
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn arguments_come_from_the_command_line_a_file_or_stdin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arguments.json");
        fs::write(&path, "[1]").unwrap();
        assert_eq!(whole("{}", &mut io::empty()).unwrap(), "{}");
        assert_eq!(whole(&format!("@{}", path.display()), &mut io::empty()).unwrap(), "[1]");
        assert_eq!(whole("-", &mut &b"2"[..]).unwrap(), "2");
        // A number of any size arrives as it is.
        let large = "123456789012345678901234567890";
        assert_eq!(whole(large, &mut io::empty()).unwrap(), large);
    }

    #[test]
    fn arguments_that_are_no_json_are_named_with_their_place() {
        let failure = whole("{text: 1}", &mut io::empty()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.exit), ("PB1015", Exit::Usage));
        assert!(failure.message.contains("line 1 column 2"), "{}", failure.message);
        assert!(failure.message.contains("near: {text: 1}"), "{}", failure.message);
        assert_eq!(whole("-", &mut io::empty()).unwrap_err().code, "PB1015");
        assert_eq!(whole("-", &mut &b"\xff"[..]).unwrap_err().code, "PB1014");
        let failure = whole("@/nowhere.json", &mut io::empty()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.exit), ("PB1014", Exit::NotFound));
    }

    #[test]
    fn members_are_text_or_json_from_the_command_line_or_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, "\"quoted\"\n").unwrap();
        let given = |word: &str, members: &[&str]| {
            let members = members.iter().map(|text| text.parse().unwrap()).collect();
            Given { word: word.into(), members }.read(&mut io::empty())
        };
        assert_eq!(given("{}", &["a=b=c", "n:=[1, 2]"]).unwrap(), r#"{"a":"b=c","n":[1, 2]}"#);
        let at = path.display();
        let read = given(r#"{"a":0,"z":12345678901234567890123}"#, &[&format!("a=@{at}")]).unwrap();
        assert_eq!(read, r#"{"a":"\"quoted\"\n","z":12345678901234567890123}"#);
        assert_eq!(given("{}", &[&format!("a:=@{at}")]).unwrap(), r#"{"a":"quoted"}"#);
        assert_eq!(given("[]", &["a=b"]).unwrap_err().code, "PB1015");
        assert_eq!(given("{}", &["a:=b"]).unwrap_err().code, "PB1015");
        assert_eq!(given("{}", &["a=@/nowhere"]).unwrap_err().exit, Exit::NotFound);
        assert!("=x".parse::<Member>().is_err() && "x".parse::<Member>().is_err());
    }
}
