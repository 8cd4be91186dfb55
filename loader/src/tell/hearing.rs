use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parking_lot::Mutex;
use plugbay_interface::abi::ServiceChanged;
use plugbay_interface::abi::abi_stable::std_types::RStr;
use plugbay_interface::manifest::{ContractId, ContractVersion, Manifest, Need, Provided};

use super::Serving;
use crate::seat::Seat;

/// What one generation was told and is to be told.
#[derive(Debug, Default)]
pub(crate) struct Hearing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What there is, when all has been told: by contract, major version and plugin.
    known: BTreeMap<(ContractId, u32, Seat), Known>,
    waiting: VecDeque<News>,
    /// Whether somebody tells it, or is asked to.
    teller: Teller,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    generation: u64,
    version: ContractVersion,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Teller {
    #[default]
    None,
    Asked,
    /// Asked once more: what has kept the first one from telling may be over.
    AskedAgain,
}

/// One change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    contract: ContractId,
    version: ContractVersion,
    plugin: Seat,
    what: u8,
}

impl News {
    /// As it crosses.
    pub(super) fn as_changed(&self) -> ServiceChanged<'_> {
        let ContractVersion { major, minor } = self.version;
        ServiceChanged {
            contract: RStr::from_str(self.contract.as_str()),
            major,
            minor,
            plugin: RStr::from_str(self.plugin.as_str()),
            what: self.what,
            more: RStr::empty(),
        }
    }
}

impl Hearing {
    /// Notes what has changed `of` these plugins (of all: none given) since this was
    /// asked last, for a generation with this manifest. Whether somebody is to be found
    /// who tells it.
    pub(super) fn learn(
        &self,
        manifest: &Manifest,
        there: &BTreeMap<Seat, Serving>,
        of: Option<&BTreeSet<Seat>>,
    ) -> bool {
        let mut state = self.0.lock();
        for need in &manifest.needs {
            let offered = offered(need, there, of).filter(|(id, ..)| *id.id() != manifest.id);
            state.learn(need, offered.collect(), of);
        }
        state.call_for_a_teller(of.is_none())
    }

    /// What is to be told next. Without anything, the teller has no more to do here.
    pub(super) fn next(&self) -> Option<News> {
        let mut state = self.0.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.teller = Teller::None;
        }
        next
    }

    /// The teller found that the generation does not serve. Whether it is to look once
    /// more, as that may have changed since.
    pub(super) fn does_not_serve(&self) -> bool {
        let mut state = self.0.lock();
        let again = state.teller == Teller::AskedAgain;
        state.teller = if again { Teller::Asked } else { Teller::None };
        again
    }

    /// What waits is not told any more.
    pub(super) fn forget(&self) {
        self.0.lock().waiting.clear();
    }
}

/// The plugins that offer what is needed: the one that the host would choose first.
fn offered<'a>(
    need: &'a Need,
    there: &'a BTreeMap<Seat, Serving>,
    of: Option<&'a BTreeSet<Seat>>,
) -> impl Iterator<Item = (&'a Seat, u64, ContractVersion)> {
    let looked_at = there.iter().filter(move |(id, _)| of.is_none_or(|of| of.contains(*id)));
    let fits = |serving: &'a Serving| {
        let mut services = serving.about.manifest.services.iter();
        services.find(|provided: &&Provided| provided.satisfies(need))
    };
    let mut found: Vec<_> = looked_at
        .filter_map(|(id, serving)| Some((id, serving.generation, fits(serving)?)))
        .collect();
    found.sort_by_key(|(id, _, provided)| (Reverse(provided.precedence), *id));
    found.into_iter().map(|(id, generation, provided)| (id, generation, provided.version))
}

impl State {
    fn learn(
        &mut self,
        need: &Need,
        offered: Vec<(&Seat, u64, ContractVersion)>,
        of: Option<&BTreeSet<Seat>>,
    ) {
        let (contract, major) = (&need.id, need.version.major);
        let waiting = &mut self.waiting;
        let mut tell = |plugin: &Seat, version, what| {
            let (contract, plugin) = (contract.clone(), plugin.clone());
            waiting.push_back(News { contract, version, plugin, what });
        };
        self.known.retain(|(id, its_major, plugin), known| {
            let stays = (id, *its_major) != (contract, major)
                || of.is_some_and(|of| !of.contains(plugin))
                || offered.iter().any(|(offers, ..)| *offers == plugin);
            if !stays {
                tell(plugin, known.version, ServiceChanged::GONE);
            }
            stays
        });
        for (plugin, generation, version) in offered {
            let now = Known { generation, version };
            match self.known.insert((contract.clone(), major, plugin.clone()), now) {
                None => tell(plugin, version, ServiceChanged::APPEARED),
                Some(before) if before != now => tell(plugin, version, ServiceChanged::REPLACED),
                Some(_) => {}
            }
        }
    }

