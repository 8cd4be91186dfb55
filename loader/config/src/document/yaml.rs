//! YAML, by the events of `saphyr-parser`.
//!
//! What makes YAML surprising is left out, with a message: tags, several documents,
//! keys that are no text, and the merge key of YAML 1.1. Aliases are taken, as long
//! as the document with all of them written out would still be a file in the limits.

mod scalar;

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::tree::{Content, Entries, Malformed, Node};
use crate::key_path::{KeyPath, Step};

pub(super) fn parse(text: &str, bytes: usize, depth: usize) -> Result<Node, Malformed> {
    Yaml::new(text, bytes, depth).document()
}

struct Yaml<'a> {
    /// Where each character begins, as the parser counts characters.
    starts: Vec<usize>,
    text: &'a str,
    bytes: usize,
    depth: usize,
    /// The lists and tables that are open, the innermost last.
    open: Vec<Open>,
    path: KeyPath,
    anchors: HashMap<usize, Anchored>,
    /// How long the document is with its aliases written out.
    written_out: usize,
    /// How much of that is kept for aliases that may come.
    kept: usize,
}

struct Open {
    start: usize,
    anchor: usize,
    written_out: usize,
    height: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Table { entries: Entries, key: Option<(String, Range<usize>)> },
}

struct Anchored {
    node: Node,
    written_out: usize,
    /// How many levels of lists and tables it has.
    height: usize,
}

impl<'a> Yaml<'a> {
    fn new(text: &'a str, bytes: usize, depth: usize) -> Self {
        let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self {
            starts,
            text,
            bytes,
            depth,
            open: Vec::new(),
            path: KeyPath::default(),
            anchors: HashMap::new(),
            written_out: 0,
            kept: 0,
        }
    }

