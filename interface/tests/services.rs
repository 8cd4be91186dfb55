//! Contracts, called through their tables as another library would.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use plugbay_interface::abi::abi_stable::std_types::RResult;
use plugbay_interface::prelude::*;
use plugbay_interface::service::{Contract, Implemented};
use plugbay_interface::{Blame, code};

/// Numbers and words.
#[service(id = "test.everything", version = "1.2")]
trait Everything: Send + Sync {
    /// Adds.
    fn add(&self, left: u64, right: u64) -> Result<u64, Error>;
    #[since("1.1")]
    fn twice(&self, text: &str) -> Result<String, Error> {
        Ok(format!("{}, and not once more", self.join(text, vec![])?))
    }
    fn join(&self, between: &str, parts: Vec<String>) -> Result<String, Error>;
    fn sum(&self, numbers: &[f64]) -> Result<f64, Error>;
    fn fails(&self, how: u8) -> Result<(), Error>;
    #[since("1.2")]
    fn unheard(&self, _number: i8) -> Result<i8, Error> {
        Err(Error::unsupported())
    }
    fn turned(
        &self,
        map: BTreeMap<String, Option<char>>,
        wait: Duration,
    ) -> Result<(BTreeMap<char, Vec<String>>, Duration), Error>;
    fn bytes(&self, bytes: Buffer) -> Result<Buffer, Error>;
}

struct Real {
    name: String,
}

impl Everything for Real {
    fn add(&self, left: u64, right: u64) -> Result<u64, Error> {
        left.checked_add(right).ok_or_else(|| {
            Error::new("too-much", format!("{left} and {right} is too much for {}", self.name))
                .with_blame(Blame::Caller)
        })
    }

    fn twice(&self, text: &str) -> Result<String, Error> {
        Ok(format!("{text}{text}"))
    }

    fn join(&self, between: &str, parts: Vec<String>) -> Result<String, Error> {
        Ok(parts.join(between))
    }

    fn sum(&self, numbers: &[f64]) -> Result<f64, Error> {
        Ok(numbers.iter().sum())
    }

    fn fails(&self, how: u8) -> Result<(), Error> {
        match how {
            0 => Ok(()),
            1 => Err("x".parse::<u8>().unwrap_err().into()),
            2 => panic!("ouch from {}", self.name),
            _ => std::panic::panic_any(how),
        }
    }

    fn turned(
        &self,
        map: BTreeMap<String, Option<char>>,
        wait: Duration,
    ) -> Result<(BTreeMap<char, Vec<String>>, Duration), Error> {
        let mut turned = BTreeMap::<_, Vec<_>>::new();
        for (word, letter) in map {
            turned.entry(letter.unwrap_or('-')).or_default().push(word);
        }
        Ok((turned, wait * 2))
    }

    fn bytes(&self, bytes: Buffer) -> Result<Buffer, Error> {
        Ok(bytes)
    }
}

/// A service as a caller holds it.
struct Held<C: Contract + ?Sized, T> {
    proxy: C::Proxy,
    _object: PhantomData<Box<T>>,
}

impl<C: Contract + ?Sized, T> Deref for Held<C, T> {
    type Target = C::Proxy;

    fn deref(&self) -> &C::Proxy {
        &self.proxy
    }
}

fn held<C: Implemented<T> + ?Sized, T: 'static>(value: T) -> Held<C, T> {
    let object: *const T = Box::leak(Box::new(value));
    // SAFETY: the object lives for ever, and the table is its type's.
    Held { proxy: unsafe { C::proxy(object.cast(), C::METHODS) }, _object: PhantomData }
}

fn real() -> Held<dyn Everything, Real> {
    held(Real { name: "real".into() })
}

#[test]
fn values_cross_both_ways() {
    let service = real();
    assert_eq!(service.add(2, 40).unwrap(), 42);
    assert_eq!(service.twice("ab").unwrap(), "abab");
    assert_eq!(service.join("-", vec!["a".into(), "b".into()]).unwrap(), "a-b");
    assert_eq!(service.sum(&[1.5, 2.5]).unwrap(), 4.0);
    assert_eq!(service.fails(0).unwrap(), ());
    let map = [("x".to_owned(), Some('a')), ("y".to_owned(), None), ("z".to_owned(), Some('a'))];
    let (turned, wait) = service.turned(map.into(), Duration::from_millis(1500)).unwrap();
    assert_eq!(turned[&'a'], ["x", "z"]);
    assert_eq!((turned[&'-'].len(), wait), (1, Duration::from_secs(3)));
}

