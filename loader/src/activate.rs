use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::std_types::RResult;
use plugbay_interface::abi::{Fault, InstanceBox};

use crate::call::fault_of_the_plugin;
use crate::close::{Closing, Mapped, Pinned};
use crate::counted::CountedLeases;
use crate::error::{Explain, Failure};
use crate::footprint::Footprint;
use crate::link::Link;
use crate::load::Loaded;
use crate::offers::{Offers, Provided, Unfit, Want, Wants};
use crate::on_thread::{Deadline, on_thread};
use crate::probation::Troubles;
use crate::reconfigure::Held;
use crate::registry::RegistryError;
use crate::report::Loadable;
use crate::results::Results;
use crate::secrets::Secrets;
use crate::service::ServiceError;
use crate::slot::Drained;
use crate::tell::Hearing;
use crate::unload::Ending;

/// A generation that can serve.
pub(crate) struct Active {
    /// For those who have it by a lease alone.
    this: Weak<Active>,
    pub(crate) about: Arc<Loadable>,
    pub(crate) generation: u64,
    instance: UnsafeCell<Option<InstanceBox>>,
    pub(crate) root: plugbay_interface::abi::RootRef,
    /// None once it was closed, or is about to be.
    pub(crate) mapped: Arc<Mutex<Option<Mapped>>>,
    pub(crate) counted: CountedLeases,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) config: Held,
    /// None for most: what is kept of its commands' results.
    pub(crate) results: Option<Box<Results>>,
    pub(crate) offers: Offers,
    pub(crate) hearing: Arc<Hearing>,
}

// SAFETY: the instance is `Send + Sync` by its trait, and the cell is read under
// a lease and emptied by who holds `Drained`, which no lease survives. The rest is.
unsafe impl Sync for Active {}

impl Active {
    /// The plugin's value.
    ///
    /// # Safety
    ///
    /// The caller has a lease on this generation for as long as it uses the value.
    #[inline(always)]
    pub(crate) unsafe fn instance(&self) -> Option<&InstanceBox> {
        // SAFETY: it is taken by who holds `Drained` alone, and there is none
        // while there is a lease.
        unsafe { &*self.instance.get() }.as_ref()
    }

    /// Takes the plugin's value out to end it.
    pub(crate) fn take(drained: &mut Drained) -> Option<InstanceBox> {
        // SAFETY: no lease exists and none will; the proof is borrowed for this
        // alone.
        unsafe { &mut *drained.active().instance.get() }.take()
    }

    /// Drops what is kept of its commands' results.
    pub(crate) fn forget_results(&self) {
        if let Some(results) = &self.results {
            results.forget();
        }
    }

