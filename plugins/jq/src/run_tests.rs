use super::*;

fn run(filter: &str, input: Value) -> Result<Vec<Value>, Error> {
    with(filter, input, Config::default())
}

fn with(filter: &str, input: Value, config: Config) -> Result<Vec<Value>, Error> {
    let request = Request { filter: filter.into(), input, args: BTreeMap::new(), limit: None };
    super::filter(request, &config, &Cache::default()).map(|it| it.outputs)
}

#[track_caller]
fn gives(filter: &str, input: Value, outputs: Value) {
    assert_eq!(Value::from(run(filter, input).unwrap()), outputs, "{filter}");
}

#[track_caller]
fn code(filter: &str, config: Config) -> String {
    let error = with(filter, json!(null), config).unwrap_err();
    println!("{filter}: {error}");
    error.code().to_owned()
}

/// Small enough that a filter without end meets a limit within a moment.
fn small() -> Config {
    Config { max_seconds: 1.0, max_memory_mib: 8, ..Config::default() }
}

/// Little memory, and the time to fill it on a busy machine.
fn patient() -> Config {
    Config { max_seconds: 60.0, ..small() }
}

#[test]
fn filters_do_what_the_manual_of_jq_says() {
    let people = json!({"people": [{"name": "Ann", "age": 41}, {"name": "Bob", "age": 17}]});
    gives(".people[] | select(.age > 18).name", people.clone(), json!(["Ann"]));
    gives(".people | map(.age) | add / length", people.clone(), json!([29.0]));
    gives(".people[0].age += 1 | .people[0].age", people.clone(), json!([42]));
    gives(".people | sort_by(.age) | .[0].name", people.clone(), json!(["Bob"]));
    gives("[paths]", json!({"a": [1]}), json!([[["a"], ["a", 0]]]));
    gives("to_entries", json!({"a": 1}), json!([[{"key": "a", "value": 1}]]));
    gives("del(.[1, 2])", json!([1, 2, 3, 4]), json!([[1, 3]]));
    gives(".[2:4], .[:-1], .[-2:]", json!([0, 1, 2, 3, 4]), json!([[2, 3], [0, 1, 2, 3], [3, 4]]));
    gives(".[1:3] = [\"x\"]", json!([0, 1, 2, 3]), json!([[0, "x", 3]]));
    gives(".[:-1] |= map(. + 1)", json!([0, 1, 2]), json!([[1, 2, 2]]));
    gives(".[1:2] |= ascii_upcase", json!("abc"), json!(["aBc"]));
    gives(".a.b[2] = 1, (.c |= empty)", json!(null), json!([{"a": {"b": [null, null, 1]}}, {}]));
    gives(
        ".[-1] = 9, (try (.[-3] = 9) catch .)",
        json!([1, 2]),
        json!([[1, 9], "index -3 out of bounds"]),
    );
    gives("[limit(3; repeat(.))]", json!(1), json!([[1, 1, 1]]));
    gives("reduce range(5) as $i (0; . + $i)", json!(null), json!([10]));
    gives("[.[] | tonumber? // \"no\"]", json!(["1", "x", "2.5"]), json!([[1, "no", 2.5]]));
    gives(
        "tojson, (tojson | fromjson)",
        json!({"a": [1, null, "\""]}),
        json!(["{\"a\":[1,null,\"\\\"\"]}", {"a": [1, null, "\""]}]),
    );
    gives("\"\\(.a) and \\(.b)\"", json!({"a": 1, "b": [2]}), json!(["1 and [2]"]));
    gives("gsub(\"(?<l>[a-z])\"; \"<\\(.l)>\")", json!("ab1"), json!(["<a><b>1"]));
    gives("[match(\"a\"; \"g\").offset]", json!("éaba"), json!([[1, 3]]));
    gives(
        ". * 3, . / \",\", split(\", \")",
        json!("a,b"),
        json!(["a,ba,ba,b", ["a", "b"], ["a,b"]]),
    );
    gives(". * {a: {c: 3}}", json!({"a": {"b": 1, "c": 2}}), json!([{"a": {"b": 1, "c": 3}}]));
    gives(". - [2, 3]", json!([1, 2, 3, 2, 4]), json!([[1, 4]]));
    gives(
        "unique, group_by(. % 2), (map(-.) | sort)",
        json!([3, 1, 2, 3]),
        json!([[1, 2, 3], [[2], [3, 1, 3]], [-3, -3, -2, -1]]),
    );
    gives(
        "contains({a: [\"oo\"]}), inside({a: [\"foo\", 1]})",
        json!({"a": ["foo"]}),
        json!([true, true]),
    );
    gives("has(0), has(3)", json!([1]), json!([true, false]));
    gives("indices(\"a\"), index(\"b\"), rindex(\"a\")", json!("éaba"), json!([[1, 3], 2, 3]));
    gives("indices([1, 2])", json!([0, 1, 2, 1, 2]), json!([[1, 3]]));
    gives("bsearch(2), bsearch(5)", json!([1, 2, 3]), json!([1, -4]));
    gives("try error({a: 1}) catch .a", json!(null), json!([1]));
    gives("1, halt, 2", json!(null), json!([1]));
    gives("[.[] as [$a, {b: $c}] | $a + $c]", json!([[1, {"b": 2}]]), json!([[3]]));
    gives(
        "@base64, (@base64 | @base64d), @uri, @html, @json, @sh",
        json!("a<b"),
        json!(["YTxi", "a<b", "a%3Cb", "a&lt;b", "\"a<b\"", "'a<b'"]),
    );
    gives(
        "walk(if type == \"number\" then . + 1 end)",
        json!([1, [2, {"a": 3}]]),
        json!([[2, [3, {"a": 4}]]]),
    );
    gives("todate", json!(0), json!(["1970-01-01T00:00:00Z"]));
    gives(
        "ascii_downcase, ltrimstr(\"A\"), explode, length",
        json!("Aé"),
        json!(["aé", "é", [65, 233], 2]),
    );
}

