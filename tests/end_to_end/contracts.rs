//! What the author of a contract meets, in a crate that depends on the interface
//! alone: every mistake is one compile error, at its place, with what to write instead.

use plugbay_tests::check_mine;
use plugbay_tests::mine::{CONTRACT, OFFER, OFFER_TOML};

/// Stands before what the compiler is to point at.
const HERE: char = '«';

/// Does not compile, and the compiler says these things, there, in one error.
#[track_caller]
fn assert_said(toml: &str, marked: &str, words: &[&str]) {
    let source = marked.replace(HERE, "");
    let said = check_mine(toml, &source).expect_err("a mistake is a compile error");
    let place = marked.split_once(HERE).map(|(before, _)| {
        let line = before.rsplit('\n').next().unwrap_or_default();
        let column = line.chars().count() + 1;
        format!("--> src/lib.rs:{}:{column}\n", before.matches('\n').count() + 1)
    });
    for word in words.iter().copied().chain(place.as_deref()) {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    let errors = said.lines().filter(|line| line.starts_with("error")).count();
    assert_eq!(errors, 2, "one mistake is one error, and cargo's last word:\n{said}");
}

/// The contract with this in the place of that.
#[track_caller]
fn mistake(that: &str, this: &str, words: &str) {
    assert!(CONTRACT.contains(that), "{that}");
    assert_said("", &CONTRACT.replacen(that, this, 1), &[words]);
}

#[test]
fn the_compiling_twins_of_the_mistakes_compile() {
    assert_eq!(check_mine("", CONTRACT), Ok(String::new()));
    assert_eq!(check_mine(OFFER_TOML, &[CONTRACT, OFFER].concat()), Ok(String::new()));
}

#[test]
fn an_id_or_a_version_that_is_none() {
    mistake("\"my-company.renderer", "«\"Renderer", "whose it is and what it is");
    mistake("\"1.1\")]\npub", "«\"1\")]\npub", "write two numbers");
    mistake(
        "#[service(id = \"my-company.renderer\", version = \"1.1\")",
        "«#[service",
        "write #[service(id = \"my-company.renderer\", version = \"1.0\")]",
    );
}

#[test]
fn a_trait_that_cannot_be_one() {
    mistake("Renderer: Send + Sync", "«Renderer", "write `trait Renderer: Send + Sync`");
    mistake("Sync {", "Sync + «Clone {", "no supertraits but Send and Sync");
    mistake("Renderer:", "Renderer<«T>:", "no generic parameters: its layout must be known");
    mistake("    fn render", "    «const N: u8;\n    fn render", "methods and nothing else");
}

#[test]
fn a_method_that_cannot_be_called_through_a_table() {
    mistake("(&self, text", "(«&mut self, text", "takes `&self`");
    mistake("(&self, text", "(«self, text", "takes `&self`");
    mistake("render(&self, text: &str", "«render(text: &str", "takes `&self`");
    mistake("render(", "render<«T>(", "no generic parameters, lifetimes included");
    mistake("fn render(", "unsafe fn «render(", "a safe function");
    mistake("    fn render", "    «#[cfg(unix)]\n    fn render", "the same methods everywhere");
}

#[test]
fn a_method_that_cannot_fail() {
    let words = "give `Result<T, Error>` with this as `T`";
    mistake("Result<String, Error>", "«String", words);
    mistake(
        "render(&self, text: &str, options: Options) -> Result<String, Error>",
        "«render(&self, text: &str)",
        "-> Result<(), Error>",
    );
    let words = "gives `Result<T, Error>`, and not `Result<";
    mistake("Result<String, Error>", "«Result<String, std::fmt::Error>", words);
}

#[test]
fn an_argument_that_cannot_cross() {
    let of_options = CONTRACT.replacen("s: Options", "s: «Options", 1);
    let words = ["`Options` cannot cross", "put `#[plugbay_interface::shared]` on it"];
    assert_said("", &of_options.replacen("#[shared]\n", "", 1), &words);
    mistake("s: Options", "s: «std::time::Instant", "`Instant` cannot cross");
    mistake("s: Options", "s: «&Options", "only `&str` and `&[T]` of numbers are lent");
    mistake("s: Options", "s: «&mut [u8]", "nothing is lent to be changed");
    mistake("s: Options", "s: «impl Copy", "name the type");
    mistake("s: Options", "s: Box<«dyn Send>", "does not cross: give data");
    mistake("s: Options", "s: «fn()", "a function does not cross");
    mistake("s: Options", "s: Vec<«Self>", "`Self` is another type on each side");
    mistake("&[u8]", "&[«String]", "only slices of what crosses as itself can be lent");
    mistake("options: Options", "«_: Options", "an argument of a contract has a name");
    mistake("options: Options", "«_text: Options", "there is another argument `text`");
    mistake("text: &str", "text: &«'static str", "leave the lifetime out");
}

#[test]
fn a_result_that_cannot_cross() {
    mistake("Result<String, Error>", "Result<«&str, Error>", "`String` for `&str`");
    let instant = "Result<«std::time::Instant, Error>";
    mistake("Result<String, Error>", instant, "`Instant` cannot cross");
}

#[test]
fn a_version_that_does_not_follow() {
    let later = "#[since(\"1.1\")]";
    mistake(later, "#[since(«\"1.2\")]", "raise it to 1.2");
    mistake(later, "#[since(«\"2.0\")]", "nothing in common");
    mistake(later, "#[since(«1)]", "#[since(\"1.1\")]");
    mistake(
        "clear(&self, all: bool) -> Result<(), Error> {\n        Err(Error::unsupported())\n    }\n",
        "«clear(&self, all: bool) -> Result<(), Error>;\n",
        "has a body, for callers of a plugin that is older: `{ Err(Error::unsupported()) }`",
    );
}

#[test]
fn shared_data_that_cannot_be() {
    mistake("struct Options {", "struct Options<«T> {", "no generic parameters");
    mistake("#[shared]\n", "#[shared]\n«#[repr(C)]\n", "leave it out");
    mistake("#[shared]\n", "#[shared(«open)]\n", "#[shared(growing)]");
    let without = CONTRACT.replacen("    #[fallback]\n", "", 1).replace("Event {", "«Event {");
    assert_said(
        "",
        &without.replace("«Event {", "Event {").replacen("enum E", "enum «E", 1),
        &["with #[fallback] on it"],
    );
    mistake(
        "    #[fallback]\n    Other,",
        "    #[fallback]\n    «Other(u8),",
        "is the #[fallback]",
    );
    let untagged = "#[shared(growing)]\n«#[serde(untagged)]\n";
    mistake("#[shared(growing)]\n", untagged, "leave `untagged` out");
    let said =
        check_mine("", &CONTRACT.replace("width: u16", "width: std::time::Instant")).unwrap_err();
    assert!(said.contains("`Instant` cannot cross") && said.contains("src/lib.rs:5:16"), "{said}");
}

/// A plugin that offers the contract, with this in the place of that.
#[track_caller]
fn offer(toml: &str, that: &str, this: &str, words: &[&str]) {
    assert!(OFFER.contains(that), "{that}");
    assert_said(toml, &[CONTRACT, &OFFER.replacen(that, this, 1)].concat(), words);
}

const OFFERED: &str = ".offer::<dyn Renderer>()";

#[test]
fn a_service_that_plugin_toml_does_not_declare() {
    let words = ["declare it there", "id = \"my-company.renderer\"", "version = \"1.1\""];
    offer("id = \"mine\"\n", OFFERED, ".offer::<«dyn Renderer>()", &words);
}

#[test]
fn a_service_that_is_declared_and_not_offered() {
    let words = ["plugin.toml:3: the service my-company.renderer is not offered"];
    offer(OFFER_TOML, OFFERED, "", &words);
}

#[test]
fn a_service_of_another_version_than_declared() {
    let toml = OFFER_TOML.replace("1.1", "1.0");
    let words = ["plugin.toml:3: write version = \"1.1\""];
    offer(&toml, OFFERED, ".offer::<«dyn Renderer>()", &words);
}

#[test]
fn a_service_that_is_offered_twice_or_without_its_name() {
    let twice = format!("{OFFERED}.offer_by::<«dyn Renderer, _>(|mine| mine)");
    offer(OFFER_TOML, OFFERED, &twice, &["is offered twice"]);
    offer(OFFER_TOML, OFFERED, ".«offer()", &["write the contract out"]);
}

#[test]
fn a_service_that_the_plugin_does_not_implement() {
    let words = [
        "`Mine` does not implement the contract my-company.renderer",
        "write `#[service] impl Renderer for Mine`",
    ];
    offer(OFFER_TOML, "impl Renderer for Mine", "impl Renderer for Options", &words);
}

#[test]
fn service_on_an_implementation_takes_nothing() {
    let words = ["the id and the version stand on the trait"];
    offer(OFFER_TOML, "#[service]", "#[service(«id = \"a.b\", version = \"1.0\")]", &words);
    let said = check_mine(
        OFFER_TOML,
        &[CONTRACT, &OFFER.replace("impl Renderer for Mine", "impl Mine")].concat(),
    );
    assert!(said.unwrap_err().contains("#[service] stands on `impl Trait for X`"));
}
