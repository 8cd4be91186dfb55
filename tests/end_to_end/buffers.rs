//! What crosses without a copy, memory and streams, stays as long as somebody has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use plugbay_fixture_contract::Speaker;
use plugbay_interface::Error;
use plugbay_interface::crossing::{Buffer, Stream};
use plugbay_loader::{Host, Pin, Service};
use plugbay_tests::{Folder, build, mapped_below, until};
use serde_json::json;

fn start(folder: &Folder) -> (Host, Service<dyn Speaker>) {
    folder.put(&build("plugbay-fixture-speaker"), "speaker.so");
    let (host, _) = folder.start();
    let speaker = host.service("speaker").unwrap();
    (host, speaker)
}

#[test]
fn a_buffer_outlives_the_plugin_that_made_it_and_keeps_its_library() {
    let folder = Folder::new();
    let (host, speaker) = start(&folder);
    let length = 1 << 20;
    let buffer = speaker.enter().unwrap().bytes(length).unwrap();
    let (clone, mapped) = (buffer.clone(), || mapped_below(&folder.beside("cache")));
    let unloaded = host.unload("speaker").unwrap();
    assert_eq!(unloaded.pinned, Some(Pin::Buffers { count: 2 }));
    assert!(unloaded.pinned.unwrap().to_string().contains("2 of its buffers"));
    assert_eq!((buffer.len(), mapped()), (length, 1));
    drop(buffer);
    // On another thread, whose own things are not left with the library either.
    thread::spawn(move || assert!(clone.iter().all(|byte| *byte == 1))).join().unwrap();
    until(|| host.pinned().is_empty());
    assert_eq!(mapped(), 0);
}

/// Text and lists are the receiver's own: their memory came from the plugin, too.
#[test]
fn what_is_no_buffer_outlives_the_plugin_without_keeping_it() {
    let folder = Folder::new();
    let (host, speaker) = start(&folder);
    let entered = speaker.enter().unwrap();
    let (text, bytes) = (entered.twice("ab").unwrap(), entered.pass(vec![7; 1 << 16]).unwrap());
    drop(entered);
    assert_eq!(host.unload("speaker").unwrap().pinned, None);
    assert_eq!(mapped_below(&folder.beside("cache")), 0);
    assert_eq!((text.as_str(), bytes), ("abab", vec![7; 1 << 16]));
}

/// Says when it is dropped.
struct Watched(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_buffer_of_the_program_is_dropped_when_the_plugin_has_done_with_it() {
    let folder = Folder::new();
    let (host, speaker) = start(&folder);
    let dropped = Arc::new(AtomicBool::new(false));
    let buffer = Buffer::from_owner(Watched(vec![1, 2, 3], dropped.clone()));
    let place = buffer.as_ptr();
    let keep = |buffer| speaker.enter().unwrap().keep(buffer).unwrap();
    assert_eq!(keep(Some(buffer)), None);
    let back = keep(None).unwrap();
    // There and back, and never moved.
    assert_eq!((&back[..], back.as_ptr()), (&[1, 2, 3][..], place));
    keep(Some(back));
    assert!(!dropped.load(Ordering::SeqCst));
    assert_eq!(host.unload("speaker").unwrap().pinned, None);
    assert!(dropped.load(Ordering::SeqCst));
}

/// It is its own, and it keeps nothing but itself.
#[test]
fn a_buffer_that_comes_home_is_the_plugins_own_to_drop() {
    let folder = Folder::new();
    let (host, speaker) = start(&folder);
    let entered = speaker.enter().unwrap();
    let buffer = entered.bytes(10).unwrap();
    entered.keep(Some(buffer)).unwrap();
    drop(entered);
    assert_eq!(host.unload("speaker").unwrap().pinned, None);
    assert_eq!(mapped_below(&folder.beside("cache")), 0);
}

/// On a thread that does not end: a library is not kept by what is its own.
#[test]
fn a_library_does_not_keep_itself() {
    let folder = Folder::new();
    let (host, speaker) = start(&folder);
    let entered = speaker.enter().unwrap();
    entered.keep_here(entered.bytes(10).unwrap()).unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    entered.keep_here(Buffer::from_owner(Watched(vec![1], dropped.clone()))).unwrap();
    drop(entered);
    assert_eq!(host.unload("speaker").unwrap().pinned, None);
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(mapped_below(&folder.beside("cache")), 0);
}

#[test]
fn buffers_and_streams_can_be_given_and_read_by_name() {
    let folder = Folder::new();
    let (host, _) = start(&folder);
    let call = |method: &str, arguments| host.call("speaker", method, arguments).unwrap();
    assert_eq!(call("test.speaker:bytes", json!({"length": 3})), json!([1, 1, 1]));
    let sum = call("test.speaker:sum", json!({"numbers": [1, 2, 3]}));
    assert_eq!(sum, json!(6));
    let numbers = call("test.speaker:numbers", json!({"until": 2, "how": "not"}));
    assert_eq!(numbers, json!([0, 1, 2]));
    call("test.speaker:keep", json!({"buffer": [1, 2]}));
    assert_eq!(call("test.speaker:keep", json!({"buffer": null})), json!([1, 2]));
}

#[test]
fn a_stream_goes_on_when_its_plugin_has_ended() {
    let folder = Folder::new();
    let (host, speaker) = start(&folder);
    let mut numbers = speaker.enter().unwrap().numbers(1000, "not").unwrap();
    let first: Vec<_> = numbers.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(first, [0, 1, 2]);
    let pin = host.unload("speaker").unwrap().pinned;
    assert_eq!(pin, Some(Pin::Buffers { count: 1 }));
    assert_eq!(numbers.by_ref().map(Result::unwrap).last(), Some(1000));
    assert!(numbers.next().is_none());
    until(|| host.pinned().is_empty());
    assert_eq!(mapped_below(&folder.beside("cache")), 0);
}

#[test]
fn a_stream_ends_with_its_error_or_panic() {
    let folder = Folder::new();
    let (_host, speaker) = start(&folder);
    for how in ["error", "panic"] {
        let mut numbers = speaker.enter().unwrap().numbers(2, how).unwrap();
        assert_eq!(numbers.by_ref().take(2).map(Result::unwrap).sum::<u64>(), 1);
        let error = numbers.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("it was told to"), "{error}");
        assert_eq!(error.is_panic(), how == "panic");
        assert!(numbers.next().is_none());
    }
}

#[test]
fn a_stream_of_the_program_is_read_by_the_plugin() {
    let folder = Folder::new();
    let (_host, speaker) = start(&folder);
    let sum = |numbers| speaker.enter().unwrap().sum(numbers);
    assert_eq!(sum(Stream::new((1..=100).map(Ok))).unwrap(), 5050);
    let failing = Stream::new([Ok(1), Err(Error::new("mine", "no more"))]);
    let error = sum(failing).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("mine", "no more"));
    assert!(sum(Stream::new((0..3).map(|_| panic!("ouch")))).unwrap_err().is_panic());
    // One of the plugin's own, given back.
    assert_eq!(sum(speaker.enter().unwrap().numbers(3, "not").unwrap()).unwrap(), 6);
}