#[test]
fn numbers_leave_as_json_has_them() {
    gives("., . + 1", json!(u64::MAX), json!([u64::MAX, 18_446_744_073_709_551_616.0]));
    gives("nan, infinite, -infinite", json!(null), json!([null, f64::MAX, f64::MIN]));
    gives(". % -1, length", json!(i64::MIN), json!([0, 9_223_372_036_854_775_808_u64]));
    gives("1.0, 1e2, 0.1", json!(null), json!([1.0, 100.0, 0.1]));
}

#[test]
fn variables_and_limits_are_taken() {
    let request = |limit| Request {
        filter: "range(infinite) + $start".into(),
        input: json!(null),
        args: [("start".to_owned(), json!(5)), ("other".to_owned(), json!([]))].into(),
        limit: Some(limit),
    };
    let outputs = |limit| {
        super::filter(request(limit), &Config::default(), &Cache::default()).unwrap().outputs
    };
    assert_eq!(Value::from(outputs(3)), json!([5, 6, 7]));
    assert!(outputs(0).is_empty());
    let bad = Request { args: [("a-b".to_owned(), json!(1))].into(), ..request(1) };
    assert_eq!(
        super::filter(bad, &Config::default(), &Cache::default()).unwrap_err().code(),
        "arguments"
    );
}

#[test]
fn mistakes_have_a_code_and_a_place() {
    let message = |filter, input| {
        let error = run(filter, input).unwrap_err();
        (error.code().to_owned(), error.to_string())
    };
    for (filter, mistake) in [
        (".a |\n  foo(1)", "2:3: there is no filter `foo/1`"),
        (".a | $x", "1:6: there is no variable `$x`"),
        ("[1, 2", "1:1: this `[` is not closed; found the end"),
        (".a | | .b", "1:6: expected term, found `|`"),
        ("if . then 1", "1:12: expected else or end, found the end"),
        (". § 1", "1:3: expected token, found `§`"),
        ("env", "1:1: there is no filter `env/0`"),
    ] {
        let expected = format!("the filter does not compile: {mistake}");
        assert_eq!(message(filter, json!(null)), ("compile".into(), expected));
    }
    for (filter, input, expected) in [
        (".a.b", json!({"a": 1}), "cannot index 1 with \"b\""),
        (".[]", json!(1), "cannot use 1 as iterable (array or object)"),
        ("error(\"no luck\")", json!(null), "no luck"),
        ("{} + 1", json!(null), "cannot calculate {} + 1"),
        ("{(.): 1}", json!(1), "cannot use 1 as object key, which is a string"),
        (
            "fromjson",
            json!("[1,"),
            "cannot parse \"[1,\" as JSON: EOF while parsing a value at line 1 column 3",
        ),
    ] {
        assert_eq!(message(filter, input), ("runtime".into(), expected.into()));
    }
    assert_eq!(message("halt_error", json!(null)).0, "halted");
}