/// The same contract as it once was.
mod before {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use plugbay_interface::prelude::*;

    #[service(id = "test.everything", version = "1.0")]
    pub trait Everything: Send + Sync {
        fn add(&self, left: u64, right: u64) -> Result<u64, Error>;
        fn join(&self, between: &str, parts: Vec<String>) -> Result<String, Error>;
        fn sum(&self, numbers: &[f64]) -> Result<f64, Error>;
        fn fails(&self, how: u8) -> Result<(), Error>;
        fn turned(
            &self,
            map: BTreeMap<String, Option<char>>,
            wait: Duration,
        ) -> Result<(BTreeMap<char, Vec<String>>, Duration), Error>;
        fn bytes(&self, bytes: Buffer) -> Result<Buffer, Error>;
    }

    pub struct Old;

    impl Everything for Old {
        fn add(&self, left: u64, right: u64) -> Result<u64, Error> {
            Ok(left + right)
        }
        fn join(&self, between: &str, _parts: Vec<String>) -> Result<String, Error> {
            Ok(format!("old {between}"))
        }
        fn sum(&self, _numbers: &[f64]) -> Result<f64, Error> {
            Ok(0.0)
        }
        fn fails(&self, _how: u8) -> Result<(), Error> {
            Ok(())
        }
        fn turned(
            &self,
            _map: BTreeMap<String, Option<char>>,
            wait: Duration,
        ) -> Result<(BTreeMap<char, Vec<String>>, Duration), Error> {
            Ok((BTreeMap::new(), wait))
        }
        fn bytes(&self, bytes: Buffer) -> Result<Buffer, Error> {
            Ok(bytes)
        }
    }
}

#[test]
fn a_method_that_an_older_provider_lacks_runs_its_default_body_over_that_provider() {
    let old: &before::Old = Box::leak(Box::new(before::Old));
    let methods = <dyn before::Everything as Implemented<before::Old>>::METHODS;
    // SAFETY: an object that lives for ever with the table of its type, which has the
    // first methods of this contract.
    let service = unsafe { <dyn Everything>::proxy((&raw const *old).cast(), methods) };
    assert_eq!(service.add(1, 2).unwrap(), 3);
    assert_eq!(service.twice("x").unwrap(), "old x, and not once more");
    let error = service.unheard(3).unwrap_err();
    assert_eq!((error.code(), error.blame()), (code::UNSUPPORTED, Blame::Caller));
}

#[test]
fn a_newer_provider_serves_an_older_caller() {
    let real: &Real = Box::leak(Box::new(Real { name: "new".into() }));
    let methods = <dyn Everything as Implemented<Real>>::METHODS;
    // SAFETY: as above, with a table that has more methods than the caller knows.
    let service = unsafe { <dyn before::Everything>::proxy((&raw const *real).cast(), methods) };
    assert_eq!(
        before::Everything::join(&service, "+", vec!["a".into(), "b".into()]).unwrap(),
        "a+b"
    );
}

#[test]
fn errors_come_with_code_message_causes_place_and_blame() {
    let service = real();
    let error = service.add(u64::MAX, 1).unwrap_err();
    assert_eq!((error.code(), error.blame()), ("too-much", Blame::Caller));
    assert!(error.to_string().ends_with("is too much for real"), "{error}");
    assert!(error.origin().unwrap().starts_with("interface/tests/services.rs:"), "{error:?}");
    assert!(!error.is_panic());
    assert_eq!(error.place().file(), file!());

    let error = service.fails(1).unwrap_err();
    assert_eq!((error.code(), error.blame()), (code::FAILED, Blame::Plugin));
    assert_eq!(error.to_string(), "invalid digit found in string");
}

