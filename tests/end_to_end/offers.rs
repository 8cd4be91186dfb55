//! A real library's services, called through the ABI alone: what a host does by hand.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

use libloading::Library;
use parking_lot::Mutex;
use plugbay_interface::abi::abi_stable::StableAbi;
use plugbay_interface::abi::abi_stable::abi_stability::abi_checking::{
    CheckingGlobals, check_layout_compatibility_with_globals,
};
use plugbay_interface::abi::abi_stable::library::LibHeader;
use plugbay_interface::abi::abi_stable::prefix_type::WithMetadata;
use plugbay_interface::abi::abi_stable::sabi_trait::TD_Opaque;
use plugbay_interface::abi::abi_stable::staticref;
use plugbay_interface::abi::abi_stable::std_types::{RNone, ROption, RResult, RStr, RString, RVec};
use plugbay_interface::abi::{
    Hooks, HooksRef, HostSide, HostSide_TO, InstanceBox, LogRecord, Offer, ROOT_SYMBOL, RootRef,
    SavedState,
};
use plugbay_interface::crossing::Buffer;
use plugbay_interface::service::{Contract, Description};
use plugbay_interface::{Blame, code};
use plugbay_tests::build;
use probe::{Mood, Parcel, Probe};

/// The host, as far as these tests need one.
struct ByHand {
    log: Arc<Mutex<Vec<String>>>,
}

impl HostSide for ByHand {
    fn generation(&self) -> u64 {
        7
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
        true
    }
    fn log_level(&self) -> u8 {
        1
    }
    fn log(&self, record: LogRecord<'_>) {
        self.log.lock().push(record.message.as_str().to_owned());
    }
}

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Hooks that start threads and know them, and do nothing else.
struct Table;

impl Table {
    staticref!(const VALUE: WithMetadata<Hooks> = WithMetadata::new(Hooks {
        keep_local,
        start_thread,
        watch_thread,
        file_mapped,
        is_own_thread,
    }));
}

extern "C" fn keep_local(_: usize, _: *const (), _: *mut ()) -> bool {
    false
}

extern "C" fn watch_thread(_: usize) {}

extern "C" fn file_mapped(_: usize, _: i32, _: *const ()) {}

extern "C" fn is_own_thread(_: usize) -> bool {
    IS_OWN.get()
}

type Start = extern "C" fn(*mut c_void) -> *mut c_void;

extern "C" fn start_thread(
    _: usize,
    thread: *mut (),
    attributes: *const (),
    start: *const (),
    argument: *mut (),
) -> i32 {
    extern "C" fn begin(both: *mut c_void) -> *mut c_void {
        // SAFETY: the box that is made below, once.
        let (start, argument) = *unsafe { Box::from_raw(both.cast::<(Start, *mut c_void)>()) };
        IS_OWN.set(true);
        start(argument)
    }
    // SAFETY: the arguments of `pthread_create`.
    let start = unsafe { std::mem::transmute::<*const (), Start>(start) };
    let both = Box::into_raw(Box::new((start, argument.cast::<c_void>())));
    // SAFETY: as above, with a function that takes the box.
    unsafe { nix::libc::pthread_create(thread.cast(), attributes.cast(), begin, both.cast()) }
}

/// A library that stays mapped.
struct Provided {
    // Dropped before the library would be, if that were.
    offer: Offer,
    _instance: InstanceBox,
    log: Arc<Mutex<Vec<String>>>,
}

/// One for all tests: a panic hook is set once a library.
fn provided() -> &'static Provided {
    static ONE: OnceLock<Provided> = OnceLock::new();
    ONE.get_or_init(|| {
        let path = build("plugbay-fixture-provider");
        // SAFETY: a library of this project's, which is never closed.
        let library = Box::leak(Box::new(unsafe { Library::new(path) }.unwrap()));
        // SAFETY: the symbol is a header.
        let header = unsafe { library.get::<*const LibHeader>(ROOT_SYMBOL.as_bytes()) }.unwrap();
        // SAFETY: as above; the library stays.
        let header: &'static LibHeader = unsafe { &**header };
        let root_layout = header.layout().unwrap();
        let globals = CheckingGlobals::new();
        check_layout_compatibility_with_globals(
            <RootRef as StableAbi>::LAYOUT,
            root_layout,
            &globals,
        )
        .unwrap();
        // SAFETY: compared just above.
        let root = unsafe { header.init_root_module_with_unchecked_layout::<RootRef>() }.unwrap();
        assert!(root.set_hooks().unwrap()(HooksRef(Table::VALUE.as_prefix()), 0));
        let log = Arc::new(Mutex::new(Vec::new()));
        let host = HostSide_TO::from_value(ByHand { log: log.clone() }, TD_Opaque);
        let instance = root.activate()(host).unwrap();
        let offers: RVec<Offer> = instance.services().unwrap();
        assert_eq!(offers.len(), 1);
        assert_eq!(root.kept().unwrap()(0), 0);
        Provided { offer: offers[0].clone(), _instance: instance, log }
    })
}

