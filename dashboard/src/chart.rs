//! Charts as SVG, drawn here. Their colours are the style sheet's.

use std::time::{Duration, SystemTime};

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;

use super::format;

/// Drawn in these, shown in the style sheet's: it knows them by their values.
const LINE: RGBColor = RGBColor(1, 2, 3);
const AXIS: RGBColor = RGBColor(4, 5, 6);
const GRID: RGBColor = RGBColor(7, 8, 9);

/// The most points of a sparkline: a page holds hundreds of them.
const SPARKS: usize = 40;

/// What a chart counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Messages, which are whole.
    Messages,
    /// Messages a second.
    Rate,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Rate => "messages a second",
        }
    }

    /// The end of an axis that begins at 0 and has this value on it.
    fn end(self, top: f64) -> f64 {
        match self {
            Self::Messages => (top * 1.05).max(4.0),
            Self::Rate => (top * 1.05).max(1.0),
        }
    }

    /// A value, for people.
    fn told(self, value: f64) -> String {
        match self {
            #[allow(clippy::cast_possible_truncation, reason = "a number is for people")]
            Self::Messages => format::count(value.round() as i64),
            Self::Rate => format::rate(value),
        }
    }

    /// A value on the axis; nothing for a part of a message.
    fn label(self, value: f64) -> String {
        match self {
            Self::Messages if value.fract().abs() > 1e-6 => String::new(),
            _ => self.told(value),
        }
    }
}

/// Seconds up to which the time of day on an axis has seconds.
const SHORT: f64 = 300.0;

/// One value at a moment.
pub type Reading = (SystemTime, f64);

/// A line without axes, small enough for a table's cell, with its highest value beside it. `name` says
/// what it shows to who cannot see it.
pub fn sparkline(name: &str, unit: Unit, readings: &[Reading]) -> Markup {
    let readings = &thinned(readings, SPARKS);
    let Some((range, top)) = bounds(readings) else {
        return html! { span.faint { "–" } };
    };
    let last = readings.last().map_or(0.0, |&(_, value)| value);
    let label = format!(
        "{name}: now {}, at most {}",
        unit.told(last),
        unit.told(top)
    );
    let drawn = draw((120, 28), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(2)
            .build_cartesian_2d(0.0..range, 0.0..top.max(1.0))?;
        chart.draw_series(LineSeries::new(points(readings), LINE.stroke_width(2)))?;
        Ok(())
    });
    html! {
        (figure(drawn, "spark", &label, &label))
        span.faint.most title="at most" aria-hidden="true" { "≤ " (unit.told(top)) }
    }
}

/// The sizes in which a chart is drawn, by the class that the style sheet shows in wide and in narrow
/// windows: text is no smaller in a narrow one.
const SIZES: [(&str, (u32, u32)); 2] = [("chart wide", (720, 240)), ("chart narrow", (340, 220))];

/// A line with axes: the time of day below, `unit` at the side.
pub fn lines(name: &str, unit: Unit, readings: &[Reading]) -> Markup {
    let Some((range, top)) = bounds(readings) else {
        return html! { p.faint { "The chart begins with the second sample, in a few seconds." } };
    };
    let last = readings.last().map_or(0.0, |&(_, value)| value);
    let description = format!(
        "{name} over the last {}: now {}, at most {} {}.",
        format::seconds(range),
        unit.told(last),
        unit.told(top),
        unit.name(),
    );
    let began = readings
        .first()
        .map_or(SystemTime::UNIX_EPOCH, |&(at, _)| at);
    html! {
        @for (class, size) in SIZES {
            (figure(with_axes(size, unit, readings, (began, range, top)), class, name, &description))
        }
    }
}

fn with_axes(
    size: (u32, u32),
    unit: Unit,
    readings: &[Reading],
    (began, range, top): (SystemTime, f64, f64),
) -> Option<String> {
    let is_wide = size.0 > 500;
    draw(size, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            // Half of the last time of day.
            .margin_right(36)
            .x_label_area_size(36)
            .y_label_area_size(if is_wide { 72 } else { 60 })
            .build_cartesian_2d(0.0..range, 0.0..unit.end(top))?;
        let text = ("sans-serif", 15).into_font().color(&AXIS);
        let clock = |seconds: &f64| {
            let at = began + Duration::from_secs_f64(seconds.max(0.0));
            format::clock(at, range < SHORT)
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_labels(if is_wide { 6 } else { 3 })
            .y_labels(5)
            .x_label_formatter(&clock)
            .y_label_formatter(&|value| unit.label(*value))
            .x_desc("UTC")
            .y_desc(unit.name())
            .draw()?;
        chart.draw_series(LineSeries::new(points(readings), LINE.stroke_width(2)))?;
        Ok(())
    })
}

