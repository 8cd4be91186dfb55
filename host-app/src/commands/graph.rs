use std::fmt::Write;

use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};

use super::plan;
use crate::args::Common;
use crate::control::{PlanView, RunLine};
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::terminal::Output;

/// A picture of more than that nobody sees anything in, and drawing it takes minutes.
const MOST_DRAWN: usize = 300;

pub fn run(common: &Common, svg: bool, alone: bool, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::read(common)?;
    let (plan, _) = plan::view(&settings, common, alone)?;
    let dot = dot(&plan);
    if !svg {
        output.text(&dot)?;
        return Ok(Exit::Ok);
    }
    if plan.run.len() > MOST_DRAWN {
        let message = format!(
            "{} plugins are too many for a drawing; {MOST_DRAWN} are the most",
            plan.run.len()
        );
        let help = "print the graph without --svg, and give it to Graphviz";
        return Err(Failure::new("PB1033", Exit::Failed, message, help));
    }
    output.text(&drawn(&dot)?)?;
    Ok(Exit::Ok)
}

/// Who needs whom, in the language of Graphviz. What is only used has a dashed line.
fn dot(plan: &PlanView) -> String {
    let mut text = "digraph plugins {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for line in &plan.run {
        let kinds = if line.kinds.is_empty() {
            String::new()
        } else {
            let word =
                |c: char| if c.is_ascii_alphanumeric() || "-_. ,".contains(c) { c } else { '?' };
            format!("\\n{}", line.kinds.join(", ").chars().map(word).collect::<String>())
        };
        let _ = writeln!(text, "  \"{}\" [label=\"{}{kinds}\"];", line.name(), line.name());
    }
    let mut edges = |line: &RunLine, others: &[String], style: &str| {
        for other in others {
            let _ = writeln!(text, "  \"{}\" -> \"{other}\"{style};", line.name());
        }
    };
    for line in &plan.run {
        edges(line, &line.needs, "");
        edges(line, &line.uses, " [style=dashed]");
    }
    text.push_str("}\n");
    text
}

fn drawn(dot: &str) -> Result<String, Failure> {
    let wrong = |error: String| {
        let help = "print the graph without --svg, and give it to Graphviz";
        Failure::new("PB1033", Exit::Failed, format!("the graph cannot be drawn: {error}"), help)
    };
    let graph = DotParser::new(dot).process().map_err(wrong)?;
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut svg = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut svg);
    Ok(svg.finalize())
}
