//! What runs, in which order, and why the rest does not: as it goes over the socket, and as
//! `--json` prints it.

use std::collections::{BTreeMap, BTreeSet};

use plugbay_loader::manifest::Activation;
use plugbay_loader::{Explain, Plan, ResolveError, printable};
use serde::{Deserialize, Serialize};

use super::{HostLine, RefusedLine};

/// A decision, with names in the place of numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PlanView {
    /// None where nothing was asked but the folders.
    pub host: Option<HostLine>,
    /// In the order of activation.
    pub run: Vec<RunLine>,
    /// Per kind that is a chain: the ids of its members, in order.
    pub chains: BTreeMap<String, Vec<String>>,
    pub not_run: Vec<RefusedLine>,
    /// Those that a stack neither names nor needs: `id version`.
    #[serde(default)]
    pub outside: Vec<OutsideLine>,
    pub advice: Vec<String>,
}

/// One that is no part of the stack that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutsideLine {
    pub id: String,
    pub version: String,
    pub reason: String,
    pub help: String,
}

/// One that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunLine {
    pub id: String,
    pub version: String,
    /// What has the same number can be activated at the same time, after all below.
    pub level: usize,
    pub kinds: Vec<String>,
    /// What it cannot run without: `id version`.
    pub needs: Vec<String>,
    /// What it may use, and that runs.
    pub uses: Vec<String>,
    pub path: String,
    pub hash: String,
    /// Whether it is loaded when it is called first. What is loaded needs or uses none that
    /// is not.
    #[serde(default)]
    pub on_demand: bool,
}

impl PlanView {
    pub fn new(plan: &Plan, not_run: Vec<RefusedLine>, host: Option<HostLine>) -> Self {
        let offers = plan.offers();
        let decision = plan.decision();
        let names = |files: &[usize]| {
            files.iter().map(|file| offers[*file].name().to_string()).collect::<Vec<_>>()
        };
        let asleep = asleep(plan);
        let mut run: Vec<RunLine> = decision
            .run
            .iter()
            .map(|chosen| {
                let offer = &offers[chosen.offer];
                let only_used = chosen.uses.iter().copied().filter(|it| !chosen.needs.contains(it));
                RunLine {
                    id: offer.manifest.id.to_string(),
                    version: offer.manifest.version.to_string(),
                    level: chosen.level,
                    kinds: offer.manifest.kinds.clone(),
                    needs: names(&chosen.needs),
                    uses: names(&only_used.collect::<Vec<_>>()),
                    path: printable(&offer.path),
                    hash: offer.hash.clone(),
                    on_demand: asleep.contains(&chosen.offer),
                }
            })
            .collect();
        run.sort_by_key(|line| line.level);
        let id = |file: &usize| offers[*file].manifest.id.to_string();
        let chains = decision.chains.iter();
        Self {
            host,
            run,
            chains: chains
                .map(|(kind, files)| (kind.clone(), files.iter().map(id).collect()))
                .collect(),
            not_run,
            outside: plan.outside().iter().map(outside).collect(),
            advice: plan.advice().iter().map(ToString::to_string).collect(),
        }
    }
}

/// The files that a start does not load: those on demand that nobody needs or uses who is
/// loaded.
fn asleep(plan: &Plan) -> BTreeSet<usize> {
    let run = &plan.decision().run;
    let mut asleep: BTreeSet<usize> = run.iter().map(|chosen| chosen.offer).collect();
    let is_loaded = |file: &usize| plan.offers()[*file].manifest.activation != Activation::OnDemand;
    let mut open: Vec<usize> = asleep.iter().copied().filter(is_loaded).collect();
    while let Some(file) = open.pop() {
        if asleep.remove(&file) {
            let of_it = run.iter().filter(|chosen| chosen.offer == file);
            open.extend(of_it.flat_map(|chosen| chosen.needs.iter().chain(&chosen.uses)));
        }
    }
    asleep
}

fn outside(error: &ResolveError) -> OutsideLine {
    OutsideLine {
        id: error.id().to_string(),
        version: error.version().to_string(),
        reason: error.reason().map(|reason| reason.to_string()).unwrap_or_default(),
        help: error.hint(),
    }
}

impl RunLine {
    pub fn name(&self) -> String {
        format!("{} {}", self.id, self.version)
    }

    /// The name, and whether it is loaded when it is called first.
    pub fn marked(&self) -> String {
        let mark = if self.on_demand { " (on demand)" } else { "" };
        format!("{}{mark}", self.name())
    }
}
