//! What other ways to call and reload native code take.
//!
//! Plugbay's own benchmarks run this program beside themselves. Each subcommand's
//! last line is one JSON object; README.md says what its numbers mean.

mod by_hand;
mod calls;
mod dynamic;
mod hot;
mod live;
mod reload;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Nanoseconds a call, without a guard and under several
    Calls {
        /// How many threads call at once
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        threads: u64,
        /// The library to call [default: the one beside this program]
        #[arg(long)]
        library: Option<PathBuf>,
    },
    /// Milliseconds from the finished write of a new library to the first call
    /// that it answers
    Reload {
        /// The two versions, which answer 1 and 2 [default: those beside this program]
        #[arg(long)]
        library: Vec<PathBuf>,
        /// How many reloads each median is of
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..))]
        rounds: u64,
        /// Only these, in this process if it is one; all, if none is named
        #[arg(long)]
        only: Vec<reload::Series>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(object) => {
            println!("{object}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Result<serde_json::Value, Box<dyn Error>> {
    match what {
        What::Calls { threads, library } => {
            let library = match library {
                Some(library) => library,
                None => beside("libanswer_one.so")?,
            };
            calls::measure(threads, &library)
        }
        What::Reload { library, rounds, only } => {
            let libraries = match <[PathBuf; 2]>::try_from(library) {
                Ok(both) => both,
                Err(none) if none.is_empty() => {
                    [beside("libanswer_one.so")?, beside("libanswer_two.so")?]
                }
                Err(_) => return Err("--library is given twice or not at all".into()),
            };
            reload::measure(&libraries, rounds, &only)
        }
    }
}

/// A file that cargo built with this program.
fn beside(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    Err(format!(
        "{} is not there; build it: cargo build --release --manifest-path {manifest}",
        path.display()
    )
    .into())
}
