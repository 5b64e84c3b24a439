use std::io::Write as _;
use std::iter;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::finding::Finding;
use crate::window::{MAX_ROW, Quoting};

const TODAY: Date = Date::constant(2020, 1, 1);

/// 200 sound days of one series from 2013-01-01, with the lines of `more` behind.
fn file(more: &str) -> String {
    let first = Day::from(Date::constant(2013, 1, 1));
    let rows = (0..200).map(|offset| format!("{},1,1,{}", first.plus(offset), offset % 10));
    let lines: Vec<String> = iter::once("date,store,item,sales".to_owned())
        .chain(rows)
        .collect();
    lines.join("\n") + "\n" + more
}

fn report(bytes: impl AsRef<[u8]>) -> Report {
    check(bytes.as_ref(), &Contract::default(), TODAY).unwrap()
}

fn only_finding(bytes: impl AsRef<[u8]>) -> Finding {
    let report = report(bytes);
    assert_eq!(report.verdict, Verdict::Rejected);
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    report.findings[0].clone()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_sound_file_is_accepted_with_its_figures() {
    let report = report(file("2013-01-01,2,7,100\n\n"));
    assert!(report.is_accepted(), "{:#?}", report.findings);
    assert_eq!((report.rows, report.accepted_rows), (201, 201));
    assert_eq!((report.stores, report.items, report.series), (2, 2, 2));
    assert_eq!(report.from, Some(Date::constant(2013, 1, 1)));
    assert_eq!(report.to, Some(Date::constant(2013, 7, 19)));
    assert_eq!((report.history_days, report.age_days), (200, Some(2357)));
    let sales = report.sales.unwrap();
    assert!((sales.mean - 1000.0 / 201.0).abs() < 1e-12);
    assert!((sales.zero_share - 20.0 / 201.0).abs() < 1e-12);
    assert_eq!((sales.min, sales.max), (0.0, 100.0));
}

#[test]
fn a_file_may_look_different_and_mean_the_same() {
    let plain = report(file(""));
    let figures = |report: &Report| (report.accepted_rows, report.series, report.sales, report.to);
    let text = file("");
    let reordered = text
        .lines()
        .map(|line| match line.split(',').collect::<Vec<_>>()[..] {
            ["date", ..] => " Target ,note,STORE_ID,Date,item_id".to_owned(),
            [date, store, item, sales] => format!("{sales},x,{store},{date},{item}"),
            _ => unreachable!("all lines have four fields"),
        });
    let reordered = reordered.collect::<Vec<_>>().join("\r\n");
    for (what, bytes) in [
        (
            "byte order mark",
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        ),
        ("CRLF", text.replace('\n', "\r\n").into_bytes()),
        ("quotes", text.replace(",1,", ",\"1\",").into_bytes()),
        (
            "quoted header",
            text.replacen("date", "\"date\"", 1).into_bytes(),
        ),
        ("order, names, extra column", reordered.into_bytes()),
        ("no last line end", text.trim_end().to_owned().into_bytes()),
        ("gzip", gzip(text.as_bytes())),
    ] {
        let other = report(&bytes);
        assert!(other.is_accepted(), "{what}: {:#?}", other.findings);
        assert_eq!(figures(&other), figures(&plain), "{what}");
        assert_eq!(other.digest == plain.digest, what == "gzip", "{what}");
    }
    let extra = report(text.replace('\n', ",x\n"));
    assert_eq!(extra.extra_columns, ["x"]);
}

#[test]
fn an_offending_row_is_shown_where_it_stands() {
    let finding = only_finding(file("\r\n2013-02-30,1,1,13\n2013-08-01,1,1,1\n"));
    assert_eq!((finding.rule, finding.count), (Rule::InvalidDate, 1));
    let example = &finding.examples[0];
    assert_eq!(
        (example.line, example.column.as_deref()),
        (203, Some("date"))
    );
    assert_eq!(example.text, "2013-02-30");

    let many = only_finding(file(&"2013-08-01,1,1,-1\n".repeat(9)));
    assert_eq!(
        (many.rule, many.count, many.examples.len()),
        (Rule::NegativeSales, 9, 5)
    );

    let quoted = only_finding(file("\"2013-08-01\",1,1,\"1\n3\"\n"));
    assert_eq!(
        (quoted.rule, quoted.examples[0].line),
        (Rule::InvalidSales, 202)
    );
    assert_eq!(quoted.examples[0].text, "1\\n3");

    let latin1 = only_finding([file("").as_bytes(), b"2013-08-01,1,caf\xe9,1\n"].concat());
    assert_eq!(
        (latin1.rule, latin1.examples[0].text.as_str()),
        (Rule::Encoding, "byte 0xe9 at 4 of caf\\xe9")
    );

    let ragged = only_finding(file("2013-08-01,1,1\n2013-08-02,1,1,1,1\n"));
    assert_eq!((ragged.rule, ragged.count), (Rule::FieldCount, 2));
    assert_eq!(ragged.examples[0].text, "3 values: 2013-08-01,1,1");

    let again = only_finding(file("2013-01-05,1,1,99\n2013-01-05,01,1,98\n"));
    assert_eq!((again.rule, again.count), (Rule::DuplicateKey, 2));
    assert_eq!(again.examples[1].text, "2013-01-05, store 1, item 1");

    let wrong_twice = report(file("x,1,1,-1\n"));
    assert_eq!(wrong_twice.findings.len(), 2);
    assert_eq!((wrong_twice.rows, wrong_twice.accepted_rows), (201, 200));
}

#[test]
fn a_file_without_sound_columns_is_not_judged_further() {
    for (text, rule, said) in [
        ("", Rule::EmptyFile, "nothing in the file"),
        ("\n\r\n\n", Rule::EmptyFile, "nothing in the file"),
        ("2013-01-01,1,1,13\n", Rule::NoHeader, "`2013-01-01,1,1,13`"),
        (
            "date,shop,item,sales\n",
            Rule::MissingColumn,
            "store (accepted: store, store_id)",
        ),
        (
            "date;store;item;sales\n",
            Rule::NoHeader,
            "`date;store;item;sales`",
        ),
        (
            "date,store,store_id,item,sales\n",
            Rule::AmbiguousColumn,
            "store (store, store_id)",
        ),
        (
            "date,date,store,item,sales\n",
            Rule::AmbiguousColumn,
            "date (date, date)",
        ),
        (
            "date,store,item,sales\r2013-01-01,1,1,13\r",
            Rule::LineEnds,
            "end with a carriage return (CR) alone. Save",
        ),
        (
            "date,store,item,sales,note\r2013-01-01,1,1,13,x\r",
            Rule::LineEnds,
            "carriage return",
        ),
        ("PK\x03\x04\0\0", Rule::Encoding, "UTF-8"),
    ] {
        let finding = only_finding(text);
        assert_eq!(finding.rule, rule, "{text:?}");
        assert!(
            finding.message.contains(said),
            "{text:?}: {}",
            finding.message
        );
    }
    let utf16: Vec<u8> = "date,store"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(only_finding(utf16).rule, Rule::Encoding);
    assert!(
        report("x\n1\n").digest.is_some(),
        "the identity is that of the whole content"
    );
    assert_ne!(report("x\n1\n").digest, report("x\n2\n").digest);
}

#[test]
fn too_few_too_short_too_old() {
    let text = file("");
    let rules = |contract: &Contract, text: &str| -> Vec<Rule> {
        let report = check(text.as_bytes(), contract, TODAY).unwrap();
        report.findings.iter().map(|finding| finding.rule).collect()
    };
    let contract = Contract::default();
    let head: String = text.split_inclusive('\n').take(100).collect();
    assert_eq!(
        rules(&contract, &head),
        [Rule::TooFewRows, Rule::ShortHistory]
    );
    assert_eq!(rules(&contract.for_validation(), &head), []);
    let fresh = |max_age_days| Contract {
        max_age_days: Some(max_age_days),
        ..Contract::default()
    };
    assert_eq!(rules(&fresh(2357), &text), []);
    assert_eq!(rules(&fresh(2356), &text), [Rule::Stale]);
}

#[test]
fn what_cannot_be_read_to_its_end_has_no_identity() {
    let compressed = gzip(file("").as_bytes());
    for length in [2, 10, compressed.len() / 2, compressed.len() - 1] {
        let report = report(&compressed[..length]);
        assert_eq!(report.findings[0].rule, Rule::DamagedGzip, "{length}");
        assert_eq!(report.digest, None);
    }
    let contract = Contract {
        max_bytes: 1000,
        ..Contract::default()
    };
    let bomb = check(&compressed[..], &contract, TODAY).unwrap();
    assert_eq!(bomb.findings[0].rule, Rule::TooLarge);
    assert_eq!(bomb.digest, None);
}

#[test]
fn an_endless_row_is_a_finding() {
    for row in [
        "x".repeat(MAX_ROW + 1),
        format!("\"{}", "x\n".repeat(MAX_ROW)),
    ] {
        let finding = only_finding(file(&row));
        assert_eq!(
            (finding.rule, finding.examples[0].line),
            (Rule::LongRow, 202)
        );
    }
}

#[test]
fn a_large_file_of_old_line_ends_is_told_so_too() {
    let finding =
        only_finding("date,store,item,sales\r".to_owned() + &"2013-01-01,1,1,13\r".repeat(MAX_ROW));
    assert_eq!(finding.rule, Rule::LineEnds);
}

#[test]
fn more_series_than_memory_is_a_finding() {
    let contract = Contract {
        max_memory_mib: 0,
        ..Contract::default()
    };
    let report = check(file("").as_bytes(), &contract, TODAY).unwrap();
    assert_eq!(report.findings[0].rule, Rule::DuplicatesUnchecked);
    assert_eq!(report.findings[0].count, 200);
}

#[test]
fn more_series_than_are_taken_is_a_finding() {
    let text = file("2013-01-01,1,2,1\n2013-01-01,2,1,1\n");
    let of = |most| {
        let contract = Contract {
            max_series: Some(most),
            ..Contract::default()
        };
        check(text.as_bytes(), &contract, TODAY).unwrap().findings
    };
    assert_eq!(of(3), []);
    let found = of(2);
    assert_eq!((found.len(), found[0].rule), (1, Rule::TooManySeries));
    assert!(
        found[0]
            .message
            .starts_with("There are 3 series; at most 2 are taken."),
        "{}",
        found[0].message
    );
}

#[test]
fn a_report_reads_back_and_repeats_byte_for_byte() {
    let report = report(file("x,1,1,-1\n"));
    let json = report.to_json().unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&json).unwrap(), report);
    assert_eq!(json, self::report(file("x,1,1,-1\n")).to_json().unwrap());
}

