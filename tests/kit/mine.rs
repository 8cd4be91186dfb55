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

/// Another crate of the author's, with a contract and its data.
pub const CONTRACT: &str = "\
use plugbay_interface::prelude::*;

#[shared]
pub struct Options {
    pub width: u16,
}

#[shared(growing)]
pub enum Event {
    Began,
    #[fallback]
    Other,
}

#[service(id = \"my-company.renderer\", version = \"1.1\")]
pub trait Renderer: Send + Sync {
    fn render(&self, text: &str, options: Options) -> Result<String, Error>;
    async fn follow(&self, numbers: &[u8]) -> Result<Vec<Event>, Error>;
    #[since(\"1.1\")]
    fn clear(&self, all: bool) -> Result<(), Error> {
        Err(Error::unsupported())
    }
}
";

/// The `plugin.toml` of a plugin that offers it.
pub const OFFER_TOML: &str = "\
id = \"mine\"

[[services]]
id = \"my-company.renderer\"
version = \"1.1\"
";

/// What `CONTRACT` goes on with in such a plugin.
pub const OFFER: &str = "
struct Mine;

#[service]
impl Renderer for Mine {
    fn render(&self, text: &str, options: Options) -> Result<String, Error> {
        Ok(text.chars().take(options.width.into()).collect())
    }

    async fn follow(&self, numbers: &[u8]) -> Result<Vec<Event>, Error> {
        Ok(numbers.iter().map(|_| Event::Began).collect())
    }
}

#[plugin]
impl Plugin for Mine {
    type Config = ();
    type State = ();

    fn activate(_: Context, _: (), _: Option<()>) -> Result<Self, Error> {
        Ok(Mine)
    }

    fn services(&self) -> Services<Self> {
        services().offer::<dyn Renderer>()
    }
}
";
