//! Errors on their way across: to a fault on the side that was called, and back
//! to an error on the side that called.

use std::panic::Location;

use abi_stable::std_types::{RNone, ROption, RSome, RString, RVec};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::abi::{Fault, FaultBox, FaultKind, Place};
use crate::error::{Blame, Inner};

/// What `Fault::more` holds.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct More {
    #[serde(skip_serializing_if = "String::is_empty")]
    blame: String,
    /// That a plugin further down panicked, when this one only hands it on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    panicked: bool,
}

impl Error {
    /// The error as it crosses.
    ///
    /// One that came from another plugin keeps its place there, and is no longer
    /// of that plugin's kind: who hands on a panic has not panicked.
    pub fn to_fault(&self) -> Fault {
        let Inner { kind, blame, code, message, causes, place, origin, panicked, .. } =
            self.inner();
        let place = origin.clone().unwrap_or_else(|| Place {
            file: place.file().into(),
            line: place.line(),
            column: place.column(),
        });
        Fault {
            kind: *kind,
            code: code.as_str().into(),
            message: message.as_str().into(),
            causes: causes.iter().map(|cause| cause.as_str().into()).collect(),
            place: RSome(place),
            frames: RVec::new(),
            more: more(*blame, *panicked),
        }
    }
}

fn more(blame: Option<Blame>, panicked: bool) -> RString {
    if blame.is_none() && !panicked {
        return RString::new();
    }
    let blame = blame.map(|blame| blame.as_str().to_owned()).unwrap_or_default();
    serde_json::to_string(&More { blame, panicked }).unwrap_or_default().into()
}

/// Copies all of it, so that nothing of the other library stays.
impl From<&Fault> for Error {
    #[track_caller]
    fn from(fault: &Fault) -> Self {
        let more: More = serde_json::from_str(&fault.more).unwrap_or_default();
        let copied = |text: &RString| text.as_str().to_owned();
        let origin = match &fault.place {
            ROption::RSome(Place { file, line, column }) => {
                Some(Place { file: file.as_str().into(), line: *line, column: *column })
            }
            RNone => None,
        };
        Self::from_inner(Inner {
            kind: FaultKind::ERROR,
            blame: Some(
                Blame::from_word(&more.blame).unwrap_or_else(|| Blame::of_kind(fault.kind)),
            ),
            code: copied(&fault.code),
            message: copied(&fault.message),
            causes: fault.causes.iter().map(copied).collect(),
            place: Location::caller(),
            origin,
            panicked: more.panicked || fault.kind == FaultKind::PANIC,
            frames: fault.frames.to_vec(),
        })
    }
}

impl From<Fault> for Error {
    #[track_caller]
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}

impl From<FaultBox> for Error {
    #[track_caller]
    #[cold]
    #[inline(never)]
    fn from(fault: FaultBox) -> Self {
        Self::from(&*fault)
    }
}
