//! What the table shows, on a terminal and in a page.

use crate::comparison::{Comparison, Contest, Contestant, Unit};
use crate::figure::{figure, times, times_with_range};
use crate::goal::Verdict;
use crate::record::Record;
use crate::series::{Line, Series};
use crate::spread::Spread;

/// What the columns are.
const HEADINGS: [&str; 5] = [
    "Setting",
    "Contestant",
    "Median",
    "Ours is better by",
    "Goal",
];

/// A contestant under a setting. The first row of a setting names it.
type Row = [String; 5];

/// The headings and the rows; the column of goals is there only where there is a goal.
pub(crate) fn table(record: &Record) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let rows = rows(record);
    let has_goals = rows.iter().any(|row| !row[4].is_empty());
    let columns = if has_goals { 5 } else { 4 };
    let rows = rows.iter().map(|row| row[..columns].to_vec()).collect();
    (HEADINGS[..columns].to_vec(), rows)
}

/// Of all comparisons; every contestant is in some row.
fn rows(record: &Record) -> Vec<Row> {
    let comparisons = record.comparisons.iter();
    comparisons
        .flat_map(|comparison| match comparison {
            Comparison::Contest(contest) => rows_of(&contest.label, contest),
            Comparison::Series(series) => rows_along(series),
        })
        .collect()
}

fn rows_of(setting: &str, contest: &Contest) -> Vec<Row> {
    let name = |contestant: &Contestant| contestant.identity.name.clone();
    let ours = [
        setting.to_owned(),
        name(&contest.ours),
        median(&contest.ours.runs, &contest.unit),
        String::new(),
        told(contest.verdict()),
    ];
    let others = contest.others.iter().map(|other| {
        let ratio = contest.ratio_to(other);
        [
            String::new(),
            name(other),
            median(&other.runs, &contest.unit),
            times_with_range(&ratio.spread),
            told(ratio.verdict),
        ]
    });
    std::iter::once(ours).chain(others).collect()
}

fn rows_along(series: &Series) -> Vec<Row> {
    let settings = series.settings();
    let points = settings
        .iter()
        .flat_map(|(setting, contest)| rows_of(setting, contest));
    let growths = series
        .lines()
        .into_iter()
        .enumerate()
        .map(|(number, line)| {
            let setting = format!("{}, worst by the smallest size's", series.label);
            growth(if number == 0 { setting } else { String::new() }, &line)
        });
    points.chain(growths).collect()
}

fn growth(setting: String, line: &Line<'_>) -> Row {
    [
        setting,
        line.identity.name.clone(),
        times(line.growth),
        String::new(),
        told(line.verdict.clone()),
    ]
}

fn told(verdict: Option<Verdict>) -> String {
    verdict
        .map(|verdict| verdict.to_string())
        .unwrap_or_default()
}

fn median(runs: &[f64], unit: &Unit) -> String {
    format!("{} {}", figure(Spread::of(runs).median), unit.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_contest_has_a_row_for_each_with_ratio_and_goal_beside_the_other() {
        let rows = rows(&sample::record());
        assert_eq!(
            rows[0],
            ["1 client", "ours", "20.0 messages a second", "", ""]
        );
        assert_eq!(
            rows[1],
            [
                "",
                "Peer & <Co>",
                "10.0 messages a second",
                "2.00x (1.00–2.00)",
                "at least 25.0x: not reached, 92% below"
            ]
        );
    }

    #[test]
    fn a_figure_of_ours_by_itself_stands_beside_its_goal() {
        let contest = sample::contest(Unit::cost("ms"), [5.0, 10.0, 30.0], None);
        let rows = rows_of("1 client", &contest.under(40.0));
        assert_eq!(rows[0][4], "under 40.0 ms: reached, 50% below");
        assert_eq!(rows[1][4], "");
    }

    #[test]
    fn goals_have_a_column_only_where_there_is_one() {
        let mut record = sample::record();
        assert_eq!(table(&record).0.last(), Some(&"Goal"));
        let unit = Unit::rate("messages a second");
        record.comparisons = vec![sample::contest(unit, sample::OURS, None).into()];
        let (headings, rows) = table(&record);
        assert_eq!(headings.last(), Some(&"Ours is better by"));
        assert!(rows.iter().all(|row| row.len() == headings.len()));
    }

    #[test]
    fn a_series_has_a_row_for_each_size_and_one_for_the_growth() {
        let rows = rows(&sample::record());
        assert_eq!(rows[2][0], "a tick, 10,000");
        assert_eq!(rows[3][3], "2.00x");
        assert_eq!(
            rows[8],
            [
                "a tick, worst by the smallest size's",
                "ours",
                "3.00x",
                "",
                "within 3.00x: reached, 0% above"
            ]
        );
    }
}
