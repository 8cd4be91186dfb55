mod given;

use self::given::Given;
use crate::args::{Common, WatchFlags};
use crate::exit::{Exit, Failure};
use crate::serving::Serving;
use crate::settings::Settings;
use crate::signals::{End, HangUps};
use crate::terminal::Output;

/// Serves until it is told to end.
pub fn run(common: &Common, flags: &WatchFlags, output: &Output) -> Result<Exit, Failure> {
    let end = End::listen()?;
    // Before anything else: from its first moment on, SIGHUP must not end it.
    let hang_ups = HangUps::listen()?;
    let settings = Settings::read(common)?;
    let watching = settings.watching(flags)?;
    let mut given = Given::at_start(&settings);
    let serving = Serving::start(settings, &watching, output, |_| true)?;
    let host = serving.host().clone();
    let common = common.clone();
    // What comes of it is told as events.
    let reload = move || {
        log::info!("SIGHUP: reading the configuration and all plugins anew");
        given.bring_up_to_date(&host, &common);
        if let Err(error) = host.reload_all() {
            log::debug!("nothing is reloaded: {error}");
        }
        given.tell_names_of_nobody(&host);
    };
    if let Err(error) = hang_ups.each(reload) {
        log::warn!("SIGHUP does nothing here: {error}");
    }
    if !end.came() {
        serving.serve(&end.pipe);
    }
    Ok(serving.end())
}
