//! One stack file as it is written, in all spellings.

use std::collections::BTreeMap;
use std::fmt;

use plugbay_manifest::{PluginId, Selector};
use plugbay_resolve::{KindRule, Profile};
use semver::VersionReq;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::member::{Configuration, Dependency, MemberName};
use crate::overlay::lay_over;

/// How many one conflict names at most: each pair of them counts.
const MOST_APART: usize = 32;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: Option<MemberName>,
    /// The same as `name`.
    pub(crate) composition_name: Option<MemberName>,
    pub(crate) description: Option<String>,
    pub(crate) extends: Bases,
    pub(crate) plugins: Plugins,
    pub(crate) components: Vec<Component>,
    pub(crate) conflicts: Vec<Apart>,
    pub(crate) precedence: Precedence,
    /// The same as `precedence`.
    pub(crate) plugin_precedence: Precedence,
    pub(crate) kinds: BTreeMap<String, KindRule>,
    pub(crate) profile: Option<Profile>,
}

/// Per kind, who goes before whom.
pub(crate) type Precedence = BTreeMap<String, Vec<MemberName>>;

/// The files that one extends.
#[derive(Clone, Debug, Default)]
pub(crate) enum Bases {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

/// What is said of plugins, with the place below `/plugins`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plugins(pub(crate) Vec<(String, Entry)>);

/// What is said of one plugin, or of any of a kind. What is not said is none.
#[derive(Debug, Default, Clone)]
pub(crate) struct Entry {
    /// None of any of a kind.
    pub(crate) name: Option<MemberName>,
    pub(crate) version: Option<VersionReq>,
    pub(crate) kind: Option<String>,
    pub(crate) optional: Option<bool>,
    pub(crate) enabled: Option<bool>,
    pub(crate) config: Option<Configuration>,
    pub(crate) dependencies: Option<Vec<Dependency>>,
    pub(crate) component: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Component(pub(crate) Entry);

/// Those that do not run beside each other: two or more.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<MemberName>")]
pub(crate) struct Apart(pub(crate) Vec<MemberName>);

impl TryFrom<Vec<MemberName>> for Apart {
    type Error = String;

    fn try_from(names: Vec<MemberName>) -> Result<Self, String> {
        if names.len() > MOST_APART {
            return Err(format!("more than {MOST_APART} plugins are in this conflict"));
        }
        let mut named = names.iter().enumerate();
        let twice = named.find_map(|(at, name)| {
            let earlier = names.iter().take(at).find(|it| it.in_common(name).is_some())?;
            Some((name, earlier))
        });
        match (names.len(), twice) {
            (0 | 1, _) => Err("a conflict is between two plugins or more: [\"a\", \"b\"]".into()),
            (_, Some((name, earlier))) => {
                let by = earlier.spelled_beside(name);
                Err(format!("`{name}` is in conflict with itself here{by}"))
            }
            _ => Ok(Self(names)),
        }
    }
}

/// A plugin in a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default, alias = "name")]
    id: Option<MemberName>,
    #[serde(default)]
    version: Option<VersionReq>,
    #[serde(default, alias = "type")]
    kind: Option<Word>,
    #[serde(default)]
    optional: Option<bool>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    config: Option<Configuration>,
    #[serde(default)]
    dependencies: Option<Vec<Needed>>,
}

/// A plugin in a table, whose key is its id.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keyed {
    version: Option<VersionReq>,
    #[serde(alias = "type")]
    kind: Option<Word>,
    optional: Option<bool>,
    enabled: Option<bool>,
    config: Option<Configuration>,
    dependencies: Option<Vec<Needed>>,
}

/// `sql`, or `sql@^2`.
#[derive(Deserialize)]
#[serde(from = "Selector")]
struct Needed(Dependency);

impl From<Selector> for Needed {
    fn from(selector: Selector) -> Self {
        Self(selector.into())
    }
}

/// A kind's name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Word(String);

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        is_kind(&text)
            .then_some(Self(text))
            .ok_or_else(|| "a kind is 1 to 64 letters, digits, `-`, `_` and `.`".to_owned())
    }
}

fn is_kind(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(good)
}

impl Entry {
    /// Lays a nearer one over it.
    pub(crate) fn lay(&mut self, near: Self) {
        let Self { name, version, kind, optional, enabled, config, dependencies, component } = near;
        self.name = name;
        self.version = version.or(self.version.take());
        self.kind = kind.or(self.kind.take());
        self.optional = optional.or(self.optional);
        self.enabled = enabled.or(self.enabled);
        if let Some(config) = config {
            lay_over(&mut self.config.get_or_insert_default().0, &config.0);
        }
        self.dependencies = dependencies.or(self.dependencies.take());
        self.component &= component;
    }

