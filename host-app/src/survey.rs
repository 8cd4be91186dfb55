//! Looks at libraries as a host would that is about to start, and loads none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use plugbay_loader::config::schema::SecretSource;
use plugbay_loader::manifest::{Embedded, Manifest};
use plugbay_loader::registry::apply;
use plugbay_loader::{
    BesideError, BuildError, CallError, Candidate, ConfigError, DiscoverError, Explain,
    ExtensionError, Extensions, Plan, PluginId, Policy, ProbeError, Reason, Refusal, ResolveError,
    Verdict, Verdicts, Verified, VerifyOptions, Workspace, check_config, config_for,
    default_cache_dir, discover, discover_file, full_message, manifest_beside, manifest_in,
    printable, resolve, strays, verify,
};

use serde_json::Value;

use crate::control::{Inspection, Overview, PlanView, PluginLine, RefusedLine};
use crate::exit::{Exit, Failure};
use crate::settings::{Names, Settings};

/// What a host of these settings would take.
pub struct Surveyor {
    options: VerifyOptions,
    policy: Policy,
    configurations: BTreeMap<String, Value>,
    extensions: Extensions,
    secrets: SecretSource,
    name: String,
}

/// What was found.
#[derive(Default)]
pub struct Survey {
    /// What could be read, those that would be refused among them, by id.
    pub inspections: Vec<Inspection>,
    /// All that would be refused, by path.
    pub refused: Vec<Refusal>,
    /// What those say of themselves that could not be taken as they are.
    refused_manifests: Vec<Manifest>,
    /// What should be known besides.
    pub notices: Vec<String>,
    /// Secrets that cannot be had here, of those that run.
    pub absent_secrets: Vec<String>,
    /// Which of them run, and in which order.
    pub plan: Plan,
    /// The paths of those that a stack leaves out.
    outside: BTreeSet<String>,
}

impl Surveyor {
    pub fn new(settings: &Settings) -> Self {
        let (options, mut policy) = (settings.verify_options(), settings.policy());
        if let Some(registry) = settings.keeping.look()
            && let Err(error) = apply(&*registry, &mut policy)
        {
            log::warn!("{}: {error}", error.code());
        }
        Self {
            options,
            policy,
            configurations: settings.configurations().clone(),
            extensions: settings.extensions(),
            secrets: settings.secrets(),
            name: settings.name.clone(),
        }
    }

    /// What a host on these folders would run.
    pub fn folders(
        &self,
        folders: &[PathBuf],
        report: impl Fn(usize, usize),
    ) -> Result<Survey, Failure> {
        let found = discover(folders, self.options.allow_world_writable);
        let strays = folders.iter().flat_map(|folder| strays(folder));
        let told = |stray: BesideError| {
            format!("{}: {}; help: {}", stray.code(), full_message(&stray), stray.hint())
        };
        let notices = strays.map(told).collect();
        let survey = self.judge(found.candidates, found.problems, true, report)?;
        Ok(Survey { notices, ..survey })
    }

    /// Whether a host on nothing but this file would run it.
    pub fn file(&self, path: &Path) -> Result<Survey, Failure> {
        self.judge(vec![discover_file(path)], Vec::new(), false, |_, _| {})
    }

    /// What a file says of itself, even where a host here would refuse it.
    pub fn inspect(&self, path: &Path) -> Result<Inspection, Failure> {
        let mut survey = self.file(path)?;
        if let Some(inspection) = survey.inspections.pop() {
            return Ok(inspection);
        }
        let refused = survey.refused.pop();
        if let Some(Embedded { facts, manifest, .. }) = self.read_anyway(path) {
            return Ok(Inspection {
                path: printable(path),
                size: size(path),
                hash: None,
                state: None,
                generation: None,
                calls: 0,
                generations: Vec::new(),
                results: None,
                pinned: Vec::new(),
                refused: refused.as_ref().map(RefusedLine::from),
                beside: manifest_beside(path, &manifest.id).map(|path| printable(&path)),
                facts,
                manifest,
            });
        }
        match refused {
            Some(refusal) => Err(refusal.error.into()),
            // Not reached: a file is read or refused.
            None => Err(unknown(&printable(path), &Survey::default())),
        }
    }

