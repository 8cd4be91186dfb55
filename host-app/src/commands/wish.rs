//! What somebody wants of a plugin while no host is running: the next one finds it.

use plugbay_loader::manifest::Selector;
use plugbay_loader::registry::{Event, EventKind, Query, Registry, Wish};
use plugbay_loader::{InvalidName, LoadPluginError, PluginId};
use semver::VersionReq;
use serde_json::json;

use crate::control::Action;
use crate::exit::{Exit, Failure};
use crate::settings::{Settings, again_if_anew, done_by_hand};
use crate::survey::{Surveyor, unknown};
use crate::terminal::Output;

/// Writes it into the registry; it is on the disk when this returns.
pub fn run(
    settings: &Settings,
    action: Action,
    wanted: &str,
    output: &Output,
) -> Result<Exit, Failure> {
    let Selector { id, version } = match wanted.contains('@') && action == Action::Enable {
        true => wanted.parse().map_err(InvalidName::from).map_err(LoadPluginError::from)?,
        false => Selector {
            id: wanted
                .parse::<PluginId>()
                .map_err(InvalidName::from)
                .map_err(LoadPluginError::from)?,
            version: VersionReq::STAR,
        },
    };
    let registry = settings.keeping.demand()?;
    check(settings, &*registry, &id)?;
    let versions = (version != VersionReq::STAR).then_some(version);
    let (word, wish, kind) = match action {
        Action::Enable => ("enabled", Wish::enabled(versions.clone()), EventKind::Enabled),
        _ => ("disabled", Wish::disabled(), EventKind::Disabled),
    };
    done_by_hand(
        &*registry,
        || registry.set_wish(&id, Some(wish.clone())),
        |()| vec![Event::new(id.clone(), None, kind.clone(), "")],
    )?;
    let versions = versions.map(|versions| versions.to_string());
    if output.json {
        output.json(&json!({ "plugin": { "id": id }, "wish": word, "versions": versions }))?;
        return Ok(Exit::Ok);
    }
    let versions = versions.map_or_else(String::new, |versions| format!(" in versions {versions}"));
    output.text(&format!(
        "{id} is {word}{versions}: holds from the next start on, as no host is running\n"
    ))?;
    Ok(Exit::Ok)
}

/// A slip of the pen is not to be a wish.
fn check(settings: &Settings, registry: &dyn Registry, id: &PluginId) -> Result<(), Failure> {
    let is_known = || {
        Ok(!registry.query(&Query::new().id(id.clone()).limit(1))?.is_empty()
            || registry.wishes()?.contains_key(id))
    };
    if again_if_anew(is_known)? {
        return Ok(());
    }
    let survey = Surveyor::new(settings).folders(&settings.folders, |_, _| {})?;
    match survey.ids().contains(id) {
        true => Ok(()),
        false => Err(unknown(id.as_str(), &survey)),
    }
}
