//! Plugins whose versions run side by side, and that are enabled in some of them.

use plugbay_loader::interface::serde_json::json;
use plugbay_loader::{Explain, Host, Policy, Versions, full_message};
use plugbay_tests::{Folder, piece};

/// sql in two lines, and one that needs the first of them.
fn host(folder: &Folder) -> Host {
    folder.write("one.so", piece("sql", "1.4.0", ""));
    folder.write("two.so", piece("sql", "2.0.0", ""));
    folder.write("three.so", piece("needy", "1.0.0", "[dependencies]\nsql = \"^1\"\n"));
    let of_sql = |policy: &mut Policy| {
        policy.versions_of.insert("sql".parse().unwrap(), Versions::Compatible);
    };
    let host = folder.host().policy(of_sql).build().unwrap();
    assert!(host.start().unwrap().refused.is_empty());
    host
}

/// They ended because of an earlier wish, and what counts is the last one.
#[test]
fn what_is_not_among_the_enabled_versions_was_not_unloaded_by_hand() {
    let folder = Folder::new();
    let host = host(&folder);
    host.disable("sql").unwrap();
    host.enable("sql@^2").unwrap();
    let refused = host.refused();
    let whys: Vec<_> = refused.iter().map(|it| full_message(&it.error)).collect();
    assert!(whys.iter().any(|why| why.contains("needy")), "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("^2 only")), "{whys:?}");
    assert!(whys.iter().all(|why| !why.contains("by hand")), "{whys:?}");
    let error = host.call("sql@^1", "count", json!({})).unwrap_err();
    assert_eq!(error.code(), "PB0313", "{error}");
    assert!(error.to_string().contains("was enabled in versions ^2 only"), "{error}");
    assert_eq!(host.call("sql", "count", json!({})).unwrap(), 1);
}

#[test]
fn the_answer_to_an_enable_is_what_it_brought() {
    let folder = Folder::new();
    let host = host(&folder);
    host.disable("sql").unwrap();
    host.enable("sql@^2").unwrap();
    assert_eq!(host.enable("sql").unwrap().name, "sql@1");
    assert_eq!(host.enable("sql").unwrap().name, "sql@2");
    assert_eq!(host.call("needy", "count", json!({})).unwrap(), 1);
}
