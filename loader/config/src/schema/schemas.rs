//! All base schemas, and schemas that are made of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check;
use super::defaults;
use super::error::SchemaError;
use super::graph::Graph;
use super::join::Join;
use super::loosened;
use super::opened;
use super::owner::{BaseId, Origin, Owner};
use super::reference::Reference;
use super::source::Source;
use super::sources::Sources;
use super::{Declared, Schema};
use crate::shown::short;

/// How long a chain of bases that extend each other may be.
const LONGEST: usize = 32;

/// The base schemas of a host: of its components and of its plugins.
#[derive(Debug, Default)]
pub struct Schemas {
    bases: BTreeMap<BaseId, Source>,
}

impl Schemas {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a base schema that others may extend. The same owner may give it anew,
    /// which changes nothing for schemas that were made before. What it extends need
    /// not be there yet; that is looked at where somebody uses it.
    ///
    /// # Errors
    ///
    /// [`SchemaError::Taken`] if another owner has a base of this id, and those that
    /// say what is wrong with the schema by itself.
    pub fn add(
        &mut self,
        id: BaseId,
        owner: Owner,
        declared: &Declared,
    ) -> Result<(), SchemaError> {
        if let Some(known) = self.bases.get(&id).filter(|known| known.origin.owner != owner) {
            let first = known.origin.owner.clone();
            return Err(SchemaError::Taken { id, owner: first, other: owner });
        }
        let origin = Origin { owner, base: Some(id.clone()) };
        let source = Source::check(origin, &declared.schema, &declared.extends)?;
        self.bases.insert(id, source);
        Ok(())
    }

    /// Takes out all base schemas of one owner.
    pub fn remove(&mut self, owner: &Owner) {
        self.bases.retain(|_, source| source.origin.owner != *owner);
    }

    /// The bases that there are, with their owners.
    pub fn bases(&self) -> impl Iterator<Item = (&BaseId, &Owner)> {
        self.bases.iter().map(|(id, source)| (id, &source.origin.owner))
    }

    /// A base schema by itself, with all that it extends; none if there is no such base.
    ///
    /// # Errors
    ///
    /// As [`Schemas::compile`].
    pub fn base(&self, id: &BaseId) -> Option<Result<Schema, SchemaError>> {
        self.bases.get(id).map(|source| self.finish(source))
    }

    /// Makes the schema of a configuration: an owner's own with all that it extends.
    ///
    /// # Errors
    ///
    /// Any [`SchemaError`] but `Taken`; of a base that is wrong, with its owner's name.
    pub fn compile(&self, owner: Owner, declared: &Declared) -> Result<Schema, SchemaError> {
        let origin = Origin { owner, base: None };
        self.finish(&Source::check(origin, &declared.schema, &declared.extends)?)
    }

    fn finish(&self, own: &Source) -> Result<Schema, SchemaError> {
        let too_costly = |what: String| SchemaError::TooCostly { origin: own.origin.clone(), what };
        let line = self.line(own)?;
        let involved = self.involved(own, &line)?;

        let mut sources = BTreeMap::new();
        let place_of = |reference: &Reference| match &reference.base {
            // By its id alone a base means all that it is, with what it extends.
            Some(id) if reference.pointer.is_empty() && self.extends(id) => {
                format!("/$defs/base.{id}")
            }
            Some(id) => format!("/$defs/source.{id}"),
            None => String::new(),
        };
        for (id, base) in &involved {
            let name = format!("source.{id}");
            sources.insert(name.clone(), base.placed(&format!("/$defs/{name}"), place_of));
        }
        sources.insert("source".into(), own.placed("/$defs/source", place_of));

        let mut extends = HashMap::new();
        for (id, base) in &involved {
            extends.insert(format!("source.{id}"), names(&self.line(base)?));
        }
        extends.insert("source".into(), names(&line));
        let mut sources = Sources::new(sources, extends);
        for id in involved.keys().filter(|id| self.extends(id)) {
            sources.define(&format!("base.{id}"), &format!("source.{id}"));
        }
        let entangled = |_| too_costly("too many tables are described by several schemas".into());
        let document = Join::new(sources).finish("source").map_err(entangled)?;

        let roots: Vec<_> = involved
            .keys()
            .map(|id| format!("/$defs/source.{id}"))
            .chain(["/$defs/source".to_owned()])
            .collect();
        let mut graph = Graph::new(document, &roots).map_err(too_costly)?;
        self.look_for_loosened(&graph, own, &line, &involved)?;
        let validator = check::validator(graph.document()).map_err(|message| {
            // All that is known to stand against it was looked for before.
            SchemaError::Invalid {
                origin: own.origin.clone(),
                place: String::new(),
                rule: String::new(),
                message: short(&message, 200),
            }
        })?;
        let set = graph.definite(graph.top());
        defaults::look(own, &mut graph, &set)?;
        let origin = Origin::clone(&own.origin);
        Ok(Schema { origin, graph, set, validator })
    }

