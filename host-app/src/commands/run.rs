use std::collections::BTreeSet;

use plugbay_loader::{Explain, Host, LoadPluginError, PluginState, full_message};

use crate::args::{Common, WatchFlags};
use crate::exit::{Exit, Failure};
use crate::serving::Serving;
use crate::settings::{AtStart, Settings};
use crate::signals::{End, HangUps};
use crate::survey::Surveyor;
use crate::terminal::Output;

/// Serves until it is told to end.
pub fn run(common: &Common, flags: &WatchFlags, output: &Output) -> Result<Exit, Failure> {
    let end = End::listen()?;
    // Before anything else: from its first moment on, SIGHUP must not end it.
    let hang_ups = HangUps::listen()?;
    let settings = Settings::read(common)?;
    let watching = settings.watching(flags)?;
    // Whose configuration the config file had.
    let mut given: BTreeSet<String> = settings.configurations().keys().cloned().collect();
    let at_start = AtStart::of(&settings);
    let serving = Serving::start(settings, &watching, output, |_| true)?;
    let host = serving.host().clone();
    let common = common.clone();
    // What comes of it is told as events.
    let reload = move || {
        log::info!("SIGHUP: reading the configuration and all plugins anew");
        configure(&host, &common, &at_start, &mut given);
        if let Err(error) = host.reload_all() {
            log::debug!("nothing is reloaded: {error}");
        }
    };
    if let Err(error) = hang_ups.each(reload) {
        log::warn!("SIGHUP does nothing here: {error}");
    }
    if !end.came() {
        serving.serve(&end.pipe);
    }
    Ok(serving.end())
}

/// Gives plugins what the config file has for them now. What is wrong changes nothing.
fn configure(host: &Host, common: &Common, at_start: &AtStart, given: &mut BTreeSet<String>) {
    let settings = match read(host, common) {
        Ok(settings) => settings,
        Err(failure) => {
            log::error!("the configuration stays as it is: {}: {}", failure.code, failure.message);
            return;
        }
    };
    let others = at_start.differs_in(&AtStart::of(&settings));
    if !others.is_empty() {
        log::warn!("SIGHUP does not take {}: start the host again for that", others.join(", "));
    }
    let now = settings.configurations();
    let told = |plugin: &str, outcome: Result<_, LoadPluginError>| {
        if let Err(error) = outcome {
            let (code, help) = (error.code(), error.hint());
            log::error!(target: plugin, "{code}: {}; {help}", full_message(&error));
        }
    };
    // What cannot be taken back now is taken back at the next SIGHUP that lets it be.
    given.retain(|plugin| {
        let outcome = (!now.contains_key(plugin)).then(|| host.unconfigure(plugin));
        let stays = matches!(outcome, Some(Err(_)));
        outcome.into_iter().for_each(|outcome| told(plugin, outcome));
        stays
    });
    for (plugin, config) in now {
        told(plugin, host.configure(plugin, config.clone()));
    }
    given.extend(now.keys().cloned());
    let tables = settings.tables();
    let gone = host.extensions().into_keys().filter(|name| !tables.contains_key(name));
    let gone: Vec<_> = gone.collect();
    // The new ones first: another version may register one in the place of one that is gone.
    for (name, table) in tables {
        told(name, host.configure_extension(name, Some(table.clone())));
    }
    for name in gone {
        told(&name, host.configure_extension(&name, None));
    }
}

/// The config file, with tables for plugins that fit what is in the folders now.
fn read(host: &Host, common: &Common) -> Result<Settings, Failure> {
    let settings = Settings::read(common)?;
    if !settings.tables().is_empty() {
        let survey = Surveyor::new(&settings).folders(&settings.folders, |_, _| {})?;
        let serving = host.plugins().into_iter().filter(|it| it.state == PluginState::Active);
        let with_tables = serving.filter(|it| !it.manifest.host_config.is_empty());
        let owners = with_tables.map(|it| it.manifest.id).collect();
        survey.check_tables(&settings, &owners)?;
    }
    Ok(settings)
}
