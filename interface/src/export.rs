//! What `#[plugin]` builds on. Not for use by hand.

mod declared;

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RNone, ROption, RResult, RSome, RStr, RString, RVec};
use serde_json::Value;

use crate::abi::{
    Fault, FaultKind, HostBox, HowTaken, Instance, Instance_TO, InstanceBox, Offer, Root, RootRef,
    SavedState, ServiceChanged,
};
use crate::commands::read;
use crate::error::code;
use crate::given::Given;
use crate::guard::{guard, install_panic_hook};
use crate::kept::kept;
use crate::{Commands, Context, Error, Plugin, ServiceChange, Services, hooks, logging};

pub use declared::{Declared, Offered, assert_declared, assert_offered};

pub use crate::abi::{header, root_result};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use crate::hooks::{
    create_key, create_thread, delete_key, map_file, register_local, set_value,
};
/// What `#[service]` and `#[shared]` build on.
pub mod service {
    pub use crate::Error;
    pub use crate::abi::{Fault, FaultBox};
    pub use crate::crossing::borrowed::assert_lent;
    pub use crate::crossing::growing::{Encoded, Growing, decode, encode, known_variant};
    pub use crate::crossing::{Argument, Crossing, Field, Lend, Shape, Types, Variant};
    pub use crate::service::dispatch::{Arguments, dispatch, read, unknown, written};
    pub use crate::service::outcome::{Object, answer, receive};
    pub use crate::service::{
        Contract, Described, Description, Implemented, Outcome, ServiceFuture,
    };
    pub use abi_stable::std_types::{RResult, RStr, RString};
}
pub use abi_stable::library::{LibHeader, RootModuleResult};
pub use plugbay_manifest::section::{encode, encoded_len};

/// The types that cross in contracts and are not reachable from the root: for the ledger
/// that `scripts/abi-check` keeps.
pub fn contract_layouts() -> [&'static abi_stable::type_layout::TypeLayout; 5] {
    use crate::crossing::Crossing;
    use abi_stable::StableAbi;
    type Future = crate::service::ServiceFuture<'static, u64>;
    type Buffer = <crate::crossing::Buffer<u64> as Crossing>::Abi;
    type Stream = <crate::crossing::Stream<u64> as Crossing>::Abi;
    [
        crate::abi::FaultBox::LAYOUT,
        crate::service::Head::LAYOUT,
        Future::LAYOUT,
        Buffer::LAYOUT,
        Stream::LAYOUT,
    ]
}

/// A plugin type with what `#[plugin]` knows of it.
pub trait Exported: Plugin {
    /// The id from `plugin.toml`.
    const ID: &'static str;
    /// `state.version` from `plugin.toml`.
    const STATE_VERSION: u32;
}

/// The functions of `P`'s library.
pub const fn root<P: Exported>() -> RootRef {
    Functions::<P>::ROOT
}

struct Functions<P>(PhantomData<P>);

impl<P: Exported> Functions<P> {
    abi_stable::staticref!(const VALUE: WithMetadata<Root> = WithMetadata::new(Root {
        activate: activate::<P>,
        set_log_level,
        set_hooks: hooks::set,
        delete_keys: hooks::delete_keys,
        kept,
    }));
    const ROOT: RootRef = RootRef(Self::VALUE.as_prefix());
}

extern "C" fn activate<P: Exported>(host: HostBox) -> RResult<InstanceBox, Fault> {
    let outcome = guard(|| {
        install_panic_hook(host.wants_backtraces());
        let host = Arc::new(host);
        logging::connect(host.clone());
        Live::<P>::construct(&host)
    });
    if outcome.is_err() {
        logging::disconnect();
    }
    outcome
}

extern "C" fn set_log_level(level: u8) {
    logging::set_level(level);
}

/// The plugin's value with its handlers and services.
struct Live<P> {
    plugin: P,
    commands: Commands<P>,
    services: Services<P>,
}

