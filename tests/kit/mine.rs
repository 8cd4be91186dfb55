//! The least that a plugin's author writes: the plugin `mine`.

/// Its `Cargo.toml`.
pub const CARGO: &str = "\
[package]
name = \"mine\"
version = \"0.1.0\"
edition = \"2024\"

[lib]
crate-type = [\"cdylib\"]

[dependencies]
plugbay-interface = { path = \"../plugbay/interface\" }
";

/// Its `plugin.toml`.
pub const TOML: &str = "\
id = \"mine\"

[commands.go]
summary = \"Goes.\"
";

/// Its `src/lib.rs`.
pub const SOURCE: &str = "\
use plugbay_interface::prelude::*;

struct Mine;

#[plugin]
impl Plugin for Mine {
    type Config = ();
    type State = ();

    fn activate(_: Context, _: (), _: Option<()>) -> Result<Self, Error> {
        Ok(Mine)
    }

    fn commands(&self) -> Commands<Self> {
        commands().on(\"go\", |_, _: ()| Ok(\"gone\"))
    }
}
";
