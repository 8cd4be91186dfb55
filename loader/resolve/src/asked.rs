//! What files ask for, each looked up once: many ask for the same.

use std::collections::HashMap;

use plugbay_manifest::{ContractId, ContractVersion, PluginId};
use semver::VersionReq;

use crate::goals::Question;
use crate::offer::Offer;
use crate::range::within;

/// The numbers of the question's sets by what was asked for.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    versions: HashMap<(&'a PluginId, &'a VersionReq), usize>,
    contracts: HashMap<(&'a ContractId, ContractVersion), usize>,
}

impl<'a> Asked<'a> {
    /// The versions of a plugin in a range.
    pub(crate) fn versions(
        &mut self,
        question: &mut Question,
        offers: &[Offer],
        id: &'a PluginId,
        range: &'a VersionReq,
    ) -> usize {
        *self.versions.entry((id, range)).or_insert_with(|| {
            let files = within(range, offers, question.index.of_id(id)).collect();
            question.sets.push(files);
            question.sets.len() - 1
        })
    }

    /// The versions in a range that can run beside this file, which has the same id.
    pub(crate) fn beside(
        &mut self,
        question: &mut Question,
        offers: &[Offer],
        file: usize,
        range: &VersionReq,
    ) -> usize {
        let own = question.goal_of.get(&file);
        let of_it = question.index.of_id(&offers[file].manifest.id);
        let others = within(range, offers, of_it).filter(|it| question.goal_of.get(it) != own);
        let files = others.collect();
        question.sets.push(files);
        question.sets.len() - 1
    }

    /// Those that offer a contract in a version that will do.
    pub(crate) fn contract(
        &mut self,
        question: &mut Question,
        id: &'a ContractId,
        version: ContractVersion,
    ) -> usize {
        *self.contracts.entry((id, version)).or_insert_with(|| {
            let offering = question.index.offering(id.as_str()).iter();
            let does = offering.filter(|(_, offered)| offered.has_all_of(version));
            let mut files: Vec<usize> = does.map(|(file, _)| *file).collect();
            files.dedup();
            question.sets.push(files.into());
            question.sets.len() - 1
        })
    }
}