    /// The manifest of a library for another machine, or in an unsafe place.
    fn read_anyway(&self, path: &Path) -> Option<Embedded> {
        let metadata = fs::metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() > self.options.max_size {
            return None;
        }
        manifest_in(fs::read(path).ok()?.as_slice()).ok()
    }

    fn judge(
        &self,
        candidates: Vec<Candidate>,
        problems: Vec<DiscoverError>,
        together: bool,
        report: impl Fn(usize, usize),
    ) -> Result<Survey, Failure> {
        let cache = default_cache_dir().ok_or(BuildError::NoHome)?;
        let copies = cache.join("check");
        let workspace = Workspace::new(&copies)
            .map_err(|source| BuildError::Cache { path: copies.clone(), source })?;
        let verdicts = Verdicts::in_cache(&cache).of_host(&self.name);

        let mut survey = Survey::default();
        for problem in problems {
            let path = problem.path().to_owned();
            survey.refused.push(Refusal::new(path, None, problem.into()));
        }
        let mut verified = Vec::new();
        let total = candidates.len();
        for (done, candidate) in candidates.into_iter().enumerate() {
            report(done, total);
            match verify(candidate, &workspace, &self.options) {
                Ok(good) => {
                    survey.inspections.push(inspection(&good));
                    verified.push(good);
                }
                Err(error) => {
                    if !self.extensions.is_empty() {
                        let embedded = self.read_anyway(error.path());
                        survey.refused_manifests.extend(embedded.map(|it| it.manifest));
                    }
                    survey.refused.push(Refusal::from(error));
                }
            }
        }
        let plan = self.plan(&verified, &mut survey);
        let by_others = |error: &ResolveError| {
            matches!(error.reason(), Some(Reason::Dependency(_) | Reason::Need(_)))
        };
        // What one file lacks that is judged by itself may well be there where it goes.
        let was_told = |error: &ResolveError| matches!(error.reason(), Some(Reason::Failed { .. }));
        let held_back = plan.held_back().into_iter().filter(|error| !was_told(error));
        for error in held_back.filter(|it| together || !by_others(it)) {
            let plugin = Some((error.id().clone(), error.version().clone()));
            survey.refuse(Refusal::new(error.path().to_owned(), plugin, error.into()));
        }
        // As a host does: what it chose and cannot load has no substitute.
        let runs = |one: &&Verified| plan.run().any(|offer| offer.path == one.path());
        for chosen in verified.iter().filter(runs) {
            if let Some(Verdict::Quarantined(entry)) = verdicts.get(&chosen.hash()) {
                let plugin = (chosen.manifest().id.clone(), chosen.manifest().version.clone());
                let error = ProbeError::StillQuarantined(Box::new(entry));
                survey.refuse(Refusal::new(chosen.path().to_owned(), Some(plugin), error.into()));
            }
        }
        if together {
            survey.outside = plan.outside().iter().map(|it| printable(it.path())).collect();
        }
        survey.plan = plan;
        survey.refused.sort_by(|a, b| a.path.cmp(&b.path));
        survey.inspections.sort_by(|a, b| a.manifest.id.cmp(&b.manifest.id));
        Ok(survey)
    }
}