#[test]
fn a_panic_is_an_error_of_that_call() {
    let service = real();
    let error = service.fails(2).unwrap_err();
    assert!(error.is_panic());
    assert_eq!((error.code(), error.blame()), (code::PANIC, Blame::Plugin));
    assert_eq!(error.to_string(), "ouch from real");
    assert!(service.fails(3).unwrap_err().is_panic());
    assert_eq!(service.add(1, 1).unwrap(), 2);
}

#[test]
fn who_hands_on_a_panic_has_not_panicked() {
    let error = real().fails(2).unwrap_err();
    let fault = error.context("asked another").to_fault();
    assert_eq!(fault.kind, plugbay_interface::abi::FaultKind::ERROR);
    let error = Error::from(fault);
    assert!(error.is_panic());
    assert_eq!(error.causes(), ["ouch from real"]);
}

#[test]
fn large_buffers_move() {
    let service = real();
    let bytes = Buffer::from(vec![7; 1 << 20]);
    let before = bytes.as_ptr();
    assert_eq!(service.bytes(bytes).unwrap().as_ptr(), before);
}

fn by_name<C: Implemented<T> + ?Sized, T: 'static>(
    value: &T,
    method: &str,
    arguments: &str,
) -> Result<String, Error> {
    // SAFETY: the value is of that type.
    match unsafe { C::call((&raw const *value).cast(), method.into(), arguments.into()) } {
        RResult::ROk(json) => Ok(json.into()),
        RResult::RErr(fault) => Err(fault.into()),
    }
}

