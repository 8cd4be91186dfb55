//! Does `plugin.toml` declare the services that the plugin offers, and no others?
//!
//! The macro cannot know: a contract's id is a constant of a type. So it emits
//! constants, and these functions end the compilation with words.

use crate::service::Contract;

/// A service in `plugin.toml`.
#[derive(Debug)]
pub struct Declared {
    /// The contract's id.
    pub id: &'static str,
    /// The contract's version.
    pub major: u32,
    /// The contract's version.
    pub minor: u32,
    /// Where it stands, as text.
    pub line: &'static str,
}

/// A contract in the body of `fn services`.
#[derive(Debug)]
pub struct Offered {
    id: &'static str,
    major: u32,
    minor: u32,
}

impl Offered {
    /// That of the contract.
    pub const fn of<C: Contract + ?Sized>() -> Self {
        Self { id: C::ID, major: C::MAJOR, minor: C::MINOR }
    }
}

/// Ends the compilation unless `offered[at]` is in `plugin.toml` with its version, and
/// is not offered twice.
#[track_caller]
pub const fn assert_declared(offered: &[Offered], at: usize, declared: &[Declared]) {
    let Offered { id, major, minor } = &offered[at];
    let mut other = 0;
    while other < at {
        if same(offered[other].id, id) && offered[other].major == *major {
            Message::new().and("the service ").and(id).and(" is offered twice").fail();
        }
        other += 1;
    }
    let mut entry = 0;
    while entry < declared.len() {
        let Declared { id: declared_id, major: declared_major, minor: declared_minor, line } =
            &declared[entry];
        if same(declared_id, id) && *declared_major == *major {
            if *declared_minor == *minor {
                return;
            }
            Message::new()
                .and("plugin.toml:")
                .and(line)
                .and(": write version = \"")
                .version(*major, *minor)
                .and("\": that is what ")
                .and(id)
                .and(" has in the crate that defines it")
                .fail();
        }
        entry += 1;
    }
    Message::new()
        .and("the service ")
        .and(id)
        .and(" is not in plugin.toml; declare it there:\n\n[[services]]\nid = \"")
        .and(id)
        .and("\"\nversion = \"")
        .version(*major, *minor)
        .and("\"")
        .fail()
}

/// Ends the compilation unless everything in `plugin.toml` is offered.
#[track_caller]
pub const fn assert_offered(offered: &[Offered], declared: &[Declared]) {
    let mut entry = 0;
    while entry < declared.len() {
        let Declared { id, major, line, .. } = &declared[entry];
        let mut found = false;
        let mut at = 0;
        while at < offered.len() {
            found = found || (same(offered[at].id, id) && offered[at].major == *major);
            at += 1;
        }
        if !found {
            Message::new()
                .and("plugin.toml:")
                .and(line)
                .and(": the service ")
                .and(id)
                .and(" is not offered; offer it in `fn services`: services().offer::<dyn …>()")
                .fail();
        }
        entry += 1;
    }
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// A text that is put together while compiling.
struct Message {
    bytes: [u8; 512],
    length: usize,
}

impl Message {
    const fn new() -> Self {
        Self { bytes: [0; 512], length: 0 }
    }

    /// Appends; what does not fit is left out at its end.
    const fn and(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() && self.length < self.bytes.len() {
            self.bytes[self.length] = text[at];
            self.length += 1;
            at += 1;
        }
        self
    }

    const fn version(self, major: u32, minor: u32) -> Self {
        self.number(major).and(".").number(minor)
    }

    const fn number(self, number: u32) -> Self {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let before = if number >= 10 { self.number(number / 10) } else { self };
        before.and(DIGITS[(number % 10) as usize])
    }

    #[track_caller]
    const fn fail(&self) -> ! {
        match core::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("plugin.toml and `fn services` disagree"),
        }
    }
}
