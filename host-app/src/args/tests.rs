use clap::CommandFactory;

use super::*;

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn a_target_is_an_id_a_colon_and_a_command() {
    let target = Target { plugin: "kv".into(), command: "get".into() };
    assert_eq!("kv:get".parse(), Ok(target));
    // The first colon counts: an id has none, and a command might.
    let target = Target { plugin: "kv".into(), command: "a:b".into() };
    assert_eq!("kv:a:b".parse(), Ok(target));
    for bad in ["", "kv", "kv:", ":get", ":"] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}

#[test]
fn common_options_stand_anywhere() {
    for line in ["host-app --json list", "host-app list --json"] {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert!(arguments.common.json, "{line}");
    }
}

#[test]
fn arguments_may_be_a_dash_or_a_negative_number() {
    for given in ["-", "-5", "@file", "{}"] {
        let arguments =
            Arguments::try_parse_from(["host-app", "call", "a:b", given, "--raw"]).unwrap();
        let Command::Call { arguments, raw, .. } = arguments.command else { panic!() };
        assert_eq!((arguments.as_str(), raw), (given, true));
    }
}
