//! Reading the values of a row: quickly where it is well-formed, with reasons where it is not.

use jiff::civil::Date;

use crate::contract::Contract;
use crate::day::{Dates, Day, digit};
use crate::finding::Rule;

/// One observation: what was sold of an item in a store on a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The day of the sales.
    pub day: Day,
    /// The store's number, from 1.
    pub store: u32,
    /// The item's number, from 1.
    pub item: u32,
    /// Units sold: finite, 0 or more.
    pub sales: f64,
}

/// What a column of the file means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Date,
    Store,
    Item,
    Sales,
    /// Not ours: skipped.
    Extra,
}

/// The ranges that values must keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) first: Day,
    pub(crate) last: Day,
    /// The day of the check; later is the future.
    pub(crate) today: Day,
    pub(crate) max_sales: f64,
}

impl Limits {
    pub(crate) fn of(contract: &Contract, today: Date) -> Self {
        Self {
            first: Day::from(contract.min_date),
            last: contract.max_date.map_or(Day::MAX, Day::from),
            today: Day::from(today),
            max_sales: contract.max_sales,
        }
    }

    /// For data that was checked before.
    pub(crate) const NONE: Self = Self {
        first: Day::MIN,
        last: Day::MAX,
        today: Day::MAX,
        max_sales: f64::MAX,
    };
}

const BLANK: Row = Row {
    day: Day::MIN,
    store: 0,
    item: 0,
    sales: 0.0,
};

/// Turns text into rows, column by column.
pub(crate) struct RowParser {
    roles: Box<[Role]>,
    limits: Limits,
    dates: Dates,
}

impl RowParser {
    pub(crate) fn new(roles: Box<[Role]>, limits: Limits) -> Self {
        Self {
            roles,
            limits,
            dates: Dates::new(),
        }
    }

    /// The row at the start of `text` and its length with the line end, if nothing at all is
    /// unusual about it: no quote, no space, nothing out of range, and well inside `text`. That is
    /// nearly every row; what this declines, [`field`](Self::field) judges.
    #[inline]
    pub(crate) fn plain(&mut self, text: &[u8]) -> Option<(Row, usize)> {
        let (mut row, mut at) = (BLANK, 0);
        let last = self.roles.len() - 1;
        for (column, role) in self.roles.iter().enumerate() {
            at = match role {
                Role::Date => {
                    row.day = self.dates.read(text.get(at..)?.first_chunk()?)?;
                    at + 10
                }
                Role::Store => {
                    let (store, end) = digits(text, at)?;
                    row.store = store;
                    end
                }
                Role::Item => {
                    let (item, end) = digits(text, at)?;
                    row.item = item;
                    end
                }
                Role::Sales => {
                    let (sales, end) = decimal(text, at)?;
                    row.sales = sales;
                    end
                }
                Role::Extra => skip(text, at)?,
            };
            if column < last {
                if *text.get(at)? != b',' {
                    return None;
                }
                at += 1;
            }
        }
        at += match text.get(at..at + 2)? {
            [b'\n', _] => 1,
            b"\r\n" => 2,
            _ => return None,
        };
        let limits = &self.limits;
        let sound = row.store > 0
            && row.item > 0
            && row.day >= limits.first
            && row.day <= limits.last.min(limits.today)
            && row.sales <= limits.max_sales;
        sound.then_some((row, at))
    }

