use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use abi_stable::StableAbi;

use super::outcome::{Answer, receive};
use super::waker::{Head, Lent, borrowed};
use crate::Error;
use crate::crossing::Crossing;
use crate::error::code;
use crate::guard::{light, quietly};

/// What an `async fn` of a contract gives: a future that may be another library's.
///
/// Works under every executor, on any thread. Nothing happens before it is polled;
/// dropping it cancels. A panic of the plugin while it is polled is an error, and
/// that is the end of it. It borrows the service and the arguments that were lent.
///
/// One allocation, of the library that made it.
// Frozen: other libraries read it.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(unsafe_unconstrained(T))]
#[must_use = "nothing happens before it is polled"]
pub struct ServiceFuture<'a, T> {
    state: *mut (),
    /// Writes an [`Answer<T>`] to the place.
    poll: unsafe extern "C" fn(*mut (), *const Head, place: *mut ()) -> bool,
    drop: unsafe extern "C" fn(*mut ()),
    borrows: PhantomData<&'a ()>,
    #[sabi(unsafe_opaque_field)] // it has no size
    gives: Gives<T>,
}

/// By a name, as StableAbi's derive takes no Rust function for a field.
type Gives<T> = PhantomData<fn() -> T>;

const _: () = assert!(size_of::<ServiceFuture<'_, String>>() == 3 * size_of::<usize>());

// SAFETY: the future in it is `Send`, which `new` wants, and so is what it gives.
unsafe impl<T> Send for ServiceFuture<'_, T> {}
// SAFETY: a shared one has nothing to call.
unsafe impl<T> Sync for ServiceFuture<'_, T> {}

/// The future, until it has ended.
struct State<F> {
    future: Option<F>,
}

impl<'a, T: Crossing> ServiceFuture<'a, T> {
    /// Takes a future of this library's. What `#[service]` makes of an `async fn`'s
    /// body.
    pub fn new<F>(future: F) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'a,
    {
        let state = Box::new(State { future: Some(future) });
        Self {
            state: Box::into_raw(state).cast(),
            poll: poll::<T, F>,
            drop: end::<F>,
            borrows: PhantomData,
            gives: PhantomData,
        }
    }

    /// A future that gives this error.
    pub fn failed(error: Error) -> Self {
        Self::new(async move { Err(error) })
    }

    /// Waits for it on the calling thread, for programs without an executor. Not to
    /// be called on a thread that an executor needs.
    ///
    /// # Errors
    ///
    /// Those of the future.
    pub fn wait(self) -> Result<T, Error> {
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(alarm.clone());
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(self);
        loop {
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
                return outcome;
            }
            alarm.wait();
        }
    }
}

impl<T: Crossing> Future for ServiceFuture<'_, T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let lent = Lent::new(context.waker());
        let mut answer = MaybeUninit::<Answer<T>>::uninit();
        // SAFETY: the function that belongs to this state, which `drop` alone ends;
        // the waker and the place are valid for the call.
        if unsafe { (self.poll)(self.state, lent.head(), (&raw mut answer).cast()) } {
            // SAFETY: `true` says that the place was written to.
            Poll::Ready(receive(unsafe { answer.assume_init() }).and_then(T::from_abi))
        } else {
            Poll::Pending
        }
    }
}

impl<T> Drop for ServiceFuture<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the function that belongs to this state, once.
        unsafe { (self.drop)(self.state) };
    }
}

/// # Safety
///
/// `state` is what `new` made of an `F`, and nobody else uses it now; `waker` is valid
/// for the call, and `answer` is a place for an `Answer<T>`.
unsafe extern "C" fn poll<T, F>(state: *mut (), waker: *const Head, answer: *mut ()) -> bool
where
    T: Crossing,
    F: Future<Output = Result<T, Error>>,
{
    // SAFETY: the caller's promise.
    let state = unsafe { &mut *state.cast::<State<F>>() };
    let outcome = light(|| {
        // SAFETY: the caller's promise.
        let waker = unsafe { borrowed(waker) };
        let Some(future) = &mut state.future else {
            return Err(Error::new(code::CROSSING, "this future has ended already"));
        };
        // SAFETY: it lies in the box that `new` made, and is not moved out of it.
        let future = unsafe { Pin::new_unchecked(future) };
        match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => Ok(None),
            Poll::Ready(outcome) => outcome?.into_abi().map(Some),
        }
    });
    let outcome = match outcome.into_result() {
        Ok(None) => return false,
        Ok(Some(abi)) => Ok(abi),
        Err(fault) => Err(fault),
    };
    // What it held goes now, and not when its caller gets to it.
    quietly("the destructor of a future", || drop_in_place(&mut state.future));
    // SAFETY: the caller's promise.
    unsafe { answer.cast::<Answer<T>>().write(outcome.into()) };
    true
}

/// Ends a future where it lies, which is pinned.
fn drop_in_place<F>(future: &mut Option<F>) {
    *future = None;
}

/// # Safety
///
/// `state` is what `new` made of an `F`, and nobody uses it afterwards.
unsafe extern "C" fn end<F>(state: *mut ()) {
    // SAFETY: the caller's promise.
    let state = unsafe { Box::from_raw(state.cast::<State<F>>()) };
    quietly("the destructor of a future", || drop(state));
}

/// A waker that wakes a thread. Not by `std::thread::park`, whose handle is a
/// thread-local.
#[derive(Default)]
struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    fn wait(&self) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung =
            self.changed.wait_while(rung, |rung| !*rung).unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

impl<T> fmt::Debug for ServiceFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFuture").finish_non_exhaustive()
    }
}
