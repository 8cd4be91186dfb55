use clap::CommandFactory;
use clap_complete::{Shell, generate};
use serde_json::json;

use crate::args::Arguments;
use crate::exit::{Exit, Failure};
use crate::terminal::Output;

pub fn run(shell: Shell, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "host-app", &mut script);
    let script = String::from_utf8_lossy(&script);
    match output.json {
        true => output.json(&json!({ "shell": shell.to_string(), "script": script }))?,
        false => output.text(&script)?,
    }
    Ok(Exit::Ok)
}