    fn extends(&self, id: &BaseId) -> bool {
        self.bases.get(id).is_some_and(|base| !base.extends.is_empty())
    }

    /// All bases that a schema extends, also through others: each after those that
    /// extend it, and otherwise in the order in which they are named.
    fn line(&self, own: &Source) -> Result<Vec<(&BaseId, &Source)>, SchemaError> {
        let mut line = Vec::new();
        self.add_bases(own, own, &mut Vec::new(), &mut BTreeSet::new(), &mut line)?;
        line.reverse();
        Ok(line)
    }

    fn add_bases<'a>(
        &'a self,
        own: &Source,
        source: &Source,
        chain: &mut Vec<BaseId>,
        done: &mut BTreeSet<BaseId>,
        line: &mut Vec<(&'a BaseId, &'a Source)>,
    ) -> Result<(), SchemaError> {
        if chain.len() > LONGEST {
            let what = format!("more than {LONGEST} bases extend each other in a row");
            return Err(SchemaError::TooCostly { origin: own.origin.clone(), what });
        }
        for id in source.extends.iter().rev() {
            let of_itself = own.origin.base.as_ref() == Some(id);
            if of_itself || chain.contains(id) {
                let from = chain.iter().position(|other| other == id).unwrap_or(0);
                let mut circle = chain.get(from..).unwrap_or_default().to_vec();
                if of_itself {
                    circle.insert(0, id.clone());
                }
                circle.push(id.clone());
                return Err(SchemaError::Circular { origin: own.origin.clone(), chain: circle });
            }
            if done.contains(id) {
                continue;
            }
            let Some((id, base)) = self.bases.get_key_value(id) else {
                return Err(self.missing(own, id, chain));
            };
            chain.push(id.clone());
            self.add_bases(own, base, chain, done, line)?;
            chain.pop();
            done.insert(id.clone());
            line.push((id, base));
        }
        Ok(())
    }

    /// All bases that a schema extends or refers to, also through others.
    fn involved<'a>(
        &'a self,
        own: &'a Source,
        line: &[(&'a BaseId, &'a Source)],
    ) -> Result<BTreeMap<&'a BaseId, &'a Source>, SchemaError> {
        let mut involved: BTreeMap<&BaseId, &Source> = line.iter().copied().collect();
        let mut waiting: Vec<&Source> =
            line.iter().map(|(_, source)| *source).chain([own]).collect();
        while let Some(source) = waiting.pop() {
            for id in source.referred() {
                let Some((id, base)) = self.bases.get_key_value(id) else {
                    return Err(self.missing(source, id, &[]));
                };
                source.check_references_to(id, base)?;
                if involved.insert(id, base).is_none() {
                    waiting.push(base);
                    for (id, base) in self.line(base)? {
                        if involved.insert(id, base).is_none() {
                            waiting.push(base);
                        }
                    }
                }
            }
        }
        Ok(involved)
    }

    fn missing(&self, own: &Source, id: &BaseId, chain: &[BaseId]) -> SchemaError {
        SchemaError::MissingBase {
            origin: own.origin.clone(),
            missing: id.to_string(),
            chain: chain.iter().rev().cloned().collect(),
            known: self.bases.keys().cloned().collect(),
        }
    }

    fn look_for_loosened(
        &self,
        graph: &Graph,
        own: &Source,
        line: &[(&BaseId, &Source)],
        involved: &BTreeMap<&BaseId, &Source>,
    ) -> Result<(), SchemaError> {
        let look = |source: &Source, name: &str, line: &[(&BaseId, &Source)]| {
            for (id, base) in line {
                let places = (graph.at(name), graph.at(&format!("/$defs/source.{id}")));
                let (Some(place), Some(base_place)) = places else { continue };
                let inherited = self.line(base)?;
                let names = inherited.iter().map(|(id, _)| format!("/$defs/source.{id}"));
                let line: Vec<_> =
                    names.filter_map(|name| graph.at(&name)).chain([base_place]).collect();
                let looser = loosened::look(graph, place, base_place)
                    .or_else(|| opened::look(graph, place, base_place, &line));
                if let Some(looser) = looser {
                    return Err(SchemaError::Loosened {
                        origin: source.origin.clone(),
                        property: looser.path.to_string(),
                        base: base.origin.clone(),
                        base_rule: looser.base,
                        own_rule: looser.own,
                    });
                }
            }
            Ok(())
        };
        // A base that loosens another one is its own owner's to mend.
        for (id, base) in involved {
            look(base, &format!("/$defs/source.{id}"), &self.line(base)?)?;
        }
        look(own, "/$defs/source", line)
    }
}

/// The bases' names in the joined document.
fn names(line: &[(&BaseId, &Source)]) -> Vec<String> {
    line.iter().map(|(id, _)| format!("source.{id}")).collect()
}