    fn document(mut self) -> Result<Node, Malformed> {
        let mut top = None;
        let mut documents = 0_usize;
        let mut parser = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, place) = event.map_err(|error| {
                let at = self.offset(error.marker().index());
                Malformed::new(at..at, &self.path, error.info(), "correct the YAML there")
            })?;
            let span = self.span(&place);
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Malformed::new(
                            span,
                            &self.path,
                            "a second document begins here, and a configuration is one",
                            "take the line `---` out, or make two files",
                        ));
                    }
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span)?;
                    self.begin(span, anchor, OpenKind::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span)?;
                    let kind = OpenKind::Table { entries: Entries::default(), key: None };
                    self.begin(span, anchor, kind)?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(node) = self.end(span)? {
                        top = Some(node);
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span)?;
                    if self.wants_key() {
                        self.key(&text, style, span)?;
                    } else {
                        let content = scalar::content(&text, style, &span, &self.path)?;
                        let written_out = span.len().max(1);
                        let node = Node::new(span, content);
                        if let Some(node) = self.add(node, anchor, written_out, 0)? {
                            top = Some(node);
                        }
                    }
                }
                Event::Alias(anchor) => {
                    if let Some(node) = self.alias(anchor, span)? {
                        top = Some(node);
                    }
                }
            }
        }
        // Nothing but comments: a table without keys, as in TOML.
        let nothing = || Node::new(0..0, Entries::default().into_content());
        Ok(top.unwrap_or_else(nothing))
    }

    fn begin(
        &mut self,
        span: Range<usize>,
        anchor: usize,
        kind: OpenKind,
    ) -> Result<(), Malformed> {
        if self.wants_key() {
            return Err(self.no_text_key(span));
        }
        if self.open.len() >= self.depth {
            return Err(Malformed::too_deep(span, &self.path, self.depth));
        }
        self.anchors.remove(&anchor);
        if matches!(kind, OpenKind::List(_)) {
            self.path.push(Step::Index(0));
        }
        self.open.push(Open { start: span.start, anchor, written_out: 1, height: 1, kind });
        Ok(())
    }

    /// Gives the document's node when it was the outermost that ended.
    fn end(&mut self, span: Range<usize>) -> Result<Option<Node>, Malformed> {
        let Some(open) = self.open.pop() else { return Ok(None) };
        let content = match open.kind {
            OpenKind::List(nodes) => {
                self.path.pop();
                Content::List(nodes)
            }
            OpenKind::Table { entries, .. } => entries.into_content(),
        };
        // An end that is told by the next line's indentation lies there.
        let end = span.end.max(open.start);
        let written = self.text.get(open.start..end).unwrap_or_default().trim_end();
        let node = Node::new(open.start..open.start + written.len(), content);
        self.add(node, open.anchor, open.written_out, open.height)
    }

    /// Puts a finished value where it belongs. Gives it back when that is the top.
    fn add(
        &mut self,
        node: Node,
        anchor: usize,
        written_out: usize,
        height: usize,
    ) -> Result<Option<Node>, Malformed> {
        if anchor != 0 {
            // Of anchors inside of each other each keeps a copy of the same values.
            self.kept = self.kept.saturating_add(written_out);
            if self.kept > self.bytes {
                let message =
                    format!("what has anchors (`&name`) here is more than {} bytes", self.bytes);
                return Err(Malformed::new(node.span, &self.path, message, "use fewer anchors"));
            }
            self.anchors.insert(anchor, Anchored { node: node.clone(), written_out, height });
        }
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        open.written_out = open.written_out.saturating_add(written_out);
        open.height = open.height.max(height + 1);
        match &mut open.kind {
            OpenKind::List(nodes) => {
                nodes.push(node);
                let next = nodes.len();
                self.path.pop();
                self.path.push(Step::Index(next));
            }
            OpenKind::Table { entries, key } => {
                if let Some((key, key_span)) = key.take() {
                    entries.push(key, key_span, node);
                    self.path.pop();
                }
            }
        }
        Ok(None)
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Table { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, style: ScalarStyle, span: Range<usize>) -> Result<(), Malformed> {
        let plain = style == ScalarStyle::Plain;
        if plain && text == "<<" {
            return Err(Malformed::new(
                span,
                &self.path,
                "`<<` merges tables in YAML 1.1, and in YAML 1.2 no more",
                "write the keys out, or give the whole table by an alias",
            ));
        }
        if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Err(self.no_text_key(span));
        }
        let Some(Open { kind: OpenKind::Table { entries, key }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        if !entries.is_new(text) {
            return Err(Malformed::duplicate(span, &self.path, text));
        }
        *key = Some((text.to_owned(), span));
        self.path.push(Step::Key(text.to_owned()));
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<Option<Node>, Malformed> {
        if self.wants_key() {
            return Err(self.no_text_key(span));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Malformed::new(
                span,
                &self.path,
                "this alias stands inside of what it stands for",
                "write the value out",
            ));
        };
        let (written_out, height) = (anchored.written_out, anchored.height);
        if self.open.len() + height > self.depth {
            return Err(Malformed::too_deep(span, &self.path, self.depth));
        }
        self.written_out = self.written_out.saturating_add(written_out);
        if self.written_out > self.bytes {
            let message = format!(
                "with its aliases written out this document would have more than {} bytes",
                self.bytes
            );
            return Err(Malformed::new(span, &self.path, message, "repeat less by aliases"));
        }
        let node = Node::new(span, anchored.node.content.clone());
        self.add(node, 0, written_out, height)
    }

    fn no_text_key(&self, span: Range<usize>) -> Malformed {
        Malformed::new(
            span,
            &self.path,
            "a key must be a text",
            "write a text, in quotes if need be",
        )
    }

    fn refuse_tag(&self, tagged: bool, span: &Range<usize>) -> Result<(), Malformed> {
        if !tagged {
            return Ok(());
        }
        Err(Malformed::new(
            span.clone(),
            &self.path,
            "tags (`!name`) are not read: a configuration is texts, numbers, `true`, `false`, \
             `null`, lists and tables",
            "take the tag out; a text that looks like something else goes in quotes",
        ))
    }

    fn offset(&self, character: usize) -> usize {
        self.starts.get(character).copied().unwrap_or(self.text.len())
    }

    fn span(&self, place: &Span) -> Range<usize> {
        let start = self.offset(place.start.index());
        start..self.offset(place.end.index()).max(start)
    }
}