/// Yields a few bytes at a time, so that rows are cut at every place.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.0.len()).min(37);
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

fn judged(read: impl Read, quoting: Quoting) -> Report {
    let contract = Contract {
        max_examples: 50,
        ..Contract::default()
    };
    let limits = Limits::of(&contract, TODAY);
    let table = Table::open_with(read, &contract, limits, quoting, 0).unwrap();
    judge(table, &contract, TODAY).unwrap()
}

/// The quick reading of rows, the cutting at commas and the quoted reading agree about `bytes`.
fn all_ways_agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let reference = judged(bytes, Quoting::Everywhere);
    prop_assert_eq!(&judged(bytes, Quoting::WhereSeen), &reference);
    prop_assert_eq!(&judged(Trickle(bytes), Quoting::WhereSeen), &reference);
    prop_assert_eq!(&judged(Trickle(bytes), Quoting::Everywhere), &reference);
    Ok(())
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => (1..4_u32).prop_map(|number| number.to_string()),
        10 => (0..200_000_u32).prop_map(|cents| format!("{}", f64::from(cents) / 100.0)),
        5 => any::<f64>().prop_map(|number| number.to_string()),
        5 => any::<u64>().prop_map(|number| number.to_string()),
        5 => "[0-9]{1,12}(\\.[0-9]{0,9})?",
        10 => prop::sample::select(vec![
            "", " 1 ", "-1", "-0", "+1", "01", "1.0", "1e3", "NaN", "inf", "null", ".5", "5.", "é",
            "\u{feff}", "\"1\"", "\"1", "1\"1", "\"a,b\"", "\"1\n2\"", "\"\"\"\"", "\0", "\r", "\t1",
        ])
        .prop_map(str::to_owned),
    ]
}

