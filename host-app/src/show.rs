//! What people are shown of plugins.

use std::fmt::Write;

use plugbay_loader::ResultsStatus;
use plugbay_loader::manifest::Command;
use serde_json::Value;

use crate::control::{GenerationLine, Inspection, Overview, PinnedLine, PluginLine, RefusedLine};
use crate::table::{self, cell, plain};
use crate::terminal::{Output, Tone, harmless, one_line};

/// The plugins in a table, and below it what was refused.
pub fn overview(overview: &Overview, output: &Output) -> String {
    let mut text = match overview.plugins.is_empty() && !overview.refused.is_empty() {
        // What is refused is there, too.
        true => String::new(),
        false => plugins(&overview.plugins, output),
    };
    let remains = remains(overview);
    if !remains.is_empty() {
        let _ = writeln!(text, "\n{}", output.paint(Tone::Strong, "Still in memory:"));
        for line in remains {
            let _ = writeln!(text, "  {}", one_line(&line));
        }
    }
    if !overview.refused.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&refused(&overview.refused, output));
    }
    for notice in &overview.notices {
        let _ = writeln!(text, "\n{} {}", output.paint(Tone::Doubtful, "note:"), one_line(notice));
    }
    text
}

/// The generations that do not serve, and what keeps each.
fn remains(overview: &Overview) -> Vec<String> {
    let mut lines = Vec::new();
    for plugin in &overview.plugins {
        for line in &plugin.generations {
            if let Some(what) = remains_of(&plugin.id, line) {
                let GenerationLine { generation, version, .. } = line;
                lines.push(format!("{} {version} (generation {generation}): {what}", plugin.id));
            }
        }
    }
    for PinnedLine { id, generation, reason } in &overview.pinned {
        lines.push(format!("{id} (generation {generation}), pinned: {reason}"));
    }
    lines
}

/// Why a generation is there that does not serve; none for the one that does.
fn remains_of(id: &str, line: &GenerationLine) -> Option<String> {
    let users = match line.holders.as_slice() {
        [] => String::new(),
        holders => format!("in use by {}", holders.join("; ")),
    };
    match (line.role.as_str(), users.is_empty()) {
        ("serving", _) => None,
        ("previous", true) => Some(format!("may come back: host-app rollback {id}")),
        ("previous", false) => Some(format!("may come back; {users}")),
        (_, true) => Some("about to end".to_owned()),
        (_, false) => Some(format!("ends after its last call; {users}")),
    }
}

pub fn plugins(plugins: &[PluginLine], output: &Output) -> String {
    if plugins.is_empty() {
        return "No plugins.\n".to_owned();
    }
    let header = ["ID", "VERSION", "STATE", "GENERATION", "PINNED", "PATH", "WHAT IT DOES"];
    let mut table = table::table(output, &header);
    for plugin in plugins {
        let generation = plugin.generation.map_or("-".into(), |number| number.to_string());
        let pinned = match plugin.pinned.len() {
            0 => "-".into(),
            count => count.to_string(),
        };
        table.add_row([
            cell(output, &plugin.name, Tone::Strong),
            plain(&plugin.version),
            cell(output, &plugin.state, tone_of(&plugin.state)),
            plain(&generation),
            plain(&pinned),
            plain(&plugin.path),
            plain(&plugin.description),
        ]);
    }
    table::lines(&table)
}

/// Each with its file, why, and what to do.
pub fn refused(refused: &[RefusedLine], output: &Output) -> String {
    let mut text = format!("{}\n", output.paint(Tone::Strong, "Refused:"));
    for line in refused {
        let _ = write!(text, "  {}", one_line(&line.path));
        if let (Some(id), Some(version)) = (&line.id, &line.version) {
            let _ = write!(text, " ({id} {version})");
        }
        let code = output.paint(Tone::Bad, &line.code);
        let _ = writeln!(text, "\n    {code}: {}", indented(&line.reason, "    "));
        let _ = writeln!(text, "    help: {}", indented(&line.help, "    "));
    }
    text
}