#[test]
fn an_endless_filter_meets_a_limit() {
    assert_eq!(code("repeat(.)", small()), "too-many-outputs");
    assert_eq!(code("def f: f; f", small()), "timeout");
    assert_eq!(code("range(0; 1; 0) | empty", small()), "timeout");
    assert_eq!(code("last(range(infinite))", small()), "timeout");
    assert_eq!(code("[recurse(.)]", patient()), "memory");
    assert_eq!(code("[range(infinite)]", patient()), "memory");
    assert_eq!(code("reduce range(1000) as $i (\"x\"; . + .)", patient()), "memory");
    assert_eq!(code("reduce range(1000) as $i ([1]; . + .)", patient()), "memory");
    assert_eq!(code("\"x\" * 1e18 | length", small()), "runtime");
    assert_eq!(code("\"x\" * 1000000000000 | length", patient()), "memory");
    assert_eq!(code("\"x\" * 100000000000000000000 | length", patient()), "memory");
    assert_eq!(code("reduce range(100) as $i (10; . * .)", small()), "runtime");
    assert_eq!(code("(\"9\" * 100000 | tonumber) | . * .", small()), "runtime");
    assert_eq!(code("\"x\" * 10000000 | [match(\"\"; \"g\")] | length", patient()), "memory");
    // No match at all, and refused for the matches that there could be.
    assert_eq!(code("\"x\" * 100000 | [match(\"a\"; \"g\")] | length", patient()), "memory");
    assert_eq!(code("\"x\" * 100000 | gsub(\"a\"; \"b\") | length", patient()), "memory");
    gives("\"x\" * 100000 | test(\"a\")", json!(null), json!([false]));
    assert_eq!(code("\"x\" * 10000000 / \"\" | length", patient()), "memory");
    assert_eq!(code(".[1000000000000] = 1 | length", patient()), "memory");
}

#[test]
fn recursion_without_end_does_not_reach_the_end_of_the_stack() {
    for filter in [
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: f | f; f",
        "def f: f, .; f",
        "def f(g): f(g | g); f(.)",
        "def f(g): g | f(f(g)); f(.)",
        "def f: {a: f}; f",
        "def f: try f catch .; 1 + f",
        "def f: . as $x | [f] | $x; f",
        "def f: reduce f as $x (0; 1); f",
        "def f: first(f); f",
        "def f: label $l | f + 1; f",
        "def f: if f then 1 else 2 end; f",
        "[recurse([.])]",
    ] {
        let config = Config { max_seconds: 1.5, ..Config::default() };
        let code = code(filter, config);
        assert!(["too-deep", "memory", "timeout"].contains(&code.as_str()), "{filter}: {code}");
    }
}

