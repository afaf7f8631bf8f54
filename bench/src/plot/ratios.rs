//! The ratios of a work's contests: a point at each median on a line from the lowest to the highest round, a
//! line at 1, and a mark at each goal.

use plotters::style::RGBColor;

use super::axis::{Axis, label_of};
use super::canvas::{
    Anchor, Canvas, FAINT_INK, GRID, INK, OURS, PAPER, PEN, Pen, Place, WIDTH, WORSE,
    draw as draw_on, fitted, width_of,
};
use crate::comparison::{Comparison, Contest, Ratio};
use crate::figure::times_with_range;
use crate::record::Record;
use crate::spread::Spread;

const MARGIN: i32 = 24;
const TOP: i32 = 76;
const BOTTOM: i32 = 64;
const HEADING: i32 = 28;
const ROW: i32 = 24;
const GAP: i32 = 10;
/// Between the names, the points and the figures.
const GUTTER: i32 = 16;
const WIDEST_NAME: i32 = 230;

/// A heading with the ratios below it.
struct Group {
    heading: String,
    ratios: Vec<Ratio>,
}

/// The picture; none where nobody was compared with anybody.
pub(super) fn draw(record: &Record) -> Option<String> {
    let contests = record
        .comparisons
        .iter()
        .filter_map(|comparison| match comparison {
            Comparison::Contest(contest) => Some(contest),
            Comparison::Series(_) => None,
        });
    let groups: Vec<Group> = contests.filter_map(Group::of).collect();
    if groups.is_empty() {
        return None;
    }
    let heights = groups.iter().map(Group::height);
    let height = TOP + heights.sum::<i32>() + BOTTOM;
    let layout = Layout::of(&groups, height);
    Some(draw_on(height, |canvas| {
        layout.title(canvas, record);
        layout.axis(canvas);
        let mut top = TOP;
        for group in &groups {
            layout.group(canvas, group, top);
            top += group.height();
        }
    }))
}

impl Group {
    fn of(contest: &Contest) -> Option<Self> {
        let ratios: Vec<Ratio> = contest.ratios().collect();
        let ours = &contest.ours.identity.name;
        (!ratios.is_empty()).then(|| Self {
            heading: format!("{}: {ours}", contest.label),
            ratios,
        })
    }

    fn height(&self) -> i32 {
        HEADING + ROW * self.ratios.len() as i32 + GAP
    }
}

/// What is where from left to right.
struct Layout {
    axis: Axis,
    left: i32,
    right: i32,
    bottom: i32,
    has_goals: bool,
}

impl Layout {
    fn of(groups: &[Group], height: i32) -> Self {
        let ratios = || groups.iter().flat_map(|group| &group.ratios);
        let mut values = vec![1.0];
        for ratio in ratios() {
            values.extend([ratio.spread.lowest, ratio.spread.highest]);
            values.extend(ratio.verdict.as_ref().map(|verdict| verdict.goal.wanted()));
        }
        let names = ratios().map(|ratio| width_of(&name(ratio), PEN));
        let figures = ratios().map(|ratio| width_of(&figures(ratio), PEN));
        Self {
            axis: Axis::around(&values),
            left: MARGIN + GUTTER + names.max().unwrap_or(0).min(WIDEST_NAME) + GUTTER,
            right: WIDTH - MARGIN - figures.max().unwrap_or(0) - GUTTER,
            bottom: height - BOTTOM,
            has_goals: ratios().any(|ratio| ratio.verdict.is_some()),
        }
    }

    fn x(&self, ratio: f64) -> i32 {
        let width = f64::from(self.right - self.left);
        self.left + (self.axis.place(ratio) * width).round() as i32
    }

    fn title(&self, canvas: &Canvas<'_>, record: &Record) {
        let title = Pen {
            size: 17,
            bold: true,
            ..PEN
        };
        canvas.text(&record.title, (MARGIN, 28), title);
        let rounds = match record.rounds {
            1 => "one round".to_owned(),
            rounds => format!("median and range of {rounds} interleaved rounds"),
        };
        let what = format!("How many times better the first is than each below it: {rounds}");
        let faint = Pen {
            colour: FAINT_INK,
            ..PEN
        };
        canvas.text(&what, (MARGIN, 52), faint);
    }

