//! What types are called. abi_stable's own words leave out what most generic types are
//! made of, so that two different ones would have one name.

use abi_stable::type_layout::{TLData, TLField, TLPrimitive, TypeLayout};

/// The name of a type, without lifetimes.
pub fn name(layout: &'static TypeLayout) -> String {
    let parameters = || layout.generics().type_params().iter().map(|one| name(one()));
    let first = || parameters().next().unwrap_or_default();
    if let TLData::Primitive(primitive) = layout.data() {
        return match primitive {
            TLPrimitive::SharedRef => format!("&{}", first()),
            TLPrimitive::MutRef => format!("&mut {}", first()),
            TLPrimitive::ConstPtr => format!("*const {}", first()),
            TLPrimitive::MutPtr => format!("*mut {}", first()),
            TLPrimitive::Array => format!("[{}] of {} bytes", first(), layout.size()),
            _ => layout.name().to_owned(),
        };
    }
    let field = |at: usize| fields(layout).get(at).map(|field| field.layout());
    let field_name = |at| field(at).map(name).unwrap_or_default();
    match layout.name() {
        // A marker says of what they are.
        "RVec" | "RBox" => {
            format!("{}<{}>", layout.name(), marked(layout).map(name).unwrap_or_default())
        }
        "RSlice" | "RRef" | "RMut" => {
            let inside = marked(layout).and_then(parameter).map(name).unwrap_or_default();
            format!("{}<{inside}>", layout.name())
        }
        "ROption" => format!("ROption<{}>", field_name(0)),
        "RResult" => format!("RResult<{}, {}>", field_name(0), field_name(1)),
        "RObject" => {
            let table = field(0).and_then(parameter).map(name).unwrap_or_default();
            format!("RObject<{table}>")
        }
        "RObjectVtable" => {
            let last = field(0).and_then(|tys| tys.generics().type_params().last().copied());
            let of = last.map(|one| name(one())).unwrap_or_default();
            format!("RObjectVtable<{}>", of.trim_end_matches("_Interface"))
        }
        // The table behind a trait object has the trait's name.
        "VTable" => of_trait(layout).unwrap_or_else(|| "VTable".to_owned()),
        "PrefixRef" => format!("{}Ref", first()),
        other => {
            let parameters: Vec<_> = parameters().collect();
            if parameters.is_empty() {
                other.to_owned()
            } else {
                format!("{other}<{}>", parameters.join(", "))
            }
        }
    }
}

/// The trait whose methods this table has.
pub fn of_trait(layout: &TypeLayout) -> Option<String> {
    let path = layout.mod_path().to_string();
    let module = path.rsplit("::").next()?;
    (layout.name() == "VTable").then(|| module.strip_suffix("_trait").map(str::to_owned))?
}

/// What stands in the marker of a generic type.
fn marked(layout: &'static TypeLayout) -> Option<&'static TypeLayout> {
    let marker = fields(layout).into_iter().find(|field| field.name() == "_marker")?;
    parameter(marker.layout())
}

fn parameter(layout: &'static TypeLayout) -> Option<&'static TypeLayout> {
    layout.generics().type_params().first().map(|one| one())
}

/// The fields, whatever kind it is.
pub fn fields(layout: &'static TypeLayout) -> Vec<TLField> {
    match layout.data() {
        TLData::Struct { fields } | TLData::Union { fields } => fields.to_vec(),
        TLData::Enum(one) => one.fields.to_vec(),
        TLData::PrefixType(prefix) => prefix.fields.to_vec(),
        TLData::Primitive(_) | TLData::Opaque => Vec::new(),
    }
}
