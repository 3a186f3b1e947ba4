//! One chart a table, as SVG: bars, and a line where the goal is. Written by hand, because it is a page of text.

use std::fmt::Write as _;

use super::{
    numbers::number,
    tables::{Row, Table, meets},
};

const WIDTH: f64 = 860.0;
/// Where bars begin; labels end a little before it.
const LEFT: f64 = 380.0;
/// The longest bar. Figures stand in a column behind it, where no line crosses them.
const BAR: f64 = 260.0;
const ROW: f64 = 30.0;
const TOP: f64 = 56.0;

/// The colours of a page that is light, and of one that is dark.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}.quiet{fill:#59636e}
.bar{fill:#2f81f7}.good{fill:#2da44e}.bad{fill:#d1242f}.goal{stroke:#1f2328;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9198a1}.goal{stroke:#e6edf3}}";

/// With goals: how each figure stands to its own, whatever its unit is. Without: the figures of the commonest unit.
pub fn draw(table: &Table) -> String {
    let has_counts = table.slug.starts_with("growth");
    let rows: Vec<&Row> = table.rows.iter().filter(|row| has_counts == row.goal.is_none()).collect();
    let measure = |row: &Row| {
        let median = row.measured.map_or(0.0, |measured| measured.median);
        if has_counts { median } else { median / row.goal.unwrap_or(1.0) }
    };
    let most = rows.iter().map(|row| measure(row)).fold(if has_counts { 0.0 } else { 1.25 }, f64::max);
    // One figure that is far off must not press the others flat.
    let most = if has_counts { most } else { most.min(2.5) }.max(f64::MIN_POSITIVE);
    let scale = if has_counts {
        rows.first().map_or("", |row| row.unit)
    } else {
        "measured against its goal (the dashed line); shorter is better"
    };
    let bars: Vec<_> = rows
        .iter()
        .map(|row| Bar {
            label: clipped(&row.what),
            length: measure(row) / most,
            class: match meets(row) {
                Some(true) => "bar good",
                Some(false) => "bar bad",
                None => "bar",
            },
            figure: match (row.measured, row.goal) {
                (None, _) => "not measured".to_owned(),
                (Some(measured), None) => number(measured.median),
                (Some(measured), Some(goal)) => {
                    format!("{} of {} {}", number(measured.median), number(goal), short(row.unit))
                }
            },
        })
        .collect();
    draw_bars(table.title, scale, &bars, (!has_counts).then(|| 1.0 / most))
}

/// One bar of a chart.
pub struct Bar<'a> {
    pub label: &'a str,
    /// As a part of the longest; what is more than 1 is drawn as 1.
    pub length: f64,
    pub class: &'static str,
    pub figure: String,
}

/// Bars below each other, and a dashed line over a part of the longest.
pub fn draw_bars(title: &str, scale: &str, bars: &[Bar<'_>], line: Option<f64>) -> String {
    let height = TOP + ROW * bars.len() as f64 + 14.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\">\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"12\" y=\"22\">{0}</text>\n<text class=\"quiet\" x=\"12\" y=\"41\">{scale}</text>\n",
        escaped(title)
    );
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect class=\"{}\" x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"16\" rx=\"3\"/>\
             <text x=\"{:.0}\" y=\"{}\">{}</text>",
            LEFT - 10.0,
            y + 15.0,
            escaped(bar.label),
            bar.class,
            y + 2.0,
            bar.length.min(1.0) * BAR,
            LEFT + BAR + 10.0,
            y + 15.0,
            escaped(&bar.figure)
        );
    }
    if let Some(part) = line {
        let x = LEFT + BAR * part;
        let _ = writeln!(
            svg,
            "<line class=\"goal\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\"/>",
            TOP - 6.0,
            height - 10.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// What stands in brackets is for the table.
fn clipped(what: &str) -> &str {
    what.split(" (").next().unwrap_or(what)
}

/// The unit without what the label says already.
fn short(unit: &str) -> &str {
    match unit.split_once(" per ") {
        Some((unit, _)) => unit,
        None => unit.split(" of CPU").next().unwrap_or(unit),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurements::Measured;

    #[test]
    fn missed_goal_draws_a_red_bar() {
        let measured = |median| Some(Measured { median, least: median, most: median });
        let row = |what: &str, median| Row {
            what: what.to_owned(),
            unit: "ms",
            goal: Some(10.0),
            measured: measured(median),
        };
        let rows = vec![row("near <1>", 5.0), row("far", 20.0)];
        let svg = draw(&Table { slug: "latency", title: "Latency", about: "", rows });
        assert!(svg.contains("near &lt;1&gt;") && svg.contains("5.00 of 10.0 ms"), "{svg}");
        assert!(svg.contains("class=\"bar bad\"") && svg.contains("width=\"260.0\""), "{svg}");
        // Half of what the longest bar measures is the goal.
        assert!(svg.contains("x1=\"510.0\""), "{svg}");
    }
}
