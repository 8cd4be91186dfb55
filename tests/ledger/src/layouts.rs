//! Types by the layouts that abi_stable's derives make of them, and that the loader
//! compares before it uses any.

use std::collections::BTreeMap;

use abi_stable::std_types::UTypeId;
use abi_stable::type_layout::{TLData, TLField, TLFunction, TypeLayout};

use crate::ledger::{Entry, Kind, Part};
use crate::names::{fields, name, of_trait};

/// Before the names of abi_stable's own types.
pub const FOREIGN: &str = "abi_stable::";

/// What has no bytes, or whose words are those of its parts.
const WITHOUT_ENTRY: [&str; 6] = [
    "PhantomData",
    "PrefixRef",
    "OpaqueField",
    "UnsafeIgnoredType",
    "AFunctionPointer",
    "Constructor",
];

/// All types that are reachable from these, by name.
pub fn entries(from: &[&'static TypeLayout]) -> BTreeMap<String, Entry> {
    let (mut seen, mut found) = (Vec::new(), BTreeMap::new());
    for layout in from {
        walk(layout, &mut seen, &mut found);
    }
    found
}

fn walk(layout: &'static TypeLayout, seen: &mut Vec<UTypeId>, found: &mut BTreeMap<String, Entry>) {
    let id = layout.get_utypeid();
    if seen.contains(&id) {
        return;
    }
    seen.push(id);
    if let Some(entry) = entry(layout) {
        let own = name(layout);
        let mut own = match layout.package().as_str() {
            "abi_stable" => format!("{FOREIGN}{own}"),
            _ => own,
        };
        // Two types of one name are both told.
        while found.get(&own).is_some_and(|other| *other != entry) {
            own.push('\'');
        }
        found.insert(own, entry);
    }
    for inside in layout.shared_vars().type_layouts() {
        walk(inside(), seen, found);
    }
}

fn entry(layout: &'static TypeLayout) -> Option<Entry> {
    let name = layout.name();
    let marker = WITHOUT_ENTRY.contains(&name) || name.ends_with("_Interface");
    if marker || layout.package().as_str() == "std" {
        return None;
    }
    let (kind, always, parts) = match layout.data() {
        TLData::Primitive(_) => return None,
        TLData::Opaque => (Kind::Opaque, None, Vec::new()),
        TLData::Struct { .. } => (Kind::Struct, None, placed(layout)),
        TLData::Union { .. } => (Kind::Union, None, placed(layout)),
        TLData::Enum(one) => {
            let mut fields = one.fields.iter();
            let variants = one.variant_names_iter().zip(one.field_count.iter());
            let parts = variants.map(|(name, count)| {
                let of: Vec<_> = fields.by_ref().take(usize::from(*count)).map(of).collect();
                Part { name: name.to_owned(), of: of.join(", "), at: None }
            });
            (Kind::Enum, None, parts.collect())
        }
        TLData::PrefixType(prefix) => {
            let part = |field: TLField| Part { name: plain(&field), of: of(field), at: None };
            let kind = if of_trait(layout).is_some() { Kind::Object } else { Kind::Prefix };
            let always = usize::from(prefix.first_suffix_field);
            (kind, Some(always), prefix.fields.iter().map(part).collect())
        }
    };
    let grows = matches!(kind, Kind::Prefix | Kind::Object);
    let bytes = (!grows).then(|| (layout.size(), layout.alignment()));
    Some(Entry { kind, layout: bytes, always, parts })
}

/// The fields, where C puts them.
fn placed(layout: &'static TypeLayout) -> Vec<Part> {
    let mut end: usize = 0;
    let union = matches!(layout.data(), TLData::Union { .. });
    let part = |field: TLField| {
        let (size, align) = (field.layout().size(), field.layout().alignment());
        let at = if union { 0 } else { end.next_multiple_of(align) };
        end = at + size;
        Part { name: plain(&field), of: of(field), at: Some(at) }
    };
    let parts: Vec<_> = fields(layout).into_iter().map(part).collect();
    let whole = end.next_multiple_of(layout.alignment());
    assert!(union || whole == layout.size(), "{} is not laid out as C does it", layout.name());
    parts
}

/// A field's name; its number in a tuple.
fn plain(field: &TLField) -> String {
    field.name().trim_start_matches("field_").to_owned()
}

/// A field's type.
fn of(field: TLField) -> String {
    let mut functions = field.function_range().iter().map(function);
    let lifetimes = lifetimes(field.lifetime_indices().as_slice());
    match field.layout().name() {
        "Option" => match functions.next() {
            Some(function) => format!("Option<{function}>"),
            None => name(field.layout()),
        },
        "AFunctionPointer" => functions.next().unwrap_or_default(),
        _ if field.is_function() => functions.next().unwrap_or_default(),
        _ => name(field.layout()) + &lifetimes,
    }
}

fn function(function: TLFunction) -> String {
    let arguments: Vec<_> =
        function.param_type_layouts.iter().map(|layout| name(layout())).collect();
    let before = if function.fn_qualifs.is_unsafe() { "unsafe " } else { "" };
    let result = function.return_type_layout().map(|layout| name(layout()));
    let after = result.map(|name| format!(" -> {name}")).filter(|text| text != " -> ()");
    format!(
        "{before}extern \"C\" fn({}){}{}",
        arguments.join(", "),
        after.unwrap_or_default(),
        lifetimes(function.paramret_lifetime_indices.as_slice())
    )
}

/// What is borrowed, in the order of the text. abi_stable compares that, too.
fn lifetimes(of: &[impl std::fmt::Debug]) -> String {
    let words = format!("{of:?}");
    let words: Vec<_> = words
        .split(['[', ']', ',', ' '])
        .filter(|word| !word.is_empty() && *word != "NONE")
        .map(|word| match word {
            "ANONYMOUS" => "'_",
            "STATIC" => "'static",
            "Param(0)" => "'a",
            "Param(1)" => "'b",
            _ => "another",
        })
        .collect();
    if words.is_empty() { String::new() } else { format!(" borrowing {}", words.join(" ")) }
}