fn service() -> <dyn Probe as Contract>::Proxy {
    let offer = &provided().offer;
    assert_eq!((offer.contract.as_str(), offer.major, offer.minor), ("plugbay-tests.probe", 1, 1));
    let description: Description = serde_json::from_str(&(offer.describe)()).unwrap();
    assert_eq!(description, <dyn Probe>::description());
    description.serves(&<dyn Probe>::description()).unwrap();
    // SAFETY: compared just above, and the library stays.
    unsafe { <dyn Probe>::proxy(offer.object, offer.methods) }
}

#[test]
fn a_service_is_called_in_another_library() {
    let service = service();
    assert_eq!(service.add(1, 1).unwrap(), 42);
    assert_eq!(service.echo("text").unwrap(), "text");
    assert_eq!(service.generation().unwrap(), 7);
    let inner = vec![Parcel { number: 2, text: "two".into(), inner: vec![] }; 3];
    let parcel = Parcel { number: 1, text: "one".into(), inner };
    assert_eq!(service.parcel(parcel.clone()).unwrap(), parcel);
    assert_eq!(service.mood(Mood::Bad(0.5)).unwrap(), Mood::Bad(0.5));
    let error = service.fail("some-code").unwrap_err();
    assert_eq!((error.code(), error.blame()), ("some-code", Blame::Caller));
    let origin = error.origin().unwrap();
    assert!(origin.starts_with("tests/fixtures/provider/src/lib.rs:"), "{origin}");
}

#[test]
fn a_large_buffer_moves_through_another_library() {
    let bytes = Buffer::from(vec![7; 1 << 20]);
    let before = bytes.as_ptr();
    assert_eq!(service().moved(bytes).unwrap().as_ptr(), before);
}

#[test]
fn futures_of_another_library_are_polled_and_dropped() {
    let service = service();
    assert_eq!(service.later(3, &[1, 2, 3]).wait().unwrap(), 6);
    assert!(service.later(1, &[0]).wait().unwrap_err().is_panic());
    drop(service.later(1, &[0]));
}

#[test]
fn a_service_is_called_by_name() {
    let offer = &provided().offer;
    let call = |method: &str, arguments: &str| {
        (offer.call)(offer.object, RStr::from(method), RStr::from(arguments))
    };
    let RResult::ROk(json) = call("later", r#"{"turns": 2, "bytes": [1, 2]}"#) else { panic!() };
    assert_eq!(json.as_str(), "3");
    let RResult::RErr(fault) = call("echo", "{}") else { panic!() };
    assert_eq!(fault.code.as_str(), code::ARGUMENTS);
}

#[test]
fn every_panic_has_its_own_message_and_place() {
    let service = service();
    for (how, message, placed) in [
        ("plainly", "a plain panic", true),
        ("with words", "a panic with 5 words", true),
        ("with a number", "a panic whose payload is no text", true),
        ("caught before", "after that", true),
        ("carried on", "carried", true),
        ("carried from a thread", "on another thread", false),
        ("while another unwinds", "the outer one", true),
        ("bad payload", "a panic whose payload is no text", true),
    ] {
        let error = service.panic(how).unwrap_err();
        assert!(error.is_panic() && error.to_string() == message, "{how}: {error:?}");
        assert_eq!(error.origin().is_some(), placed, "{how}: {error:?}");
        assert_eq!(error.frames().is_empty(), !placed, "{how}");
    }
    let error = service.panic("inside").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("outside, after a plain panic at tests/fixtures/"), "{text}");
    assert!(!text.contains(&error.origin().unwrap()), "{error:?}");
    assert_eq!(service.panic("caught").unwrap(), "caught: true");
    assert_eq!(service.add(0, 2).unwrap(), 42);
}

#[test]
fn the_log_hears_of_panics_on_the_librarys_own_threads_and_of_no_others() {
    let service = service();
    // Other tests have panics of their own.
    let count =
        |words: &str| provided().log.lock().iter().filter(|line| line.contains(words)).count();
    assert_eq!(service.panic("on its own").unwrap(), "true");
    assert_eq!(count("thread 'doomed' panicked at tests/fixtures/provider/src/lib.rs:"), 1);
    service.panic("plainly").unwrap_err();
    assert_eq!(count("a plain panic"), 0);
    service.panic("carried from a thread").unwrap_err();
    assert!(count("thread 'carrier' panicked at ") >= 1);
}