impl<P: Exported> Live<P> {
    fn construct(host: &Arc<HostBox>) -> Result<InstanceBox, Error> {
        let Given { configuration, host_config } = Given::read(host.configuration().into())?;
        let config = read_config::<P>(&configuration)?;
        let raw: Value = serde_json::from_str(&configuration)?;
        let context = Context::new(P::ID, host.clone(), raw, host_config);
        // Last, as calls may wait from here on.
        let state = match host.hand_over() {
            RResult::ROk(RSome(saved)) => Some(read_state::<P>(&saved)?),
            RResult::ROk(RNone) => None,
            RResult::RErr(fault) => {
                return Err(
                    Error::new(code::STATE, fault.message).of_kind(FaultKind::STATE, code::STATE)
                );
            }
        };
        let plugin = P::activate(context, config, state)?;
        let commands = plugin.commands();
        let services = plugin.services();
        let live = ManuallyDrop::new(Self { plugin, commands, services });
        Ok(Instance_TO::from_value(Exporter { live }, abi_stable::sabi_trait::TD_Opaque))
    }
}

fn read_config<P: Exported>(configuration: &str) -> Result<P::Config, Error> {
    read(configuration).map_err(|error| {
        error.context("the configuration does not fit").of_kind(FaultKind::CONFIG, code::CONFIG)
    })
}

fn read_state<P: Exported>(saved: &SavedState) -> Result<P::State, Error> {
    let wrong = |error: Error| error.of_kind(FaultKind::STATE, code::STATE);
    if saved.version != P::STATE_VERSION {
        return P::migrate(saved.version, &saved.bytes).map_err(|error| {
            wrong(error.context(format!(
                "the state of version {} cannot be made one of version {}",
                saved.version,
                P::STATE_VERSION
            )))
        });
    }
    let text = std::str::from_utf8(&saved.bytes).map_err(|error| wrong(error.into()))?;
    read(text).map_err(|error| wrong(error.context("the saved state does not fit")))
}

/// The instance that crosses. `ManuallyDrop`: a drop without `deactivate` must
/// not run the plugin's destructors outside of a guard.
struct Exporter<P> {
    live: ManuallyDrop<Live<P>>,
}

impl<P: Exported> Instance for Exporter<P> {
    fn call(&self, command: RStr<'_>, arguments: RStr<'_>) -> RResult<RString, Fault> {
        guard(|| {
            let Live { plugin, commands, .. } = &*self.live;
            commands.call(plugin, command.as_str(), arguments.as_str()).map(RString::from)
        })
    }

    fn save_state(&self) -> RResult<ROption<SavedState>, Fault> {
        guard(|| {
            let Some(state) = self.live.plugin.save()? else { return Ok(RNone) };
            let bytes = serde_json::to_vec(&state).map_err(|error| {
                Error::new(code::STATE, "the state cannot be written as JSON").caused_by(&error)
            })?;
            Ok(RSome(SavedState {
                version: P::STATE_VERSION,
                bytes: bytes.into(),
                more: RString::new(),
            }))
        })
    }

    fn deactivate(self) -> RResult<(), Fault> {
        let ended = guard(|| {
            let Live { plugin, commands, services } = ManuallyDrop::into_inner(self.live);
            drop((commands, services));
            plugin.deactivate();
            Ok(())
        });
        logging::disconnect();
        ended
    }

    fn services(&self) -> RResult<RVec<Offer>, Fault> {
        // The instance is in a box, so the plugin stays where it is now until
        // `deactivate` takes it out.
        guard(|| Ok(self.live.services.of(&self.live.plugin).collect()))
    }

    fn service_changed(&self, change: ServiceChanged<'_>) -> RResult<(), Fault> {
        guard(|| match ServiceChange::read(&change) {
            Some(change) => self.live.plugin.service_changed(change),
            None => Ok(()),
        })
    }

    fn configure(&self, configuration: RStr<'_>) -> RResult<HowTaken, Fault> {
        guard(|| {
            // The tables of the host's configuration are what they were: those come by a reload.
            let given = Given::read(configuration.into())?;
            let config = read_config::<P>(&given.configuration)?;
            self.live.plugin.configure(config).map(HowTaken::from)
        })
    }
}