    fn axis(&self, canvas: &Canvas<'_>) {
        let faint = Pen {
            size: 12,
            colour: FAINT_INK,
            anchor: Anchor::Middle,
            ..PEN
        };
        for tick in self.axis.ticks() {
            let x = self.x(tick);
            canvas.line(vec![(x, TOP), (x, self.bottom)], GRID, 1);
            canvas.text(
                &format!("{}x", label_of(tick)),
                (x, self.bottom + 14),
                faint,
            );
        }
        let one = self.x(1.0);
        canvas.line(vec![(one, TOP), (one, self.bottom)], INK, 1);
        let (below, better, worse) = (self.bottom + 38, "better", "worse");
        let to_right = Pen {
            anchor: Anchor::Left,
            colour: OURS,
            ..faint
        };
        let to_left = Pen {
            anchor: Anchor::Right,
            colour: WORSE,
            ..faint
        };
        canvas.text(&format!("{better} →"), (one + 8, below), to_right);
        if one - self.left > width_of(worse, PEN) {
            canvas.text(&format!("← {worse}"), (one - 8, below), to_left);
        }
        if self.has_goals {
            let x = self.right + GUTTER;
            goal_mark(canvas, (x + 5, below));
            canvas.text(
                "goal",
                (x + 18, below),
                Pen {
                    anchor: Anchor::Left,
                    ..faint
                },
            );
        }
    }

    fn group(&self, canvas: &Canvas<'_>, group: &Group, top: i32) {
        let bold = Pen { bold: true, ..PEN };
        let heading = fitted(&group.heading, bold, WIDTH - 2 * MARGIN);
        // A strip of paper, so that no line goes through the heading.
        let width = width_of(&heading, bold);
        let (above, below) = (top + 2, top + HEADING - 4);
        let paper = [
            (MARGIN, above),
            (MARGIN + width, above),
            (MARGIN + width, below),
            (MARGIN, below),
        ];
        canvas.shape(paper.to_vec(), PAPER);
        canvas.text(&heading, (MARGIN, top + HEADING / 2), bold);
        for (number, ratio) in group.ratios.iter().enumerate() {
            let middle = top + HEADING + ROW * number as i32 + ROW / 2;
            self.ratio(canvas, ratio, middle);
        }
    }

    fn ratio(&self, canvas: &Canvas<'_>, ratio: &Ratio, middle: i32) {
        let spread = &ratio.spread;
        let colour = colour(spread);
        let name = fitted(&name(ratio), PEN, self.left - GUTTER - MARGIN - GUTTER);
        canvas.text(&name, (MARGIN + GUTTER, middle), PEN);
        let (from, to) = (self.x(spread.lowest), self.x(spread.highest));
        canvas.line(vec![(from, middle), (to, middle)], colour, 2);
        for end in [from, to] {
            canvas.line(vec![(end, middle - 4), (end, middle + 4)], colour, 2);
        }
        if let Some(verdict) = &ratio.verdict {
            goal_mark(canvas, (self.x(verdict.goal.wanted()), middle));
        }
        canvas.dot((self.x(spread.median), middle), colour);
        let pen = Pen { colour, ..PEN };
        canvas.text(&figures(ratio), (self.right + GUTTER, middle), pen);
    }
}

/// Rounds on both sides of 1 show no difference.
fn colour(ratio: &Spread) -> RGBColor {
    if ratio.lowest > 1.0 {
        OURS
    } else if ratio.highest < 1.0 {
        WORSE
    } else {
        INK
    }
}

fn name(ratio: &Ratio) -> String {
    format!("to {}", ratio.other)
}

fn figures(ratio: &Ratio) -> String {
    let figures = times_with_range(&ratio.spread);
    match &ratio.verdict {
        None => figures,
        Some(verdict) if verdict.reached => format!("{figures}, goal reached"),
        Some(_) => format!("{figures}, goal missed"),
    }
}

/// A diamond that stands taller than a dot, so that it is seen behind one.
fn goal_mark(canvas: &Canvas<'_>, (x, y): Place) {
    canvas.shape(
        vec![(x, y - 9), (x + 5, y), (x, y + 9), (x - 5, y)],
        FAINT_INK,
    );
}