#[test]
fn methods_can_be_called_by_name_with_json() {
    let real = Real { name: "real".into() };
    let call = |method, arguments| by_name::<dyn Everything, _>(&real, method, arguments);
    let message = |method, arguments| call(method, arguments).unwrap_err().to_string();
    assert_eq!(call("add", r#"{"left": 1, "right": 2}"#).unwrap(), "3");
    assert_eq!(call("twice", r#"{"text": "ab"}"#).unwrap(), r#""abab""#);
    assert_eq!(call("sum", r#"{"numbers": [1, 2.5]}"#).unwrap(), "3.5");
    assert_eq!(call("fails", r#"{"how": 0}"#).unwrap(), "null");
    assert_eq!(
        call("turned", r#"{"map": {"x": "a", "y": null}, "wait": {"secs": 1, "nanos": 0}}"#)
            .unwrap(),
        r#"[{"-":["y"],"a":["x"]},{"secs":2,"nanos":0}]"#
    );
    assert_eq!(call("add", "{}").unwrap_err().to_string(), "the argument `left` is missing");
    assert_eq!(
        message("join", r#"{"between": "", "parts": [1]}"#),
        "the argument `parts` does not fit: `[0]`: invalid type: integer `1`, expected a string"
    );
    assert_eq!(
        message("add", r#"{"lft": 1}"#),
        "there is no argument `lft`; there are: left, right"
    );
    assert_eq!(message("fails", r#"{"how": 2}"#), "ouch from real");
    let error = call("subtract", "{}").unwrap_err();
    assert_eq!((error.code(), error.blame()), (code::UNKNOWN_COMMAND, Blame::Caller));
    assert!(error.to_string().contains("add, join, sum, fails, turned, bytes, twice, unheard"));
}

#[test]
fn a_contract_describes_itself() {
    let description = <dyn Everything>::description();
    assert_eq!((description.id.as_str(), description.minor), ("test.everything", 2));
    assert_eq!(description.summary, "Numbers and words.");
    let names: Vec<_> = description.methods.iter().map(|method| method.name.as_str()).collect();
    // First what every version has.
    assert_eq!(names, ["add", "join", "sum", "fails", "turned", "bytes", "twice", "unheard"]);
    assert_eq!(description.methods[4].arguments[0].of, "Map<String, Option<char>>");
    assert_eq!(description.methods[4].result, "(Map<char, Vec<String>>, Duration)");
    assert_eq!(description.methods[6].since, 1);
    let json = serde_json::to_string(&description).unwrap();
    assert_eq!(
        serde_json::from_str::<plugbay_interface::service::Description>(&json).unwrap(),
        description
    );
    assert!(
        json.contains(r#""Option<char>":{"size":8,"align":4,"shape":"optional","of":"char"}"#),
        "{json}"
    );
}

mod later {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread;

    use super::*;

    #[service(id = "test.later", version = "1.1")]
    trait Later: Send + Sync {
        async fn shout(&self, text: &str, times: u8) -> Result<String, Error>;
        #[since("1.1")]
        async fn whisper(&self, text: &str) -> Result<String, Error> {
            Ok(self.shout(text, 1).await?.to_lowercase())
        }
    }

    struct Slow {
        ended: Arc<AtomicUsize>,
    }

    struct Counts(Arc<AtomicUsize>);

    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pending once, and woken by another thread.
    struct Rest(bool);

    impl Future for Rest {
        type Output = ();

        fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        }
    }

    #[service]
    impl Later for Slow {
        async fn shout(&self, text: &str, mut times: u8) -> Result<String, Error> {
            let _counts = Counts(self.ended.clone());
            let mut said = String::new();
            while times > 0 {
                Rest(false).await;
                assert!(text != "panic", "asked to");
                said.push_str(&text.to_uppercase());
                times -= 1;
            }
            if said.is_empty() { Err(Error::message("silence")) } else { Ok(said) }
        }
    }

    struct Never;

    impl Wake for Never {
        fn wake(self: Arc<Self>) {}
    }

    fn slow() -> (Held<dyn Later, Slow>, Arc<AtomicUsize>) {
        let ended = Arc::new(AtomicUsize::new(0));
        (held(Slow { ended: ended.clone() }), ended)
    }

    #[test]
    fn an_async_method_gives_its_result_when_it_is_ready() {
        let (service, ended) = slow();
        assert_eq!(service.shout("ab", 3).wait().unwrap(), "ABABAB");
        assert_eq!(service.shout("ab", 0).wait().unwrap_err().to_string(), "silence");
        assert_eq!(service.whisper("X").wait().unwrap(), "x");
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn dropping_it_cancels() {
        let (service, ended) = slow();
        let waker = Waker::from(Arc::new(Never));
        let mut context = Context::from_waker(&waker);
        {
            let mut future = pin!(service.shout("ab", 2));
            assert!(future.as_mut().poll(&mut context).is_pending());
            assert_eq!(ended.load(Ordering::Relaxed), 0);
        }
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        drop(service.shout("never polled", 2));
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_while_it_is_polled_is_its_error() {
        let (service, ended) = slow();
        let mut future = service.shout("panic", 1);
        let error = loop {
            let waker = Waker::from(Arc::new(Never));
            if let Poll::Ready(outcome) = pin!(&mut future).poll(&mut Context::from_waker(&waker)) {
                break outcome.unwrap_err();
            }
        };
        assert!(error.is_panic() && error.to_string() == "asked to", "{error:?}");
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        // Polling it again is an error, and nothing worse.
        let again = future.wait().unwrap_err();
        assert_eq!(again.code(), code::CROSSING);
    }

    #[test]
    fn it_may_go_to_another_thread() {
        let (service, _) = slow();
        thread::scope(|scope| {
            let future = service.shout("ab", 2);
            assert_eq!(scope.spawn(|| future.wait()).join().unwrap().unwrap(), "ABAB");
        });
    }

    #[test]
    fn it_is_waited_for_when_it_is_called_by_name() {
        let slow = Slow { ended: Arc::default() };
        let arguments = r#"{"text": "a", "times": 2}"#;
        assert_eq!(by_name::<dyn Later, _>(&slow, "shout", arguments).unwrap(), r#""AA""#);
        assert_eq!(
            by_name::<dyn Later, _>(&slow, "whisper", r#"{"text": "A"}"#).unwrap(),
            r#""a""#
        );
    }

    #[test]
    fn it_is_called_in_its_own_library_as_it_stands() {
        let slow = Slow { ended: Arc::default() };
        assert_eq!(slow.shout("a", 1).wait().unwrap(), "A");
        let any: &dyn Later = &slow;
        assert_eq!(any.whisper("A").wait().unwrap(), "a");
    }
}
