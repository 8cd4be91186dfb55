//! Tells the tests which target they are built for.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=PLUGBAY_TEST_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
