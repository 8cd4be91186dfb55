//! Rows through services of plugins: from a source, step by step, to standard output.

mod print;
mod rows;
mod stage;

use plugbay_loader::manifest::Selector;

use crate::args::{Common, Pipe};
use crate::exit::{Exit, Failure};
use crate::progress::Bar;
use crate::settings::Settings;
use crate::survey::{Surveyor, unknown};
use crate::terminal::Output;

use self::stage::{Begin, Step};

pub fn run(common: &Common, pipe: &Pipe, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let nowhere =
        |plugin: &str| match Surveyor::new(&settings).folders(&settings.folders, |_, _| {}) {
            Ok(survey) => unknown(plugin, &survey),
            Err(failure) => failure,
        };
    let mut host = settings.host_of_one_command()?;
    for stage in &pipe.stages {
        let Ok(Selector { id, .. }) = stage.plugin.parse() else {
            return Err(nowhere(&stage.plugin));
        };
        host = host.only(id.as_str());
    }
    let bar = Bar::new();
    let host = host.on_progress(bar.reporter()).build()?;
    let report = host.start()?;
    drop(bar);
    for notice in &report.notices {
        log::warn!("{notice}");
    }
    let stages = stage::Stages { host: &host, nowhere: &nowhere, verbose: pipe.verbose };
    let mut given = pipe.stages.iter();
    let begin = match &pipe.input {
        Some(path) => Begin::rows(path)?,
        None => {
            let first = given.next().ok_or_else(stage::no_source)?;
            stages.source(first, pipe)?
        }
    };
    let steps: Vec<Step<'_>> = given.map(|one| stages.step(one)).collect::<Result<_, _>>()?;
    let mut printer = print::Printer::new(output);
    let mut left = pipe.limit.unwrap_or(u64::MAX);
    for batch in begin {
        let mut batch = batch?;
        for step in &steps {
            batch = step.take(batch)?;
        }
        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        if rows > left {
            batch = batch.slice(0, usize::try_from(left).unwrap_or(usize::MAX)).into();
        }
        left = left.saturating_sub(rows);
        printer.print(&batch)?;
        // Nothing more is asked of the source.
        if left == 0 || output.is_closed() {
            break;
        }
    }
    printer.end()?;
    Ok(Exit::Ok)
}
