//! What plugins of a running host were given of its config file, and what they are given of
//! it on SIGHUP.

use std::collections::{BTreeMap, BTreeSet};

use plugbay_loader::{Error, Explain, Host, LoadPluginError, Outcome, PluginState, full_message};
use serde_json::Value;

use crate::args::Common;
use crate::exit::Failure;
use crate::serving::names_in;
use crate::settings::{AtStart, Settings};
use crate::survey::Surveyor;

/// What was given last.
///
/// What has not changed in the file is not given again: since then somebody may have gone
/// back from it with `rollback`, which would be undone.
pub struct Given {
    at_start: AtStart,
    configurations: Parts,
    tables: Parts,
    /// The file as it was read last.
    read: Option<Settings>,
}

/// By name.
struct Parts(BTreeMap<String, Value>);

impl Given {
    /// What a host begins with.
    pub fn at_start(settings: &Settings) -> Self {
        Self {
            at_start: AtStart::of(settings),
            configurations: Parts::of(settings.configurations()),
            tables: Parts::of(settings.tables()),
            read: None,
        }
    }

    /// Gives plugins what the config file has for them now, where that has changed, and the
    /// secrets that it refers to. What is wrong is told, and changes nothing.
    pub fn bring_up_to_date(&mut self, host: &Host, common: &Common) {
        let settings = match read(host, common) {
            Ok(settings) => settings,
            Err(failure) => {
                let Failure { code, message, .. } = failure;
                log::error!("the configuration stays as it is: {code}: {message}");
                return;
            }
        };
        let others = self.at_start.differs_in(&AtStart::of(&settings));
        if !others.is_empty() {
            let others = others.join(", ");
            log::warn!("SIGHUP does not take {others}: start the host again for that");
        }
        // What is configured for a line may stand there for the whole plugin now.
        let plugin = |key: &str| key.split('@').next().unwrap_or(key).to_owned();
        self.configurations.become_those(settings.configurations(), plugin, |plugin, value| {
            let outcome = match value {
                Some(value) => host.configure(plugin, value),
                None => host.unconfigure(plugin),
            };
            told(plugin, outcome, &settings, &["config", plugin])
        });
        // Any table may be that of a plugin which had another one before.
        let any = |_: &str| String::new();
        self.tables.become_those(settings.tables(), any, |name, value| {
            told(name, host.configure_extension(name, value), &settings, &[name])
        });
        match host.fetch_secrets() {
            Ok(fetched) => fetched.into_iter().for_each(|it| {
                let plugin = it.plugin.as_str();
                told(plugin, it.outcome, &settings, &["config", plugin]);
            }),
            Err(error) => log::debug!("no secrets are fetched: {error}"),
        }
        self.read = Some(settings);
    }

    /// Names in the file that was read last and that nothing has, once the folders were
    /// looked at.
    pub fn tell_names_of_nobody(&mut self, host: &Host) {
        let Some(settings) = self.read.take() else { return };
        for notice in settings.names_of_nobody(&names_in(host)) {
            log::warn!("{notice}");
        }
    }
}

impl Parts {
    fn of(values: &BTreeMap<String, Value>) -> Self {
        Self(values.clone())
    }

    /// Gives what is new or other, and takes out what is gone. `give` says whether it could;
    /// what it could not is as it was, and is tried again the next time. What is new may
    /// take the place of what is gone if `group` gives the same for both.
    fn become_those(
        &mut self,
        now: &BTreeMap<String, Value>,
        group: impl Fn(&str) -> String,
        give: impl Fn(&str, Option<Value>) -> bool,
    ) {
        // The new ones first: what is gone may stand there by another name, or be another
        // plugin's to be, and a plugin may not do without.
        let mut refused: BTreeMap<String, &String> = BTreeMap::new();
        for (name, value) in now {
            if self.0.get(name) == Some(value) {
                continue;
            }
            if give(name, Some(value.clone())) {
                self.0.insert(name.clone(), value.clone());
            } else {
                refused.entry(group(name)).or_insert(name);
            }
        }
        self.0.retain(|name, _| {
            if now.contains_key(name) {
                return true;
            }
            // That may be what takes its place.
            if let Some(wrong) = refused.get(&group(name)) {
                log::warn!("what was written for `{name}` holds until `{wrong}` is right");
                return true;
            }
            !give(name, None)
        });
    }
}

/// Whether it went well; else that is told, with its place under these keys of the file.
fn told(
    name: &str,
    outcome: Result<Outcome, LoadPluginError>,
    settings: &Settings,
    keys: &[&str],
) -> bool {
    let Err(error) = outcome else { return true };
    let (code, help) = (error.code(), error.hint());
    let stays = "goes on with the configuration that it had";
    if let LoadPluginError::Refused(refusal) = &error
        && let Error::Config(wrong) = &refusal.error
        && let Some(pointed_out) = settings.point_out(keys, wrong)
    {
        log::error!(target: name, "{code}: `{name}` {stays}: {pointed_out}");
        return false;
    }
    let place = settings.place_of(keys).map(|place| format!("{place}: ")).unwrap_or_default();
    let message = full_message(&error);
    log::error!(target: name, "{code}: `{name}` {stays}: {place}{message}; {help}");
    false
}

/// The config file, with tables for plugins that fit what is in the folders now.
fn read(host: &Host, common: &Common) -> Result<Settings, Failure> {
    let settings = Settings::read(common)?;
    if !settings.tables().is_empty() {
        let survey = Surveyor::new(&settings).folders(&settings.folders, |_, _| {})?;
        let serving = host.plugins().into_iter().filter(|it| it.state == PluginState::Active);
        let with_tables = serving.filter(|it| !it.manifest.host_config.is_empty());
        let owners: BTreeSet<_> = with_tables.map(|it| it.manifest.id).collect();
        survey.check_tables(&settings, &owners)?;
    }
    Ok(settings)
}