    /// The row made of `fields`, or the columns that are wrong and the rules they break.
    pub(crate) fn careful<'a>(
        &mut self,
        fields: impl Iterator<Item = &'a [u8]>,
        mut wrong: impl FnMut(usize, &[u8], Rule),
    ) -> Option<Row> {
        let (mut row, mut sound) = (BLANK, true);
        for (column, text) in fields.enumerate() {
            let role = self.roles.get(column).copied().unwrap_or(Role::Extra);
            if let Err(rule) = self.field(role, text, &mut row) {
                wrong(column, text, rule);
                sound = false;
            }
        }
        sound.then_some(row)
    }

    /// Reads one field into `row`. Spaces and tabs around a value don't matter.
    fn field(&mut self, role: Role, text: &[u8], row: &mut Row) -> Result<(), Rule> {
        let text = match std::str::from_utf8(text) {
            Ok(text) if !text.contains('\0') => text.trim_matches([' ', '\t']),
            _ => return Err(Rule::Encoding),
        };
        if role == Role::Extra {
            return Ok(());
        }
        if is_missing(text) {
            return Err(Rule::MissingValue);
        }
        match role {
            Role::Date => row.day = self.date(text)?,
            Role::Store => row.store = number(text).ok_or(Rule::InvalidStore)?,
            Role::Item => row.item = number(text).ok_or(Rule::InvalidItem)?,
            Role::Sales => row.sales = self.sales(text)?,
            Role::Extra => {}
        }
        Ok(())
    }

    fn date(&mut self, text: &str) -> Result<Day, Rule> {
        let text = text.as_bytes().try_into().map_err(|_| Rule::InvalidDate)?;
        let day = self.dates.read(text).ok_or(Rule::InvalidDate)?;
        if day > self.limits.today {
            Err(Rule::DateInFuture)
        } else if day < self.limits.first || day > self.limits.last {
            Err(Rule::DateOutOfRange)
        } else {
            Ok(day)
        }
    }

    fn sales(&self, text: &str) -> Result<f64, Rule> {
        let sales: f64 = text.parse().map_err(|_| Rule::InvalidSales)?;
        if !sales.is_finite() {
            Err(Rule::InvalidSales)
        } else if sales < 0.0 {
            Err(Rule::NegativeSales)
        } else if sales > self.limits.max_sales {
            Err(Rule::SalesOutOfRange)
        } else {
            // The sign of a negative zero would show in the snapshot.
            Ok(sales.abs())
        }
    }
}

/// The spellings of "no value" that the common tools write.
fn is_missing(text: &str) -> bool {
    ["", "na", "n/a", "nan", "null", "none", "nil", "-"]
        .iter()
        .any(|missing| text.eq_ignore_ascii_case(missing))
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| number > 0)
}

/// Longest run of digits read in place: any nine digits fit a `u32`, and any fifteen an `f64`.
const PLAIN_DIGITS: usize = 9;
const POWERS_OF_TEN: [f64; 7] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/// The number made of the one to nine digits at `at`, and where they end.
#[inline]
fn digits(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut number = 0;
    for (length, &byte) in text.get(at..=at + PLAIN_DIGITS)?.iter().enumerate() {
        match digit(byte) {
            Some(_) if length == PLAIN_DIGITS => return None,
            Some(digit) => number = number * 10 + u32::from(digit),
            None => return (length > 0).then_some((number, at + length)),
        }
    }
    None
}

/// The plain decimal number at `at` with at most six decimals, and where it ends. At most fifteen
/// digits and a power of ten are both exact in an `f64`, so their quotient is correctly rounded.
#[inline]
fn decimal(text: &[u8], at: usize) -> Option<(f64, usize)> {
    let (whole, end) = digits(text, at)?;
    if *text.get(end)? != b'.' {
        return Some((f64::from(whole), end));
    }
    let (decimals, last) = digits(text, end + 1)?;
    let scale = POWERS_OF_TEN.get(last - end - 1)?;
    Some((
        (f64::from(whole) * scale + f64::from(decimals)) / scale,
        last,
    ))
}