    /// `sql`, `sql@^2`, `sql-plugin (data_source)`, `sql@^2 (data_source)`. Of a component
    /// any name.
    fn of_text(text: &str, component: bool) -> Result<Self, String> {
        let expected = || {
            "expected a plugin's id, perhaps with versions and with its kind: \"sql\", \
             \"sql@^2\", \"sql (data_source)\""
                .to_owned()
        };
        let (text, kind) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((text, kind)) => (text.trim_end(), Some(Word::try_from(kind.trim().to_owned())?)),
            None => (text, None),
        };
        let (name, version) = match text.split_once('@') {
            Some((name, range)) => (name, Some(range.parse().map_err(|_| expected())?)),
            None => (text, None),
        };
        let name: MemberName = name.parse().map_err(|_| expected())?;
        if name.ids().is_empty() && !component {
            return Err(expected());
        }
        let kind = kind.map(|kind| kind.0);
        Ok(Self { name: Some(name), version, kind, component, ..Self::default() })
    }

    fn of_listed(listed: Listed, component: bool) -> Result<Self, String> {
        let Listed { id, version, kind, optional, enabled, config, dependencies } = listed;
        match &id {
            Some(name) => is_plugin(name, component)?,
            None if kind.is_none() || component => {
                return Err("expected an `id` (or `name`)".to_owned()
                    + if component { "" } else { ", or a `kind` of which any will do" });
            }
            None => {
                let given = [
                    ("version", version.is_some()),
                    ("config", config.is_some()),
                    ("dependencies", dependencies.is_some()),
                ];
                if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
                    return Err(format!(
                        "`{key}` is for one plugin, and this is any of a kind: give its `id`, too"
                    ));
                }
            }
        }
        let keyed = Keyed { version, kind, optional, enabled, config, dependencies };
        Ok(Self { name: id, component, ..Self::of_keyed(keyed) })
    }

    fn of_keyed(keyed: Keyed) -> Self {
        let Keyed { version, kind, optional, enabled, config, dependencies } = keyed;
        let dependencies = dependencies.map(|all| all.into_iter().map(|it| it.0).collect());
        let kind = kind.map(|kind| kind.0);
        Self {
            name: None,
            version,
            kind,
            optional,
            enabled,
            config,
            dependencies,
            component: false,
        }
    }
}

/// Whether a name can be a plugin's, as it has to be, but of a component.
fn is_plugin(name: &MemberName, component: bool) -> Result<(), String> {
    match name.as_str().parse::<PluginId>() {
        Err(error) if !component => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Reads a text or a table.
struct TextOrTable {
    component: bool,
}

impl<'de> Visitor<'de> for TextOrTable {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plugin's id, or a table with its `id`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Entry, E> {
        Entry::of_text(text, self.component).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        let listed = Listed::deserialize(MapAccessDeserializer::new(map))?;
        Entry::of_listed(listed, self.component).map_err(A::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable { component: false })
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable { component: true }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Plugins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrTable)
    }
}

/// Reads a list of plugins, or a table of them by id.
struct ListOrTable;

impl<'de> Visitor<'de> for ListOrTable {
    type Value = Plugins;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of plugins, or a table of them by id")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Plugins, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element::<Entry>()? {
            entries.push((entries.len().to_string(), entry));
        }
        Ok(Plugins(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plugins, A::Error> {
        let mut entries = Vec::new();
        while let Some(id) = map.next_key::<PluginId>()? {
            // `sql:` alone, as YAML lets people write it, says nothing more.
            let keyed = map.next_value::<Option<Keyed>>()?.unwrap_or_default();
            let place = id.to_string();
            let entry = Entry { name: Some(id.into()), ..Entry::of_keyed(keyed) };
            entries.push((place, entry));
        }
        Ok(Plugins(entries))
    }
}

impl<'de> Deserialize<'de> for Bases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Bases;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file, or a list of files")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bases, E> {
                Ok(Bases::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bases, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = list.next_element()? {
                    files.push(file);
                }
                Ok(Bases::Several(files))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl Bases {
    /// The files, each with its place in the document.
    pub(crate) fn files(&self) -> Vec<(String, &str)> {
        match self {
            Self::None => Vec::new(),
            Self::One(file) => vec![("/extends".to_owned(), file)],
            Self::Several(files) => {
                let numbered = files.iter().enumerate();
                numbered.map(|(at, file)| (format!("/extends/{at}"), file.as_str())).collect()
            }
        }
    }
}
