use plugbay_loader::registry::{PluginRecord, Query};
use serde_json::json;

use crate::args::Common;
use crate::control::{Request, reach};
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::table::{self, cell, plain};
use crate::terminal::{Output, Tone};

/// Finds plugins by words, among all that hosts of this name have seen.
pub fn run(common: &Common, words: &[String], output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let words = words.join(" ");
    let host = reach(&settings.socket, common, false)?;
    let is_running = host.is_some();
    let found: Option<Vec<PluginRecord>> = match host {
        Some(mut host) => Some(host.ask(&Request::Search { words })?),
        None => match settings.keeping.look() {
            Some(registry) => Some(registry.query(&Query::new().text(words))?),
            None => None,
        },
    };
    if output.json {
        output.json(&json!({ "plugins": found.unwrap_or_default() }))?;
        return Ok(Exit::Ok);
    }
    let text = match found {
        None => "Nothing is known yet: a host that runs records what is in its folders.\n".into(),
        Some(found) if found.is_empty() => "No plugin has all of these words.\n".into(),
        Some(found) if is_running => shown(&found, output),
        Some(found) => {
            format!(
                "{}\nNo host was asked: this is how the last one left it.\n",
                shown(&found, output)
            )
        }
    };
    output.text(&text)?;
    Ok(Exit::Ok)
}

fn shown(found: &[PluginRecord], output: &Output) -> String {
    let header = ["ID", "VERSION", "STATUS", "KINDS", "WHAT IT DOES"];
    let mut table = table::table(output, &header);
    for record in found {
        let status = record.status.as_str();
        let tone = if status == "active" { Tone::Good } else { Tone::Doubtful };
        let kinds = if record.kinds.is_empty() { "-".into() } else { record.kinds.join(", ") };
        table.add_row([
            cell(output, record.id.as_str(), Tone::Strong),
            plain(&record.version.to_string()),
            cell(output, status, tone),
            plain(&kinds),
            plain(&record.description),
        ]);
    }
    table::lines(&table)
}
