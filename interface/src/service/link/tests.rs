//! Services of others, behind a host that is played here.

use std::cell::Cell;
use std::sync::Arc;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::staticref;
use abi_stable::std_types::{RNone, ROption, RResult, RString, RVec};

use super::{Link, Service, Wanted, find};
use crate::Error;
use crate::abi::{
    Fault, HostBox, HostSide, HostSide_TO, Links, LinksRef, LogRecord, SavedState, Served,
};
use crate::prelude::*;
use crate::service::{Description, Implemented};

#[service(id = "test.number", version = "1.0")]
trait Number: Send + Sync {
    fn number(&self) -> Result<u32, Error>;
    async fn later(&self) -> Result<u32, Error>;
}

struct Is(u32);

#[service]
impl Number for Is {
    fn number(&self) -> Result<u32, Error> {
        Ok(self.0)
    }

    async fn later(&self) -> Result<u32, Error> {
        Ok(self.0)
    }
}

static GENERATIONS: [Is; 2] = [Is(1), Is(2)];

thread_local! {
    /// Which generation serves; 9 for none.
    static SERVING: Cell<usize> = const { Cell::new(0) };
    static ENTERED: Cell<isize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PLACES: Cell<isize> = const { Cell::new(0) };
}

fn add(to: &'static std::thread::LocalKey<Cell<isize>>, number: isize) {
    to.set(to.get() + number);
}

fn serve() -> Served {
    let methods = <dyn Number as Implemented<Is>>::METHODS;
    match GENERATIONS.get(SERVING.get()) {
        Some(object) => Served { object: (&raw const *object).cast(), methods, token: 77 },
        None => Served { object: std::ptr::null(), methods, token: 0 },
    }
}

extern "C" fn enter(_: usize) -> Served {
    let served = serve();
    add(&ENTERED, isize::from(!served.object.is_null()));
    served
}

extern "C" fn leave(_: usize, token: usize) {
    assert_eq!(token, 77);
    add(&ENTERED, -1);
}

extern "C" fn hold(_: usize) -> Served {
    add(&HELD, 1);
    serve()
}

extern "C" fn let_go(_: usize, _: usize) {
    add(&HELD, -1);
}

extern "C" fn why(_: usize) -> Fault {
    Error::new("gone", "the plugin numbers is gone").to_fault()
}

extern "C" fn share(place: usize) -> usize {
    add(&PLACES, 1);
    place
}

extern "C" fn release(_: usize) {
    add(&PLACES, -1);
}

struct Table;

impl Table {
    staticref!(const VALUE: WithMetadata<Links> = WithMetadata::new(Links {
        enter, leave, hold, let_go, why, share, release,
    }));
}

/// A host of 1.2, or one from before, which has no such method.
struct Host {
    knows_services: bool,
}

impl HostSide for Host {
    fn generation(&self) -> u64 {
        1
    }
    fn data_dir(&self) -> RString {
        RString::new()
    }
    fn configuration(&self) -> RString {
        "{}".into()
    }
    fn take_state(&self) -> ROption<SavedState> {
        RNone
    }
    fn wants_backtraces(&self) -> bool {
        false
    }
    fn log_level(&self) -> u8 {
        0
    }
    fn log(&self, _: LogRecord<'_>) {}

    fn find_services(&self, wanted: Wanted<'_>) -> RResult<RVec<Link>, Fault> {
        if !self.knows_services {
            return crate::abi::no_services();
        }
        assert_eq!((wanted.contract.as_str(), wanted.major), ("test.number", 1));
        let described: Description = serde_json::from_str(&(wanted.describe)()).unwrap();
        assert_eq!(described.methods.len(), 2);
        let link = || Link {
            place: share(3),
            links: LinksRef(Table::VALUE.as_prefix()),
            plugin: "numbers".into(),
            more: RString::new(),
        };
        RResult::ROk((0..if wanted.many { 2 } else { 1 }).map(|_| link()).collect())
    }
}

fn context(knows_services: bool) -> Context {
    let host: HostBox = HostSide_TO::from_value(Host { knows_services }, TD_Opaque);
    Context::new("mine", Arc::new(host), json!({}), std::collections::BTreeMap::new())
}

#[test]
fn a_service_of_another_plugin_lives_through_its_reload() {
    let context = context(true);
    let service: Service<dyn Number> = context.service("numbers").unwrap();
    assert_eq!(format!("{service:?}"), "test.number of numbers");
    {
        let entered = service.enter().unwrap();
        assert_eq!((entered.number().unwrap(), ENTERED.get()), (1, 1));
    }
    let held = service.hold().unwrap();
    SERVING.set(1);
    assert_eq!(service.enter().unwrap().number().unwrap(), 2);
    assert_eq!(held.later().wait().unwrap(), 1);
    SERVING.set(9);
    let error = service.enter().unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("gone", "the plugin numbers is gone"));
    drop(service);
    assert_eq!((ENTERED.get(), HELD.get(), PLACES.get()), (0, 1, 1));
    drop(held);
    assert_eq!((HELD.get(), PLACES.get()), (0, 0));
    assert_eq!(context.services::<dyn Number>().unwrap().len(), 2);
    assert_eq!(PLACES.get(), 0);
}

#[test]
fn a_host_that_knows_no_services_says_so() {
    let error = context(false).service::<dyn Number>("numbers").unwrap_err();
    assert_eq!((error.code(), error.blame()), ("unsupported", crate::Blame::Host));
    let host: HostBox = HostSide_TO::from_value(Host { knows_services: true }, TD_Opaque);
    assert_eq!(find::<dyn Number>(&host, "", false).unwrap().len(), 1);
}