/// What a plugin says of itself; schemas, and which results are kept, where that is wanted.
pub fn inspection(seen: &Inspection, verbose: bool, output: &Output) -> String {
    let manifest = &seen.manifest;
    let mut text = String::new();
    let title = format!("{} {}", manifest.id, manifest.version);
    let _ = write!(text, "{}", output.paint(Tone::Strong, &title));
    if manifest.name != manifest.id.as_str() && !manifest.name.is_empty() {
        let _ = write!(text, " ({})", one_line(&manifest.name));
    }
    text.push('\n');
    if !manifest.description.is_empty() {
        let _ = writeln!(text, "{}", one_line(&manifest.description));
    }
    if let Some(refused) = &seen.refused {
        let word = if seen.state.is_some() { "refused" } else { "would be refused" };
        let _ = writeln!(
            text,
            "\n{} {}: {}\n  help: {}",
            output.paint(Tone::Bad, word),
            refused.code,
            indented(&refused.reason, "  "),
            indented(&refused.help, "  "),
        );
    }
    text.push('\n');
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<14}{}", one_line(value));
        }
    };
    fact("file", &seen.path);
    fact("beside it", seen.beside.as_deref().unwrap_or_default());
    fact("size", &seen.size.map(|size| format!("{size} bytes")).unwrap_or_default());
    fact("hash", seen.hash.as_deref().unwrap_or_default());
    fact("state", seen.state.as_deref().unwrap_or_default());
    fact("generation", &seen.generation.map(|number| number.to_string()).unwrap_or_default());
    if seen.calls > 0 {
        fact("calls", &seen.calls.to_string());
    }
    for line in &seen.generations {
        match remains_of(manifest.id.as_str(), line) {
            Some(what) => fact(&line.role, &format!("generation {}: {what}", line.generation)),
            // Of the one that serves there is more to know.
            None => line.holders.iter().for_each(|holder| fact("in use", holder)),
        }
        if line.troubles > 0 {
            let generation = line.generation;
            fact("troubles", &format!("generation {generation}: {}", line.troubles));
        }
    }
    if let Some(ResultsStatus { hits, misses, entries, bytes, .. }) = &seen.results {
        fact("results", &format!("hits {hits}, misses {misses}; kept {entries} in {bytes} bytes"));
    }
    for PinnedLine { generation, reason, .. } in &seen.pinned {
        fact("pinned", &format!("generation {generation}: {reason}"));
    }
    fact("kinds", &manifest.kinds.join(", "));
    fact("capabilities", &manifest.capabilities.join(", "));
    fact("permissions", &manifest.permissions.join(", "));
    let registers: Vec<_> = manifest.host_config.keys().map(|it| format!("[{it}]")).collect();
    fact("host config", &registers.join(", "));
    fact("needs host", &manifest.host.to_string());
    fact("authors", &manifest.authors.join(", "));
    fact("license", &manifest.license);
    if manifest.state_version > 0 {
        fact("state version", &manifest.state_version.to_string());
    }
    fact("interface", &seen.facts.interface.to_string());
    fact("compiler", &seen.facts.rustc);
    fact("target", &seen.facts.target);
    fact("panic", &seen.facts.panic);
    text.push_str(&commands(seen, verbose, output));
    if verbose && let Some(schema) = &manifest.config_schema {
        let _ = writeln!(text, "\nIts configuration:\n{}", pretty(schema, "  "));
    }
    text
}

fn commands(seen: &Inspection, verbose: bool, output: &Output) -> String {
    let commands = &seen.manifest.commands;
    if commands.is_empty() {
        return "\nNo commands.\n".to_owned();
    }
    let mut text = String::from("\nCommands:\n");
    let width = commands.keys().map(|name| one_line(name).chars().count()).max().unwrap_or(0);
    for (name, Command { summary, arguments, result, cache, .. }) in commands {
        let name = one_line(name);
        let padding = " ".repeat(width.saturating_sub(name.chars().count()));
        let name = output.paint(Tone::Strong, &name);
        let line = format!("  {name}{padding}  {}", one_line(summary));
        let _ = writeln!(text, "{}", line.trim_end());
        if verbose && let Some(cache) = cache {
            let _ = writeln!(text, "    its results are kept for {:?}", cache.ttl());
        }
        for (what, schema) in [("arguments", arguments), ("result", result)] {
            if verbose && let Some(schema) = schema {
                let _ = writeln!(text, "    {what}:\n{}", pretty(schema, "      "));
            }
        }
    }
    text
}

fn pretty(schema: &Value, indent: &str) -> String {
    let text = format!("{schema:#}");
    text.lines().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}

/// Further lines begin below the first.
fn indented(text: &str, indent: &str) -> String {
    harmless(text.trim_end()).replace('\n', &format!("\n{indent}"))
}

fn tone_of(state: &str) -> Tone {
    match state {
        "active" | "verified" => Tone::Good,
        _ => Tone::Doubtful,
    }
}
