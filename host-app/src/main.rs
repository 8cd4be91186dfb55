//! A plugins folder as a program: a thin shell around `plugbay_loader`.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod control;
mod event_line;
mod exit;
mod progress;
mod serving;
mod settings;
mod show;
mod signals;
mod survey;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Arguments, Command};
use crate::exit::{Exit, Failure};
use crate::terminal::{Output, tell};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    start_logging(&arguments.command);
    let json = arguments.common.json;
    let exit = match commands::execute(arguments, &Output::new(json)) {
        Ok(exit) => exit,
        Err(failure) => {
            tell(&failure, json);
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}

fn start_logging(command: &Command) {
    let level = if matches!(command, Command::Run { .. }) { "info" } else { "warn" };
    let environment = env_logger::Env::default().default_filter_or(level);
    env_logger::Builder::from_env(environment).init();
}

/// Help and version are results. The rest is said by clap, or as JSON where
/// the command line asks for it, although it could not be understood.
fn usage(error: &clap::Error) -> ExitCode {
    let is_result = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let wants_json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
    if is_result || !wants_json {
        // A closed standard output is nobody's failure here.
        let _ = error.print();
    } else {
        let text = error.render().to_string();
        let message = text.split("\n\nUsage:").next().unwrap_or(&text);
        let message = message.trim().trim_start_matches("error: ");
        tell(&Failure::new("PB1001", Exit::Usage, message, "see: host-app --help"), true);
    }
    ExitCode::from(if is_result { Exit::Ok } else { Exit::Usage }.code())
}
