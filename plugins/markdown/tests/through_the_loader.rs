//! The plugin as a host sees it.

use plugbay_loader::CallError;
use plugbay_tests::serving;
use serde_json::json;

const PACKAGE: &str = "plugbay-plugin-markdown";

#[test]
fn tables_are_rendered_without_any_configuration() {
    let host = serving(PACKAGE, json!({}));
    let text = "# Prices\n\n| what | how much |\n|---|---:|\n| tea | 2 |\n";
    let result = host.call("markdown", "render", json!({ "text": text })).unwrap();
    let html = result["html"].as_str().unwrap();
    assert!(html.starts_with("<h1>Prices</h1>\n<table>"), "{html}");
    assert!(html.contains("<td style=\"text-align: right\">2</td>"), "{html}");
}

#[test]
fn the_configuration_chooses_flavour_and_html() {
    let config = json!({"flavour": "commonmark", "allow_html": false, "heading_ids": true});
    let host = serving(PACKAGE, config);
    let text = "# Hi\n\n~~a~~ <b>b</b>";
    let result = host.call("markdown", "render", json!({ "text": text })).unwrap();
    assert_eq!(
        result,
        json!({"html": "<h1 id=\"hi\">Hi</h1>\n<p>~~a~~ &lt;b&gt;b&lt;/b&gt;</p>\n"})
    );
}

#[test]
fn outline_and_words_look_at_what_a_reader_sees() {
    let host = serving(PACKAGE, json!({}));
    let text = "# One *two*\n\nThree [four](https://example.org).\n";
    assert_eq!(
        host.call("markdown", "outline", json!({ "text": text })).unwrap(),
        json!({"headings": [{"level": 1, "text": "One two", "id": "one-two"}]})
    );
    assert_eq!(
        host.call("markdown", "words", json!({ "text": text })).unwrap(),
        json!({"words": 4, "characters": 16, "reading_minutes": 1})
    );
}

#[test]
fn a_text_that_is_none_is_an_error_of_the_arguments() {
    let host = serving(PACKAGE, json!({}));
    for arguments in [json!({"text": 3}), json!({}), json!({"text": "", "more": 1})] {
        let error = host.call("markdown", "render", arguments).unwrap_err();
        assert!(matches!(error, CallError::Arguments { .. }), "{error:?}");
    }
}
