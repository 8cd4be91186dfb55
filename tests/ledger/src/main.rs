//! Writes down what crosses between hosts and plugins, as this tree has it, and compares
//! it with what the releases have. Run by `scripts/abi-check`.
//!
//! Nothing of it is written by hand: types come from the layouts that the loader
//! compares, names from what serde reads, the rest from the constants themselves.

mod compare;
#[cfg(feature = "contracts")]
mod contracts;
mod documents;
mod layouts;
mod ledger;
mod manifest;
mod names;
mod releases;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use releases::{Outcome, Releases};

const USAGE: &str = "\
usage: scripts/abi-check [--write [COMMIT] | --print]
  without arguments  compares this tree with the last release, and docs/ABI.md with this tree
  --write            writes docs/abi/VERSION.txt, for the version in interface/Cargo.toml
  --write COMMIT     the same, for what was in that commit
  --print            prints it";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let root = arguments.next().map(PathBuf::from);
    let word = arguments.next();
    let (Some(root), None) = (root, arguments.next()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let releases = Releases::of(&root);
    let outcome = match word.as_ref().and_then(|word| word.to_str()) {
        None if word.is_none() => releases.check(&tree::ledger()),
        Some("--write") => releases.write(&tree::ledger()),
        Some("--print") => Ok(Outcome::Fine(tree::ledger().to_string())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(Outcome::Fine(said)) => {
            println!("{}", said.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Outcome::Wrong(said)) => {
            eprintln!("{}", said.trim_end());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