impl Surveyor {
    /// Decides, as a host does: what is wrongly configured takes those with it that need it,
    /// and leaves its tables of the host's configuration to others.
    fn plan(&self, verified: &[Verified], survey: &mut Survey) -> Plan {
        let mut policy = self.policy.clone();
        loop {
            let plan = resolve(verified, &survey.refused, &policy);
            survey.absent_secrets.clear();
            let extensions = self.extensions.clone().as_decided(&plan);
            let mut wrong = Vec::new();
            for offer in plan.run() {
                let given = config_for(&self.configurations, &offer.manifest);
                let others = verified.iter().map(Verified::manifest);
                let checked =
                    check_config(&offer.manifest, given, others, &extensions, &self.secrets);
                // What is in the environment of this process need not be in the host's.
                let Err(error) = checked else { continue };
                let is_elsewhere = error.unsettled().is_some_and(|unsettled| {
                    unsettled.problems().iter().all(|problem| problem.code() == "PB1504")
                });
                if is_elsewhere {
                    survey.absent_secrets.push(absent(&offer.name(), &error));
                    continue;
                }
                wrong.push((offer, error));
            }
            // Those first that are wrong in themselves: who lacks a table may have it then.
            if wrong.iter().any(|(_, error)| !lacks_a_table(error)) {
                wrong.retain(|(_, error)| !lacks_a_table(error));
            }
            let all_is_well = wrong.is_empty();
            for (offer, error) in wrong {
                let why = format!("{}: {error}", error.code());
                let why = why.lines().next().unwrap_or_default().to_owned();
                let line = policy.line_of(&offer.manifest.id, &offer.manifest.version);
                policy.failed.insert((offer.manifest.id.clone(), line), why);
                let plugin = Some((offer.manifest.id.clone(), offer.manifest.version.clone()));
                survey.refuse(Refusal::new(offer.path.clone(), plugin, error.into()));
            }
            if all_is_well {
                return plan;
            }
        }
    }
}

impl Survey {
    /// Whether what the config file has for plugins is what those of them take that have the
    /// tables: of `serving`, of those that would run, of those that are refused for their
    /// configuration, and of the rest, whose tables are known, too, the first by id in its
    /// newest version.
    pub fn check_tables(
        &self,
        settings: &Settings,
        serving: &BTreeSet<PluginId>,
    ) -> Result<(), Failure> {
        if settings.tables().is_empty() {
            return Ok(());
        }
        let runs: BTreeSet<String> = self.plan.run().map(|offer| printable(&offer.path)).collect();
        let rank = |seen: &Inspection| match &seen.refused {
            _ if serving.contains(&seen.manifest.id) => 0,
            _ if runs.contains(&seen.path) => 1,
            Some(refused) if refused.code.starts_with("PB15") => 2,
            _ => 3,
        };
        let good = self.inspections.iter().map(|seen| (rank(seen), &seen.manifest));
        let refused = self.refused_manifests.iter().map(|manifest| (3, manifest));
        let mut all: Vec<_> = good.chain(refused).collect();
        all.sort_by(|(one, a), (two, b)| {
            one.cmp(two).then_with(|| a.id.cmp(&b.id)).then_with(|| b.version.cmp(&a.version))
        });
        settings.check_tables(&all.into_iter().map(|(_, manifest)| manifest).collect::<Vec<_>>())
    }

    /// What there is: all that could be read, also where it is refused.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        let seen = self.inspections.iter().map(|seen| &seen.manifest);
        seen.chain(&self.refused_manifests).for_each(|manifest| names.add(manifest));
        let refused = self.refused.iter().filter_map(|refusal| refusal.plugin.as_ref());
        refused.for_each(|(id, _)| names.add_plugin(id));
        names
    }

    fn refuse(&mut self, refusal: Refusal) {
        let path = printable(&refusal.path);
        if let Some(inspection) = self.inspections.iter_mut().find(|seen| seen.path == path) {
            inspection.refused = Some((&refusal).into());
        }
        self.refused.push(refusal);
    }

    fn refused_line(&self, refusal: &Refusal) -> RefusedLine {
        let path = printable(&refusal.path);
        let seen = self.inspections.iter().find(|seen| seen.path == path);
        let manifest: Option<&Manifest> = seen.map(|seen| &seen.manifest);
        RefusedLine::from(refusal).told_by(manifest)
    }

    pub fn ids(&self) -> Vec<PluginId> {
        let mut ids: Vec<_> =
            self.inspections.iter().map(|seen| seen.manifest.id.clone()).collect();
        ids.dedup();
        ids
    }

    /// Adds what another survey found.
    pub fn extend(&mut self, other: Self) {
        self.absent_secrets.extend(other.absent_secrets);
        self.inspections.extend(other.inspections);
        self.refused.extend(other.refused);
    }

    /// Those that nothing was said against, and that a stack does not leave out.
    pub fn would_run(&self) -> impl Iterator<Item = &Inspection> {
        let seen = self.inspections.iter().filter(|seen| seen.refused.is_none());
        seen.filter(|seen| !self.outside.contains(&seen.path))
    }

    pub fn overview(&self, folders: &[PathBuf]) -> Overview {
        Overview {
            host: None,
            folders: folders.iter().map(|folder| printable(folder)).collect(),
            plugins: self.would_run().map(line).collect(),
            refused: self.refused.iter().map(|it| self.refused_line(it)).collect(),
            pinned: Vec::new(),
            notices: [&self.notices[..], &self.absent_secrets].concat(),
        }
    }
}