/// At most about `most` readings: the highest of each stretch, and the last of all.
fn thinned(readings: &[Reading], most: usize) -> Vec<Reading> {
    let stretch = readings.len().div_ceil(most).max(1);
    let highest = |some: &[Reading]| some.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    let mut kept: Vec<Reading> = readings.chunks(stretch).filter_map(highest).collect();
    if let (Some(last), Some(end)) = (readings.last(), kept.last())
        && last.0 != end.0
    {
        kept.push(*last);
    }
    kept
}

/// How many seconds, and how high; `None` where there is no line to draw.
fn bounds(readings: &[Reading]) -> Option<(f64, f64)> {
    let (first, last) = (readings.first()?.0, readings.last()?.0);
    let range = last.duration_since(first).ok()?.as_secs_f64();
    let top = readings
        .iter()
        .fold(0.0_f64, |top, &(_, value)| top.max(value));
    (range > 0.0).then_some((range, top))
}

fn points(readings: &[Reading]) -> impl Iterator<Item = (f64, f64)> {
    let first = readings.first().map(|&(at, _)| at);
    readings.iter().map(move |&(at, value)| {
        let since = first.and_then(|first| at.duration_since(first).ok());
        (since.unwrap_or_default().as_secs_f64(), value)
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(size: (u32, u32), work: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = work(&area).and_then(|()| Ok(area.present()?));
    drop(area);
    drawn.ok().map(|()| svg)
}

/// The drawing with its name and description, by which it is read aloud.
fn figure(svg: Option<String>, class: &str, title: &str, description: &str) -> Markup {
    let Some((head, body)) = svg.as_deref().and_then(|svg| svg.split_once('>')) else {
        return html! { span.faint { "no chart" } };
    };
    let size = |name: &str| {
        let after = head.split_once(&format!(" {name}=\""))?.1;
        after.split('"').next().map(str::to_owned)
    };
    let view_box = size("viewBox").unwrap_or_default();
    html! {
        svg class=(class) viewBox=(view_box) role="img" aria-label=(description) xmlns="http://www.w3.org/2000/svg" {
            title { (title) }
            desc { (description) }
            (PreEscaped(body.trim_end().trim_end_matches("</svg>")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(values: &[f64]) -> Vec<Reading> {
        let start = SystemTime::UNIX_EPOCH;
        let at = |number: u64| start + Duration::from_secs(10 * number);
        (0..).map(at).zip(values.iter().copied()).collect()
    }

    #[test]
    fn a_chart_has_axes_a_title_and_a_description() {
        let svg = lines(
            "Lag of \"<a>\"",
            Unit::Messages,
            &readings(&[0.0, 5000.0, 20.0]),
        )
        .into_string();
        assert!(
            svg.contains("<title>Lag of &quot;&lt;a&gt;&quot;</title>"),
            "{svg}"
        );
        assert!(
            svg.contains("over the last 20 s: now 20, at most 5,000 messages."),
            "{svg}"
        );
        assert!(svg.contains("<polyline") && svg.contains("4,000"), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 720 240\""), "{svg}");
        assert!(
            svg.contains("viewBox=\"0 0 340 220\""),
            "for a narrow window: {svg}"
        );
        assert!(svg.contains("00:00:10"), "the time of day: {svg}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert!(
            !svg.contains("style="),
            "the page's policy forbids it: {svg}"
        );
    }

    #[test]
    fn a_small_chart_keeps_the_peaks_and_the_end() {
        let mut values = vec![1.0; 360];
        values[100] = 99.0;
        values[359] = 7.0;
        let kept = thinned(&readings(&values), SPARKS);
        assert!(kept.len() <= SPARKS + 1, "{}", kept.len());
        assert!(kept.iter().any(|&(_, value)| value > 98.0));
        assert_eq!(kept.last().map(|&(_, value)| value as i64), Some(7));
    }

    #[test]
    fn an_axis_has_whole_messages_only() {
        let svg = lines("Lag", Unit::Messages, &readings(&[0.0, 1.0])).into_string();
        assert!(
            !svg.contains(">\n0.5") && svg.contains("at most 1 messages"),
            "{svg}"
        );
        assert_eq!(
            [0.5, 2.0, 1234.0].map(|value| Unit::Messages.label(value)),
            ["", "2", "1,234"]
        );
        assert_eq!(Unit::Rate.label(0.5), "0.5");
    }

    #[test]
    fn a_small_chart_says_its_highest_value() {
        let spark = sparkline("Lag", Unit::Messages, &readings(&[1.0, 1200.0, 3.0])).into_string();
        assert!(spark.contains("≤ 1,200"), "{spark}");
    }

    #[test]
    fn one_reading_and_equal_readings_draw_no_nonsense() {
        assert!(
            !lines("Lag", Unit::Messages, &readings(&[1.0]))
                .into_string()
                .contains("<svg")
        );
        assert!(
            sparkline("Lag", Unit::Messages, &[])
                .into_string()
                .contains('–')
        );
        let flat = sparkline("Lag", Unit::Messages, &readings(&[0.0, 0.0])).into_string();
        assert!(
            flat.contains("<polyline") && !flat.contains("NaN"),
            "{flat}"
        );
    }
}
