use plugbay_loader::{ContractStatus, ProviderStatus, contracts_of};

use crate::args::Common;
use crate::control::{Contracts, Request, reach};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::Surveyor;
use crate::table::{self, cell, plain};
use crate::terminal::{Output, Tone};

pub fn run(
    common: &Common,
    only: Option<&str>,
    alone: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let mut found: Contracts = match reach(&settings.socket, common, alone)? {
        Some(mut host) => host.ask(&Request::Services)?,
        None => {
            let bar = Bar::new();
            let survey = Surveyor::new(&settings)
                .folders(&settings.folders, |done, total| bar.checked(done, total))?;
            let contracts = contracts_of(survey.would_run().map(|one| &one.manifest));
            Contracts { host: None, contracts }
        }
    };
    if let Some(only) = only {
        found.contracts.retain(|contract| contract.id == only);
    }
    if output.json {
        output.json(&found)?;
        return Ok(Exit::Ok);
    }
    let mut text = shown(&found.contracts, output);
    let note = match &found.host {
        Some(host) => format!("Answered by the host with process id {}.", host.pid),
        None => "No host was asked: this is what would run.".to_owned(),
    };
    text.push_str(&format!("\n{}\n", output.paint(Tone::Faint, &note)));
    output.text(&text)?;
    Ok(Exit::Ok)
}

fn shown(contracts: &[ContractStatus], output: &Output) -> String {
    if contracts.is_empty() {
        return "No contracts.\n".to_owned();
    }
    let header = ["CONTRACT", "OFFERED BY", "CAPABILITIES", "PRECEDENCE", "CALLED BY"];
    let mut table = table::table(output, &header);
    for contract in contracts {
        let ContractStatus { id, major, providers, consumers, .. } = contract;
        let consumers = consumers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let consumers = if consumers.is_empty() { "-" } else { &consumers };
        if providers.is_empty() {
            table.add_row([
                cell(output, &format!("{id} {major}"), Tone::Strong),
                cell(output, "nobody", Tone::Doubtful),
                plain("-"),
                plain("-"),
                plain(consumers),
            ]);
        }
        for ProviderStatus { plugin, plugin_version, provided, .. } in providers {
            let capabilities = match provided.capabilities.as_slice() {
                [] => "-".to_owned(),
                all => all.join(", "),
            };
            table.add_row([
                cell(output, &format!("{id} {}", provided.version), Tone::Strong),
                plain(&format!("{plugin} {plugin_version}")),
                plain(&capabilities),
                plain(&provided.precedence.to_string()),
                plain(consumers),
            ]);
        }
    }
    table::lines(&table)
}