/// Whether a plugin is well, and another one has a table that it registers.
fn lacks_a_table(error: &ConfigError) -> bool {
    matches!(error.extension(), Some(ExtensionError::Taken { .. }))
}

/// That no file in the folders gives this id, and what there is instead; or that a stack
/// leaves it out.
pub fn unknown(plugin: &str, survey: &Survey) -> Failure {
    let mut outside = survey.plan.outside().into_iter();
    if let Some(error) = outside.find(|error| error.id().as_str() == plugin) {
        return error.into();
    }
    let error = CallError::UnknownPlugin { plugin: plugin.to_owned(), known: survey.ids() };
    let missing: Vec<_> = survey
        .refused
        .iter()
        .filter(|refusal| refusal.error.code().starts_with("PB01"))
        .map(|refusal| format!("{} ({})", refusal.error, refusal.error.hint()))
        .collect();
    let unread = survey.refused.iter().filter(|refusal| refusal.plugin.is_none()).count();
    let mut failure = Failure::from(error);
    if !missing.is_empty() {
        failure.help = missing.join("; ");
    } else if unread > 0 {
        failure.help.push_str(&format!(
            "; it may be among {unread} that were refused: host-app list --refused"
        ));
    }
    failure
}

/// That a plan knows nothing of this id.
pub fn unknown_in_plan(plugin: &str, plan: &PlanView) -> Failure {
    let mut known: Vec<PluginId> = plan
        .run
        .iter()
        .map(|line| line.id.as_str())
        .chain(plan.not_run.iter().filter_map(|line| line.id.as_deref()))
        .filter_map(|id| id.parse().ok())
        .collect();
    known.sort();
    known.dedup();
    Failure::from(CallError::UnknownPlugin { plugin: plugin.to_owned(), known })
}

/// A path that was named by hand must lead to something.
pub fn there(path: &Path) -> Result<&Path, Failure> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::new(
            "PB1020",
            Exit::NotFound,
            format!("there is no file or folder {}", printable(path)),
            "see what is there: ls; plugins are listed by: host-app list",
        )),
        // Of what else is wrong with it, the loader knows more.
        _ => Ok(path),
    }
}

/// That a secret is not here, and what that means.
fn absent(name: &impl Display, error: &ConfigError) -> String {
    let said = error.to_string();
    let said: Vec<_> = said.lines().map(str::trim).collect();
    format!(
        "{name}: {}: {}; a host that does not have it either refuses the plugin; help: {}",
        error.code(),
        said.join("; "),
        error.hint()
    )
}

fn inspection(verified: &Verified) -> Inspection {
    Inspection {
        path: printable(verified.path()),
        size: size(verified.path()),
        hash: Some(verified.hash().to_hex().to_string()),
        state: None,
        generation: None,
        calls: 0,
        generations: Vec::new(),
        results: None,
        pinned: Vec::new(),
        refused: None,
        beside: manifest_beside(verified.path(), &verified.manifest().id)
            .map(|path| printable(&path)),
        facts: verified.facts().clone(),
        manifest: verified.manifest().clone(),
    }
}

fn line(seen: &Inspection) -> PluginLine {
    PluginLine {
        id: seen.manifest.id.to_string(),
        name: seen.manifest.id.to_string(),
        version: seen.manifest.version.to_string(),
        state: "verified".into(),
        generation: None,
        calls: 0,
        generations: Vec::new(),
        results: None,
        pinned: Vec::new(),
        path: seen.path.clone(),
        hash: seen.hash.clone().unwrap_or_default(),
        description: seen.manifest.description.clone(),
        kinds: seen.manifest.kinds.clone(),
        capabilities: seen.manifest.capabilities.clone(),
    }
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}