#[test]
fn values_do_not_nest_without_end() {
    for filter in [
        "reduce range(1000000) as $i (null; [.])",
        "reduce range(1000000) as $i (null; {a: .})",
        "reduce range(1000000) as $i ([]; .[0] = .)",
        "reduce range(1000000) as $i ([[]]; .[0:1] = [.])",
        "reduce range(1000000) as $i ({}; .a |= {b: .} | {c: .})",
        "[limit(1000000; recurse([.]))] | last",
        "reduce range(1000000) as $i ([]; .[0] = .)",
        "reduce range(1000000) as $i ({}; {a: .} * {b: .})",
        "reduce range(1000000) as $i ([]; [.] + [.])",
        "null | setpath([range(100000) | \"a\"]; 1)",
        "reduce range(2000) as $i ({}; {a: .}) | [paths] | length",
    ] {
        let code = code(filter, Config::default());
        assert!(["too-deep", "runtime"].contains(&code.as_str()), "{filter}: {code}");
    }
    gives("reduce range(1000) as $i (null; [.]) | [..] | length", json!(null), json!([1001]));
    gives("reduce range(1000) as $i (null; [.]) | tojson | length", json!(null), json!([2004]));
    gives(
        "reduce range(1000) as $i (null; [.]) | . == ., flatten",
        json!(null),
        json!([true, [null]]),
    );
    assert_eq!(code("reduce range(101) as $i (null; [.])", small()), "too-deep");
    assert_eq!(code("\"[\" * 100000 | fromjson", small()), "runtime");
}

#[test]
fn long_paths_and_chains_of_closures_are_dropped_without_harm() {
    let config = || Config { max_seconds: 1.5, ..Config::default() };
    for filter in [
        // The list of a path grows by a node a step, and is dropped by recursion.
        "path(last(limit(100000000; recurse(.a)))) | length",
        "path(last(limit(100000000; recurse(.[0:])))) | length",
        "last(path(limit(100000000; recurse(.a)))) | length",
        // A closure holds the one before it.
        "def f(g; $n): if $n > 0 then f(g | .; $n - 1) else g end; f(.; 100000000)",
        "def f($n): def g: $n; f(g + 1); f(0)",
        "reduce range(100000000) as $i (.; . as $x | $x)",
        "label $out | foreach range(100000000) as $i (0; . + 1; if . == -1 then ., break $out else empty end)",
    ] {
        let error = with(filter, json!(null), config()).map(drop);
        let code = error.map_err(|error| error.code().to_owned()).err().unwrap_or_default();
        println!("{filter}: {code}");
        assert!(
            ["memory", "too-deep", "timeout", "runtime", ""].contains(&code.as_str()),
            "{filter}: {code}"
        );
    }
}

#[test]
fn what_is_shared_thousandfold_is_neither_written_nor_compared_to_the_end() {
    let shared = "reduce range(200) as $i (1; [., .])";
    for rest in [
        "tojson",
        "[., (1 | SHARED)] | .[0] == .[1]",
        "[..]",
        "tostring | length",
        "sort | length",
        "flatten",
    ] {
        let code = code(&format!("{shared} | {}", rest.replace("SHARED", shared)), small());
        assert!(["memory", "timeout"].contains(&code.as_str()), "{rest}: {code}");
    }
    let objects = "reduce range(200) as $i ({}; {a: ., b: .})";
    for rest in [
        ". * .",
        "[., ({} | SHARED)] | .[0] < .[1]",
        "@json",
        "error",
        "contains({c: 1}), contains(.)",
    ] {
        let code = code(&format!("{objects} | {}", rest.replace("SHARED", objects)), small());
        assert!(["memory", "timeout", "runtime"].contains(&code.as_str()), "{rest}: {code}");
    }
}

#[test]
fn a_filter_that_is_nothing_but_nesting_compiles_or_is_refused() {
    let length = 16 << 10;
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{a:", "}"),
        ("-", "1"),
        ("try ", "1"),
        ("if ", ""),
        ("\"\\(", ")\""),
        (".[", "]"),
        ("1+(", ")"),
        ("def f: ", ""),
        (". as [", "]"),
        ("reduce ", ""),
        (".a|", "."),
        ("1,", "1"),
        ("1+", "1"),
        ("1//", "1"),
        ("1 as $x|", "1"),
        (".[]?", ""),
        ("..|", "."),
    ] {
        let pairs = length / (open.len() + close.len());
        for filter in [open.repeat(length / open.len()), open.repeat(pairs) + &close.repeat(pairs)]
        {
            // Whatever comes of it, it comes back.
            let outcome = with(&filter, json!(null), small());
            println!("{open}…{close}: {:?}", outcome.map(drop));
        }
    }
    assert_eq!(code(&" ".repeat(length + 1), small()), "compile");
}