    fn call_for_a_teller(&mut self, serves_anew: bool) -> bool {
        match self.teller {
            Teller::None if !self.waiting.is_empty() => {
                self.teller = Teller::Asked;
                true
            }
            Teller::Asked if serves_anew => {
                self.teller = Teller::AskedAgain;
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use plugbay_resolve::Line;

    use super::*;

    fn need() -> Need {
        serde_json::from_str(r#"{"id": "a.b", "version": "1.1"}"#).unwrap()
    }

    /// Plugins with one letter, each with its generation.
    fn learn(state: &mut State, offered: &[(&str, u64)], of: Option<&[&str]>) {
        let seat = |id: &str| Seat::new(&id.parse().unwrap(), Line::Whole);
        let ids: Vec<Seat> = offered.iter().map(|(id, _)| seat(id)).collect();
        let version = ContractVersion { major: 1, minor: 1 };
        let offered = ids.iter().zip(offered).map(|(id, (_, number))| (id, *number, version));
        let of: Option<BTreeSet<Seat>> = of.map(|of| of.iter().map(|id| seat(id)).collect());
        state.learn(&need(), offered.collect(), of.as_ref());
    }

    fn heard(state: &mut State) -> Vec<String> {
        let words = ["", "+", "*", "-"];
        let shown = |news: News| format!("{}{}", words[usize::from(news.what)], news.plugin);
        state.waiting.drain(..).map(shown).collect()
    }

    #[test]
    fn what_changes_is_told_once_and_the_best_first() {
        let mut state = State::default();
        learn(&mut state, &[("z", 1), ("a", 2)], None);
        assert_eq!(heard(&mut state), ["+z", "+a"]);
        learn(&mut state, &[("z", 1)], Some(&["z"]));
        assert!(heard(&mut state).is_empty());
        learn(&mut state, &[("z", 3)], Some(&["z"]));
        learn(&mut state, &[], Some(&["z"]));
        learn(&mut state, &[("b", 4)], Some(&["b"]));
        assert_eq!(heard(&mut state), ["*z", "-z", "+b"]);
    }

    #[test]
    fn who_comes_back_is_told_the_difference() {
        let mut state = State::default();
        learn(&mut state, &[("a", 1), ("b", 2), ("c", 3)], None);
        heard(&mut state);
        learn(&mut state, &[("a", 1), ("b", 4), ("d", 5)], None);
        assert_eq!(heard(&mut state), ["-c", "*b", "+d"]);
    }

    #[test]
    fn other_contracts_are_known_apart() {
        let mut state = State::default();
        learn(&mut state, &[("a", 1)], None);
        let other: Need = serde_json::from_str(r#"{"id": "a.b", "version": "2.0"}"#).unwrap();
        state.learn(&other, Vec::new(), None);
        assert_eq!(heard(&mut state), ["+a"]);
    }

    #[test]
    fn there_is_one_teller_and_it_looks_again_when_the_generation_is_back() {
        let hearing = Hearing::default();
        let mut state = hearing.0.lock();
        learn(&mut state, &[("a", 1)], None);
        assert!(state.call_for_a_teller(true));
        learn(&mut state, &[("a", 2)], Some(&["a"]));
        assert!(!state.call_for_a_teller(false));
        drop(state);
        assert!(hearing.next().is_some());
        // It does not serve; it does again, before the teller has said so.
        assert!(!hearing.0.lock().call_for_a_teller(true));
        assert!(hearing.does_not_serve());
        assert!(!hearing.does_not_serve());
        // What was left waits for the next one.
        assert!(hearing.0.lock().call_for_a_teller(true));
        assert!(hearing.next().is_some() && hearing.next().is_none());
        assert!(!hearing.0.lock().call_for_a_teller(true));
    }
}
