use std::fmt::Write;
use std::time::{Duration, SystemTime};

use indicatif::HumanDuration;
use plugbay_loader::{BuildError, QuarantineEntry, Verdicts, default_cache_dir, printable};
use serde_json::json;

use crate::args::{Common, Quarantine};
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::table::{self, cell, plain};
use crate::terminal::{Output, Tone, one_line};

/// How much of a hash is shown.
const SHORT: usize = 12;
/// How much of it must be given.
const SHORTEST: usize = 4;

/// What holds for a host of this name: other programs' decisions are theirs.
pub fn run(common: &Common, action: Quarantine, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let cache = default_cache_dir().ok_or(BuildError::NoHome)?;
    let verdicts = Verdicts::in_cache(&cache).of_host(settings.name);
    let entries = verdicts.quarantined().map_err(|error| {
        let message = format!("the verdicts in {} cannot be read", printable(verdicts.dir()));
        Failure::io("PB1019", message, &error, "see who may read that folder: ls -ld")
    })?;
    match action {
        Quarantine::List => list(&entries, output)?,
        Quarantine::Clear { which, .. } => {
            let chosen = match &which {
                Some(which) => choose(&entries, which)?,
                None => entries.iter().collect(),
            };
            clear(&verdicts, &chosen, output)?;
        }
    }
    Ok(Exit::Ok)
}

fn list(entries: &[QuarantineEntry], output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(&json!({ "quarantined": entries }));
    }
    if entries.is_empty() {
        return output.text("Nothing is quarantined.\n");
    }
    let mut table = table::table(output, &["HASH", "ID", "SINCE", "HOST", "PATH", "REASON"]);
    for entry in entries {
        table.add_row([
            cell(output, short(entry), Tone::Strong),
            plain(&entry.id),
            plain(&since(entry.since)),
            plain(entry.host.as_deref().unwrap_or("all")),
            plain(&entry.path),
            plain(&entry.reason),
        ]);
    }
    let mut text = table::lines(&table);
    text.push_str(
        "\nA changed file is tried anew. To try one again: host-app quarantine clear HASH\n",
    );
    output.text(&text)
}

fn clear(verdicts: &Verdicts, chosen: &[&QuarantineEntry], output: &Output) -> Result<(), Failure> {
    let mut released = Vec::new();
    for entry in chosen {
        let done = verdicts.release(entry).map_err(|error| {
            let message = format!("{} cannot be released", short(entry));
            let help = format!("see who may write to {}", printable(verdicts.dir()));
            Failure::io("PB1019", message, &error, help)
        })?;
        // Somebody else may have been quicker.
        if done {
            released.push(*entry);
        }
    }
    if output.json {
        return output.json(&json!({ "released": released }));
    }
    let mut text = String::new();
    for entry in &released {
        let (id, path) = (one_line(&entry.id), one_line(&entry.path));
        let _ = writeln!(text, "{} ({id}, {path}) will be tried again", short(entry));
    }
    match released.as_slice() {
        [] => text.push_str("Nothing is quarantined.\n"),
        [one] => {
            let id = one_line(&one.id);
            let _ = writeln!(text, "A running host loads it with: host-app load {id}");
        }
        _ => text.push_str("A running host loads them with: host-app load ID\n"),
    }
    output.text(&text)
}

/// All of one plugin, or all about the one content whose hash begins so.
fn choose<'a>(
    entries: &'a [QuarantineEntry],
    which: &str,
) -> Result<Vec<&'a QuarantineEntry>, Failure> {
    let of_id: Vec<_> = entries.iter().filter(|entry| entry.id == which).collect();
    if !of_id.is_empty() {
        return Ok(of_id);
    }
    let of_hash: Vec<_> = match which.len() >= SHORTEST {
        true => entries.iter().filter(|entry| entry.hash.starts_with(which)).collect(),
        false => Vec::new(),
    };
    let which = one_line(which);
    // One content may be held back by several hosts.
    let mut hashes: Vec<_> = of_hash.iter().map(|entry| &entry.hash).collect();
    hashes.sort();
    hashes.dedup();
    match hashes.len() {
        1 => Ok(of_hash),
        0 => Err(Failure::new(
            "PB1018",
            Exit::NotFound,
            format!("nothing in quarantine has the id `{which}` or a hash that begins so"),
            format!(
                "see what is there: host-app quarantine list; of a hash, give {SHORTEST} \
                 characters at least"
            ),
        )),
        _ => {
            let hashes: Vec<_> = of_hash.iter().map(|entry| short(entry)).collect();
            let message = format!("`{which}` begins more than one hash in quarantine");
            Err(Failure::new(
                "PB1018",
                Exit::Failed,
                message,
                format!("give more of it: {}", hashes.join(", ")),
            ))
        }
    }
}

fn short(entry: &QuarantineEntry) -> &str {
    entry.hash.get(..SHORT).unwrap_or(&entry.hash)
}

fn since(seconds: u64) -> String {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(u64::from(u32::MAX)));
    match SystemTime::now().duration_since(then) {
        Ok(elapsed) => format!("{} ago", HumanDuration(elapsed)),
        Err(_) => "in the future".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, hash: &str) -> QuarantineEntry {
        QuarantineEntry {
            hash: hash.into(),
            id: id.into(),
            path: String::new(),
            reason: String::new(),
            since: 0,
            host: None,
            kept: true,
        }
    }

    #[test]
    fn an_id_or_the_start_of_one_hash_chooses() {
        let entries = [entry("abcd", "1111"), entry("abcd", "2222"), entry("kv", "abcdef")];
        let hashes = |which: &str| {
            let chosen = choose(&entries, which);
            chosen.map(|chosen| chosen.iter().map(|entry| &*entry.hash).collect::<Vec<_>>())
        };
        // The id comes first.
        assert_eq!(hashes("abcd").unwrap(), ["1111", "2222"]);
        assert_eq!(hashes("abcde").unwrap(), ["abcdef"]);
        assert_eq!(hashes("abc").unwrap_err().exit, Exit::NotFound);
        let theirs = QuarantineEntry { host: Some("other".into()), ..entry("a", "aaaa1") };
        assert_eq!(choose(&[entry("a", "aaaa1"), theirs], "aaaa").unwrap().len(), 2);
        let twins = [entry("a", "aaaa1"), entry("b", "aaaa2")];
        assert_eq!(choose(&twins, "aaaa").unwrap_err().exit, Exit::Failed);
    }
}
