//! Offers, made from the text that authors write.

#![allow(dead_code)] // each test file uses a part

use std::sync::Arc;

use plugbay_manifest::source::{CrateDefaults, Source};
use plugbay_resolve::{Decision, Offer, Policy, Refused, decide};
use semver::Version;

/// An offer of a plugin in a version, with more lines of its `plugin.toml`.
pub fn offer(id: &str, version: &str, more: &str) -> Offer {
    let text = format!("id = \"{id}\"\nversion = \"{version}\"\n{more}");
    let source = Source::parse(&text, &CrateDefaults::default());
    let source = source.unwrap_or_else(|error| panic!("{text}\n{error}"));
    Offer {
        path: format!("/plugins/{id}-{version}.so").into(),
        rank: 0,
        hash: format!("{id} {version} {more}"),
        manifest: Arc::new(source.manifest().clone()),
    }
}

/// Adds a dependency on the plugin itself, which authors cannot write, but which a later
/// interface might.
pub fn needing_itself(offer: &mut Offer, range: &str, optional: bool) {
    let json = serde_json::json!({
        "id": offer.manifest.id, "version": range, "optional": optional
    });
    let manifest = Arc::make_mut(&mut offer.manifest);
    manifest.dependencies.push(serde_json::from_value(json).unwrap());
    offer.hash += &format!("and itself {range} {optional}");
}

pub fn policy() -> Policy {
    Policy::new(Version::new(1, 0, 0))
}

pub fn id(text: &str) -> plugbay_manifest::PluginId {
    text.parse().unwrap()
}

pub fn refused(id: &str, version: &str, reason: &str) -> Refused {
    Refused {
        id: id.parse().unwrap(),
        version: version.parse().unwrap(),
        reason: reason.to_owned(),
    }
}

/// A decision with the offers that it is about, to be read.
pub struct Told {
    pub offers: Vec<Offer>,
    pub decision: Decision,
}

pub fn told(offers: &[Offer], policy: &Policy) -> Told {
    told_with(offers, &[], policy)
}

pub fn told_with(offers: &[Offer], refused: &[Refused], policy: &Policy) -> Told {
    Told { decision: decide(offers, refused, policy), offers: offers.to_vec() }
}

impl Told {
    /// `id version` of those that run, by id.
    pub fn runs(&self) -> Vec<String> {
        let run = self.decision.run.iter();
        run.map(|chosen| self.offers[chosen.offer].name().to_string()).collect()
    }

    /// The same, level by level.
    pub fn levels(&self) -> Vec<Vec<String>> {
        let name = |file: &usize| self.offers[*file].manifest.id.to_string();
        self.decision.levels.iter().map(|level| level.iter().map(name).collect()).collect()
    }

    /// `id version: reason` of those that do not.
    pub fn why(&self) -> Vec<String> {
        let held = self.decision.held_back.iter();
        held.map(|one| format!("{}: {}", self.offers[one.offer].name(), one.reason)).collect()
    }

    /// `id version: help` of those that do not.
    pub fn help(&self) -> Vec<String> {
        let held = self.decision.held_back.iter();
        let told = held.map(|one| {
            let name = self.offers[one.offer].name();
            format!("{name}: {}", one.reason.hint(&name))
        });
        told.collect()
    }

    pub fn advice(&self) -> Vec<String> {
        self.decision.advice.iter().map(ToString::to_string).collect()
    }
}

/// A folder in few lines, for those who look at a failed test.
pub fn shown(offers: &[Offer], policy: &Policy) -> String {
    let files: Vec<_> = offers.iter().map(|it| it.hash.replace('\n', " ")).collect();
    let Policy { enabled, disabled, precedence, versions, .. } = policy;
    format!("{files:#?}\n{enabled:?} {disabled:?} {precedence:?} {versions:?}")
}