    /// To keep it beyond a lease.
    pub(crate) fn kept(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Looks for what somebody wants to call from now on, and gives the number that it
    /// is known by in all generations of the slot that keeps `wants`. Under a lease.
    pub(crate) fn want(
        &self,
        wants: &Wants,
        wanted: Want,
    ) -> Result<(usize, Arc<Want>), ServiceError> {
        // Looked at before it is kept: what never was is not kept for anybody.
        if let Err(unfit) = self.offers.fits(&wanted, &self.about.manifest.version) {
            return Err(ServiceError::unfit(self, &wanted, unfit));
        }
        let (number, wanted) = wants.number(wanted);
        match self.provides(number, &wanted) {
            Ok(_) => Ok((number, wanted)),
            Err(unfit) => Err(ServiceError::unfit(self, &wanted, unfit)),
        }
    }

    /// What this generation has for who asked for it, by its number. Under a lease, or
    /// before it serves.
    pub(crate) fn provides(&self, number: usize, wanted: &Want) -> Result<Provided, Unfit> {
        self.offers.find(number, wanted, &self.about.manifest.version)
    }

    /// The address of a symbol that its library exports.
    pub(crate) fn symbol(&self, name: &str) -> Option<*const std::ffi::c_void> {
        self.mapped.lock().as_ref()?.address_of(name)
    }

    /// What is known of what its library leaves on threads.
    pub(crate) fn footprint(&self) -> Option<Arc<Footprint>> {
        self.mapped.lock().as_ref().map(|mapped| mapped.footprint().clone())
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active")
            .field("plugin", &self.about.manifest.id)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl ActivateError {
    /// Takes secrets out of what the plugin said.
    pub(crate) fn without(self, secrets: &Secrets) -> Self {
        let scrubbed = |failure: Box<Failure>| Box::new(secrets.scrubbed(*failure));
        match self {
            Self::Failed { failure } => Self::Failed { failure: scrubbed(failure) },
            Self::Panicked { failure } => Self::Panicked { failure: scrubbed(failure) },
            other => other,
        }
    }
}

/// Why a plugin did not become ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivateError {
    /// It said no.
    #[error("activation failed: {failure}")]
    Failed {
        /// What it said.
        failure: Box<Failure>,
    },
    /// It panicked.
    #[error("activation panicked: {failure}")]
    Panicked {
        /// What the panic said.
        failure: Box<Failure>,
    },
    /// It did not come to an end.
    #[error("activation did not come to an end within {deadline:?}")]
    Deadline {
        /// The time it had.
        deadline: Duration,
    },
    /// It does not offer a contract that was asked for of the version before.
    #[error("a contract that is in use would go: {0}")]
    Contract(#[source] Box<ServiceError>),
    /// Its host had given up on it by then.
    #[error("it was ready when nobody wanted it any more")]
    Unwanted,
    /// A host ended while it was activated, and that it is tried again cannot be noted.
    #[error("a host ended while it was activated; should that happen again it could not be noted")]
    Unnoted(#[source] RegistryError),
    /// The system gave no thread to do it on.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl Explain for ActivateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "PB0601",
            Self::Panicked { .. } => "PB0602",
            Self::Deadline { .. } => "PB0603",
            Self::Thread(_) => "PB0604",
            Self::Unwanted => "PB0605",
            Self::Unnoted(_) => "PB0606",
            Self::Contract(_) => "PB1404",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Failed { failure } if failure.code == plugbay_interface::code::CONFIG => {
                "correct the plugin's configuration; host-app inspect shows its schema".into()
            }
            Self::Failed { .. } => {
                "the message is the plugin's own; mend it, then load it again".into()
            }
            Self::Panicked { failure } => fault_of_the_plugin(failure),
            Self::Deadline { .. } => {
                "its thread still runs and keeps it in memory; give it longer \
                 (activation_deadline), or end the host"
                    .into()
            }
            Self::Unwanted => "load it again".into(),
            Self::Unnoted(error) => format!("{}; then load it again", error.hint()),
            Self::Contract(_) => {
                "let the new version offer it as well (both majors of a contract may be offered \
                 side by side), or start the host anew with the new version"
                    .into()
            }
            Self::Thread(_) => "raise the limit on threads (ulimit -u)".into(),
        }
    }
}

/// Why a plugin does not serve, and its library where that is still mapped.
pub(crate) struct NotActivated {
    pub(crate) error: ActivateError,
    pub(crate) pinned: Option<Box<Pinned>>,
}

/// Who waits for a generation to be ready.
pub(crate) trait Taker: Send + Sync {
    /// On the thread that constructed it, before `take`: whether it can do what
    /// others rely on.
    fn check(&self, _active: &Active) -> Result<(), ActivateError> {
        Ok(())
    }
    /// On the thread that constructed it. Whether it is wanted still.
    fn take(&self, active: &Arc<Active>) -> bool;
    /// When the time is over: whether it comes too late from now on. It does not
    /// when it was taken already.
    fn give_up(&self) -> bool;
}

/// Takes what is ready in time, and nothing more.
#[derive(Debug, Default)]
pub(crate) struct InTime(AtomicBool);

impl Taker for InTime {
    fn take(&self, _active: &Arc<Active>) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    fn give_up(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Constructs the plugin on a thread of its own, until `deadline`, and
/// gives it to `taker` there. Where it fails, the library is closed: its code has
/// run, and what that has left is taken back as at the end of one that served.
pub(crate) fn activate(
    loaded: Loaded,
    about: Arc<Loadable>,
    link: Link,
    deadline: &Arc<Deadline>,
    ending: Ending,
    taker: Arc<dyn Taker>,
) -> Result<Arc<Active>, NotActivated> {
    let Loaded { mapped, root } = loaded;
    let generation = link.generation;
    let (troubles, config) = (link.troubles.clone(), Held::new(link.configured.clone()));
    let results = Results::of(&about.manifest, link.results);
    let id = about.manifest.id.clone();
    let begun = Instant::now();
    let construct = root.activate();
    let footprint = mapped.footprint().clone();
    // Shared, as the generation serves on the other thread as soon as it is
    // taken there, and must have its library then.
    let mapped = Arc::new(Mutex::new(Some(mapped)));
    let work = {
        let (taker, mapped) = (taker.clone(), mapped.clone());
        move || match construct(link.into_box()) {
            RResult::ROk(instance) => {
                let offers = match Offers::of(&instance) {
                    Ok(offers) => offers,
                    Err(failure) => {
                        drop(instance.deactivate());
                        return Err(refused(failure));
                    }
                };
                let active = Arc::new_cyclic(|this| Active {
                    this: this.clone(),
                    about,
                    generation,
                    instance: UnsafeCell::new(Some(instance)),
                    root,
                    mapped,
                    counted: CountedLeases::default(),
                    troubles,
                    config,
                    results,
                    offers,
                    hearing: Arc::default(),
                });
                if let Err(error) = taker.check(&active) {
                    discard(active);
                    return Err(error);
                }
                if taker.take(&active) {
                    Ok(active)
                } else {
                    discard(active);
                    Err(ActivateError::Unwanted)
                }
            }
            RResult::RErr(fault) => Err(refusal(fault)),
        }
    };
    let give_up = || taker.give_up();
    match on_thread(&id, &footprint, deadline, work, give_up).and_then(|ready| ready) {
        Ok(active) => Ok(active),
        Err(error) => {
            // Calls that wait for it need not wait for its end.
            taker.give_up();
            // Nobody has taken the generation, so the library is still there.
            let closing = Closing::by(ending, begun, deadline.limit());
            let mapped = mapped.lock().take();
            let pinned = mapped.and_then(|mapped| mapped.close(&id, generation, closing).err());
            Err(NotActivated { error, pinned })
        }
    }
}

/// Ends properly what never served, and drops what it says.
fn discard(active: Arc<Active>) {
    if let Some(active) = Arc::into_inner(active)
        && let Some(instance) = active.instance.into_inner()
    {
        drop(instance.deactivate());
    }
}

fn refusal(fault: Fault) -> ActivateError {
    refused(Box::new(Failure::take(fault)))
}

fn refused(failure: Box<Failure>) -> ActivateError {
    match failure.panicked {
        true => ActivateError::Panicked { failure },
        false => ActivateError::Failed { failure },
    }
}