fn date() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => (0..60_i32).prop_map(|days| Day::from(Date::constant(2013, 1, 1)).plus(days).to_string()),
        5 => (1995..2025, 0..14, 0..33).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}")),
        2 => cell(),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let end = prop::sample::select(vec![
        "\n", "\n", "\n", "\r\n", "\r\n", "\n\n", "\n\r\n", "\r\r\n",
    ]);
    let fields = (date(), cell(), cell(), cell());
    let extra = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "",
        ",x",
        ",",
        ",\"x\"",
        ",\"x,y\"",
        ",\"x\ny\"",
        ",x\"y",
        ",é",
        ",\0",
        ",\t",
    ]);
    (fields, extra, end).prop_map(|((date, store, item, sales), extra, end)| {
        format!("{date},{store},{item},{sales}{extra}{end}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn quick_and_quoted_reading_agree_on_rows(
        header in prop::sample::select(vec![
            "date,store,item,sales\n", "\u{feff}date,store,item,sales\r\n", "\"date\",store,item,sales\n",
            "date,store,item,sales,note\n", "sales,date,item_id,store_id\n", "\n\ndate,store,item,target\n",
            "date,note,store,item,sales,more\n",
        ]),
        lines in prop::collection::vec(line(), 0..60),
        cut in 0..4_usize,
    ) {
        let text = header.to_owned() + &lines.concat();
        all_ways_agree(&text.as_bytes()[..text.len() - cut])?;
    }

    #[test]
    fn quick_and_quoted_reading_agree_on_noise(
        noise in prop::collection::vec(
            prop::sample::select(b"0123456789--,,,,\n\n\r\"\" .e\xc3\xa9\xef\xbb\xbf\0x".to_vec()),
            0..400,
        ),
    ) {
        all_ways_agree(&[b"date,store,item,sales\n2013-01-01,1,1,1\n", &noise[..]].concat())?;
        all_ways_agree(&noise)?;
    }
}
