use crate::args::Common;
use crate::control::{Request, demand};
use crate::event_line::Told;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::terminal::Output;

/// Prints what happened in the running host, and goes on with what happens.
pub fn run(
    common: &Common,
    plugin: Option<String>,
    follow: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let mut host = demand(&settings.socket)?;
    if !follow {
        let told: Vec<Told> = host.ask(&Request::History { plugin, follow })?;
        print(&told, output)?;
        if told.is_empty() && !output.json {
            output.text("Nothing has happened.\n")?;
        }
        return Ok(Exit::Ok);
    }
    let (history, mut following) = host.follow(plugin)?;
    print(&history, output)?;
    while let Some(told) = following.next_within(None)? {
        // Whoever reads this may have gone; then there is nobody to follow for.
        if output.is_closed() {
            break;
        }
        print(&told, output)?;
    }
    Ok(Exit::Ok)
}

fn print(lines: &[Told], output: &Output) -> Result<(), Failure> {
    lines.iter().try_for_each(|told| told.print(output))
}
