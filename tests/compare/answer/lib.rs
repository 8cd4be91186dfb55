//! The library that is called and reloaded. Two packages build it, and differ in
//! the version that it answers with. What a `cdylib` has of `std` makes the file about
//! 400 KB, as much as a small real plugin; copying and hashing take time by the byte.

const VERSION: u64 = match env!("CARGO_PKG_VERSION_MAJOR").as_bytes() {
    b"1" => 1,
    b"2" => 2,
    _ => panic!("there are two versions"),
};

/// The argument plus this library's version.
#[unsafe(no_mangle)]
pub extern "C" fn answer_c(argument: u64) -> u64 {
    argument.wrapping_add(VERSION)
}

/// The same in Rust's own calling convention, which hot-lib-reloader asks for.
#[unsafe(no_mangle)]
pub fn answer(argument: u64) -> u64 {
    argument.wrapping_add(VERSION)
}