/// The end of the field at `at`, if it is printable ASCII without quotes.
#[inline]
fn skip(text: &[u8], at: usize) -> Option<usize> {
    let field = text.get(at..)?;
    let length = field
        .iter()
        .position(|&byte| matches!(byte, b',' | b'"' | 0..b' ' | 0x7f..))?;
    matches!(field[length], b',' | b'\r' | b'\n').then_some(at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser() -> RowParser {
        let roles = [Role::Date, Role::Store, Role::Item, Role::Sales];
        let limits = Limits::of(&Contract::default(), Date::constant(2020, 1, 1));
        RowParser::new(roles.into(), limits)
    }

    fn careful(line: &str) -> Result<Row, Vec<Rule>> {
        let mut rules = Vec::new();
        parser()
            .careful(line.split(',').map(str::as_bytes), |_, _, rule| {
                rules.push(rule);
            })
            .ok_or(rules)
    }

    #[test]
    fn the_quick_way_reads_what_the_careful_way_reads() {
        for line in [
            "2013-01-01,1,1,13",
            "2013-01-01,7,999999999,100000",
            "2013-01-01,1,1,0",
            "2013-01-01,1,1,12.5",
            "2013-01-01,1,1,0.1",
            "2013-01-01,1,1,99999.999999",
            "2013-01-01,001,1,007.70",
        ] {
            let row = careful(line).unwrap();
            for end in ["\n", "\r\n"] {
                let text = format!("{line}{end}2013-01-02,1,1,14\n");
                let plain = parser().plain(text.as_bytes());
                assert_eq!(plain, Some((row, line.len() + end.len())), "{text:?}");
            }
        }
    }

    #[test]
    fn the_quick_way_declines_what_is_unusual() {
        for line in [
            "2013-02-30,1,1,13",
            "2020-01-02,1,1,13",
            "1999-12-31,1,1,13",
            "2013-01-01,0,1,13",
            "2013-01-01,1,4294967296,13",
            "2013-01-01,1,1,-1",
            "2013-01-01,1,1,100000.5",
            "2013-01-01,1,1,1e3",
            "2013-01-01,1,1,.5",
            "2013-01-01,1,1,5.",
            "2013-01-01,1,1, 5",
            "2013-01-01,1,1,13,",
            "2013-01-01,1,1",
            "2013-01-01,1,1,\"5\"",
            "2013-01-01,1,1,5\r\r",
            "",
        ] {
            let text = format!("{line}\n{}", "x".repeat(99));
            assert_eq!(parser().plain(text.as_bytes()), None, "{line:?}");
        }
        for note in [&b"x\"y"[..], b"\xff", b"\0", b"caf\xc3\xa9", b"a\tb"] {
            let roles = [
                Role::Date,
                Role::Extra,
                Role::Store,
                Role::Item,
                Role::Sales,
            ];
            let mut parser = RowParser::new(roles.into(), Limits::NONE);
            let text =
                |note| [&b"2013-01-01,"[..], note, b",1,1,13\n2013-01-02,,1,1,14\n"].concat();
            assert_eq!(parser.plain(&text(note)), None, "{note:?}");
            assert!(parser.plain(&text(b"a b; c")).is_some());
        }
        let row = b"2013-01-01,1,1,13\n";
        assert_eq!(parser().plain(row), None, "too near the end of the text");
    }

    #[test]
    fn each_rule_is_named() {
        for (line, rule) in [
            ("2013-02-30,1,1,13", Rule::InvalidDate),
            ("01.02.2013,1,1,13", Rule::InvalidDate),
            ("2013-01-01T00:00,1,1,13", Rule::InvalidDate),
            ("2020-01-02,1,1,13", Rule::DateInFuture),
            ("1999-12-31,1,1,13", Rule::DateOutOfRange),
            ("2013-01-01,0,1,13", Rule::InvalidStore),
            ("2013-01-01,S1,1,13", Rule::InvalidStore),
            ("2013-01-01,1,4294967296,13", Rule::InvalidItem),
            ("2013-01-01,1,1.0,13", Rule::InvalidItem),
            ("2013-01-01,1,1,many", Rule::InvalidSales),
            ("2013-01-01,1,1,inf", Rule::InvalidSales),
            ("2013-01-01,1,1,1e400", Rule::InvalidSales),
            ("2013-01-01,1,1,-0.5", Rule::NegativeSales),
            ("2013-01-01,1,1,100000.5", Rule::SalesOutOfRange),
            ("2013-01-01,1,1,", Rule::MissingValue),
            ("2013-01-01,1,1,NaN", Rule::MissingValue),
            (" ,1,1,13", Rule::MissingValue),
            ("2013-01-01,1\0,1,13", Rule::Encoding),
        ] {
            assert_eq!(careful(line), Err(vec![rule]), "{line:?}");
        }
        assert_eq!(
            careful("x,y,,-2"),
            Err(vec![
                Rule::InvalidDate,
                Rule::InvalidStore,
                Rule::MissingValue,
                Rule::NegativeSales
            ])
        );
        let zero = careful(" 2013-01-01 ,\t1,1,-0").unwrap().sales;
        assert!(zero == 0.0 && zero.is_sign_positive());
    }
}
