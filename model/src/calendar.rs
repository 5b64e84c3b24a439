//! Days counted from 1970-01-01, and what the calendar says about each of them.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

const EPOCH: Date = date(1970, 1, 1);

/// A calendar day as the number of days since 1970-01-01; written as an ISO date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Date", into = "Date")]
pub struct Day(i32);

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        // Every civil date jiff can hold lies within four million days of the epoch.
        let days = date.duration_since(EPOCH).as_hours() / 24;
        Self(i32::try_from(days).unwrap_or(i32::MAX))
    }
}

impl From<Day> for Date {
    fn from(day: Day) -> Self {
        let span = jiff::Span::new().try_days(day.0).unwrap_or_default();
        EPOCH.saturating_add(span)
    }
}

impl Day {
    /// The day `days` later.
    #[must_use]
    pub fn plus(self, days: usize) -> Self {
        Self(
            self.0
                .saturating_add(i32::try_from(days).unwrap_or(i32::MAX)),
        )
    }

    /// The day `days` earlier.
    #[must_use]
    pub fn minus(self, days: usize) -> Self {
        Self(
            self.0
                .saturating_sub(i32::try_from(days).unwrap_or(i32::MAX)),
        )
    }

    /// Days since `first`, or `None` before it.
    pub fn since(self, first: Self) -> Option<usize> {
        usize::try_from(self.0.checked_sub(first.0)?).ok()
    }

    /// Weekday, month and position within the year.
    pub fn facts(self) -> Facts {
        let date = Date::from(self);
        Facts {
            weekday: usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0),
            month: usize::try_from(date.month() - 1).unwrap_or(0),
            day_of_month: date.day(),
            day_of_year: date.day_of_year(),
        }
    }

    /// The day with this day's weekday that lies nearest to the same month and day, `years` earlier
    /// (later where negative): Friday 2023-12-15 is Friday 2017-12-15 six years earlier, and
    /// Thursday 2023-06-15 is Thursday 2017-06-15.
    #[must_use]
    pub fn same_weekday(self, years: i32) -> Self {
        let date = Date::from(self);
        let span = jiff::Span::new().try_years(years).unwrap_or_default();
        let near = date.saturating_sub(span);
        let ahead = (date.weekday().to_monday_zero_offset()
            - near.weekday().to_monday_zero_offset())
        .rem_euclid(7);
        let shift = if ahead > 3 { ahead - 7 } else { ahead };
        Self(Self::from(near).0.saturating_add(i32::from(shift)))
    }
}

/// What the calendar says about one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// 0 is Monday.
    pub weekday: usize,
    /// 0 is January.
    pub month: usize,
    /// 1 to 31.
    pub day_of_month: i8,
    /// 1 to 366.
    pub day_of_year: i16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_survives_the_way_to_a_date_and_back() {
        for d in [
            date(1969, 12, 31),
            date(1970, 1, 1),
            date(2016, 2, 29),
            date(9999, 12, 31),
        ] {
            assert_eq!(Date::from(Day::from(d)), d);
        }
        assert_eq!(
            Day::from(date(2017, 10, 1)).since(Day::from(date(2017, 9, 1))),
            Some(30)
        );
        assert_eq!(
            Day::from(date(2017, 9, 1)).since(Day::from(date(2017, 10, 1))),
            None
        );
    }

    #[test]
    fn facts_follow_the_calendar() {
        let facts = Day::from(date(2016, 12, 31)).facts();
        assert_eq!(
            facts,
            Facts {
                weekday: 5,
                month: 11,
                day_of_month: 31,
                day_of_year: 366
            }
        );
    }

    #[test]
    fn another_year_keeps_weekday_and_season() {
        for (year, month, day) in [(2023, 6, 15), (2024, 2, 29), (2031, 1, 1), (9999, 12, 31)] {
            let here = Day::from(date(year, month, day));
            for years in [1, 2, 6, 7, -1] {
                let there = here.same_weekday(years);
                assert_eq!(there.facts().weekday, here.facts().weekday);
                let apart = Date::from(there)
                    .day_of_year()
                    .abs_diff(Date::from(here).day_of_year());
                assert!(
                    apart <= 4 || apart >= 361,
                    "{year}-{month}-{day} {years}: {apart}"
                );
            }
        }
    }
}
