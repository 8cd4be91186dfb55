//! The commands, one file each.

mod again;
pub mod arguments;
mod call;
mod change;
mod check;
mod completions;
mod dev;
mod doctor;
mod graph;
mod history;
mod inspect;
mod list;
mod lock;
mod pipe;
mod plan;
mod quarantine;
pub mod release;
mod run;
mod search;
mod services;
mod stack;
mod wish;

use crate::args::{Arguments, Command};
use crate::control::Action;
use crate::exit::{Exit, Failure};
use crate::terminal::Output;

pub fn execute(arguments: Arguments, output: &Output) -> Result<Exit, Failure> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Run { watch } => run::run(&common, &watch, output),
        Command::List { refused, filters, alone } => {
            list::run(&common, refused, &filters, alone.alone, output)
        }
        Command::Search { words } => search::run(&common, &words, output),
        Command::Services { contract, alone } => {
            services::run(&common, contract.as_deref(), alone.alone, output)
        }
        Command::Plan { tree, why, alone } => {
            plan::run(&common, &plan::Shape { tree, why }, alone.alone, output)
        }
        Command::Graph { svg, alone } => graph::run(&common, svg, alone.alone, output),
        Command::Lock => lock::run(&common, output),
        Command::Inspect { what, verbose, alone } => {
            inspect::run(&common, &what, verbose, alone.alone, output)
        }
        Command::Call { target, arguments, members, raw, field, pointer, alone } => {
            let arguments = arguments::Given { word: arguments, members };
            let shape = call::Shape { raw, field, pointer };
            call::run(&common, &target, &arguments, &shape, alone.alone, output)
        }
        Command::Pipe(pipe) => pipe::run(&common, &pipe, output),
        Command::Enable { id } => change::run(&common, Action::Enable, &id, output),
        Command::Disable { id } => change::run(&common, Action::Disable, &id, output),
        Command::Load { id } => change::run(&common, Action::Load, &id, output),
        Command::Unload { id } => change::run(&common, Action::Unload, &id, output),
        // Without an id it is `--all`.
        Command::Reload { id, all: _ } => again::reload(&common, id, output),
        Command::Rollback { id } => again::rollback(&common, &id, output),
        Command::Save { id } => again::save(&common, &id, output),
        Command::History { id, follow } => history::run(&common, id, follow, output),
        Command::Dev { path, release, cargo } => {
            dev::run(&common, &path, dev::Cargo { release, arguments: cargo }, output)
        }
        Command::Quarantine { action } => quarantine::run(&common, action, output),
        // Without an id it is `--all`.
        Command::Release { which, all: _ } => release::run(&common, which.as_deref(), output),
        Command::Check { paths } => check::run(&common, &paths, output),
        Command::Stack { action } => stack::run(&common, action, output),
        Command::Doctor => doctor::run(&common, output),
        Command::Completions { shell } => completions::run(shell, output),
    }
}
