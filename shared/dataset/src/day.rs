//! Calendar days as numbers, so that a date costs four bytes and a subtraction.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::Date;

const EPOCH: Date = Date::constant(1970, 1, 1);
const SECONDS: i64 = 86_400;

/// A calendar day: the number of days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// Before every date a file can hold.
    pub(crate) const MIN: Self = Self(i32::MIN);
    /// After every date a file can hold.
    pub(crate) const MAX: Self = Self(i32::MAX);

    /// Days since 1970-01-01, negative before it.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The day `days` later (earlier when negative).
    #[must_use]
    pub const fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Days from `earlier` to this day, negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// The calendar date.
    pub fn date(self) -> Date {
        EPOCH.saturating_add(SignedDuration::from_secs(i64::from(self.0) * SECONDS))
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        let days = date.duration_since(EPOCH).as_secs() / SECONDS;
        // A `Date` lies between the years -9999 and 9999: at most 4.4 million days from 1970.
        Self(i32::try_from(days).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

/// Reads dates written `YYYY-MM-DD`, remembering the last month seen: in sales data the next row is
/// nearly always of the same month, and then only the two digits of the day are left to read.
#[derive(Debug)]
pub(crate) struct Dates {
    /// `YYYY-MM-` of the month remembered.
    month: [u8; 8],
    /// The last day before that month.
    before: Day,
    /// Days in that month.
    length: u8,
}

impl Dates {
    pub(crate) const fn new() -> Self {
        Self {
            month: [0; 8],
            before: Day(0),
            length: 0,
        }
    }

    /// The day, or nothing if `text` is not a real calendar date of the form `YYYY-MM-DD`.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8; 10]) -> Option<Day> {
        let [y0, y1, y2, y3, d0, m0, m1, d1, tens, ones] = *text;
        let month = [y0, y1, y2, y3, d0, m0, m1, d1];
        if month != self.month {
            *self = Self::of(month)?;
        }
        let (tens, ones) = (digit(tens)?, digit(ones)?);
        let day = tens * 10 + ones;
        (1..=self.length)
            .contains(&day)
            .then(|| self.before.plus(i32::from(day)))
    }

    fn of(month: [u8; 8]) -> Option<Self> {
        let [y0, y1, y2, y3, b'-', m0, m1, b'-'] = month else {
            return None;
        };
        let mut year = 0;
        for figure in [y0, y1, y2, y3] {
            year = year * 10 + i16::from(digit(figure)?);
        }
        let number = i8::try_from(digit(m0)? * 10 + digit(m1)?).ok()?;
        let first = Date::new(year, number, 1).ok()?;
        Some(Self {
            month,
            before: Day::from(first).plus(-1),
            length: first.days_in_month().unsigned_abs(),
        })
    }
}

/// The value of an ASCII digit.
#[inline]
pub(crate) fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    (value <= 9).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_reads_back() {
        let mut dates = Dates::new();
        let mut date = Date::constant(1900, 1, 1);
        let mut expected = Day::from(date);
        assert_eq!(expected.number(), -25_567);
        while date.year() < 2300 {
            let text = date.to_string();
            let read = dates.read(text.as_bytes().try_into().unwrap()).unwrap();
            assert_eq!((read, read.date()), (expected, date));
            date = date.tomorrow().unwrap();
            expected = expected.plus(1);
        }
    }

    #[test]
    fn what_is_no_calendar_date_is_refused() {
        let mut dates = Dates::new();
        for text in [
            "2013-02-29",
            "2013-00-10",
            "2013-13-10",
            "2013-01-00",
            "2013-01-32",
            "2013/01/01",
            "13-01-2013",
            "2013-01-1a",
            "-013-01-01",
            "2013-1-001",
        ] {
            assert_eq!(
                dates.read(text.as_bytes().try_into().unwrap()),
                None,
                "{text}"
            );
        }
        assert_eq!(
            dates.read(b"2012-02-29").map(Day::date),
            Some(Date::constant(2012, 2, 29))
        );
    }
}
