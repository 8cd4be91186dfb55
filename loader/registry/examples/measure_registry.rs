//! How long a registry takes, in the folder that is named (the disk counts):
//! `cargo run --release -p plugbay-registry --example measure_registry -- /some/folder`.

use std::path::Path;
use std::time::{Duration, Instant};

use plugbay_registry::{
    Begin, ContentHash, Doing, Ending, Event, EventKind, FileRegistry, HistoryQuery, HostProcess,
    Mark, MemoryRegistry, Offered, PluginRecord, Query, Registry, RegistryError, Status,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PLUGINS: u32 = 1000;
const TIMES: usize = 15;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder")?;
    let folder = tempfile::tempdir_in(folder)?;
    let path = |name: &str| folder.path().join(name);
    measure("memory", || Ok(Box::new(MemoryRegistry::new())), &[])?;
    let file = path("registry.json");
    measure("file", || Ok(Box::new(FileRegistry::open(&file)?.registry)), &[&file])?;
    #[cfg(feature = "sqlite")]
    {
        use plugbay_registry::SqliteRegistry;
        let file = path("registry.db");
        measure("sqlite", || Ok(Box::new(SqliteRegistry::open(&file)?.registry)), &[&file])?;
    }
    Ok(())
}

fn measure(
    name: &str,
    open: impl Fn() -> std::result::Result<Box<dyn Registry>, RegistryError>,
    files: &[&Path],
) -> Result<()> {
    let records: Vec<_> = (0..PLUGINS).map(record).collect::<Result<_>>()?;
    let marks: Vec<_> = records.iter().map(|it| Mark::new(it.key(), Status::Active)).collect();
    let mut registry = open()?;
    let tell = |what: &str, time: Duration| println!("{name:>7} {what:<34} {time:>10.3?}");
    let first = records.first().ok_or("no plugins")?;

    tell("record 1,000, the first time", once(|| registry.record(&records))?);
    tell("record 1,000, nothing is new", median(|| registry.record(&records))?);
    tell("mark 1,000", median(|| registry.mark(&marks))?);
    tell("mark 1 of 1,000", median(|| registry.mark(marks.get(..1).unwrap_or_default()))?);
    tell("query a kind (100 of 1,000)", median(|| registry.query(&Query::new().kind("kind-7")))?);
    tell("query an id", median(|| registry.query(&Query::new().id(first.id.clone())))?);
    tell("query two words", median(|| registry.query(&Query::new().text("tables 77")))?);
    tell("query all", median(|| registry.query(&Query::new()))?);

    let event = Event::new(first.id.clone(), None, EventKind::Loaded, "in 3 ms");
    let events = vec![event.clone(); 10_000];
    tell("append 10,000 events at once", once(|| registry.append(&events))?);
    tell("append 1 event", median(|| registry.append(std::slice::from_ref(&event)))?);
    tell("the last 50 events", median(|| registry.history(&HistoryQuery::new().limit(50)))?);

    let begin = Begin::new(first.key(), Doing::Activating, HostProcess::current()?);
    let attempt = |registry: &dyn Registry| {
        registry.end_attempt(registry.begin_attempt(&begin)?, Ending::Harmless)
    };
    tell("begin and end an attempt", median(|| attempt(&*registry))?);

    let wave = vec![begin.clone(); 50];
    tell("begin 50 attempts at once", median(|| registry.begin_attempts(&wave))?);

    if !files.is_empty() {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            drop(registry);
            let begun = Instant::now();
            registry = open()?;
            times.push(begun.elapsed());
        }
        tell("open all of this", middle(times));
    }
    for file in files {
        println!("{name:>7} {} bytes", file.metadata()?.len());
    }
    Ok(())
}

fn once<T>(
    action: impl FnOnce() -> std::result::Result<T, RegistryError>,
) -> std::result::Result<Duration, RegistryError> {
    let begun = Instant::now();
    action()?;
    Ok(begun.elapsed())
}

fn median<T>(
    action: impl Fn() -> std::result::Result<T, RegistryError>,
) -> std::result::Result<Duration, RegistryError> {
    let times: std::result::Result<Vec<_>, _> = (0..TIMES).map(|_| once(&action)).collect();
    Ok(middle(times?))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn record(number: u32) -> Result<PluginRecord> {
    let mut hash = [0; 32];
    hash.iter_mut().zip(number.to_le_bytes()).for_each(|(to, byte)| *to = byte);
    let id = format!("plugin-{number:04}").parse()?;
    let path = format!("/opt/plugins/libplugin_{number:04}.so").into();
    let mut record = PluginRecord::new(id, "1.2.3".parse()?, ContentHash::from_bytes(hash), path);
    record.name = format!("Plugin number {number}");
    record.description = format!("Makes something of tables, and does it {number} times");
    record.kinds = vec![format!("kind-{}", number % 10), "renderer".into()];
    record.capabilities = vec!["tables".into(), "footnotes".into()];
    record.contracts = vec![Offered::new("plugbay.renderer".parse()?, "1.2".parse()?)];
    Ok(record)
}
