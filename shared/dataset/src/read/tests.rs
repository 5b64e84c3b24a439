use jiff::civil::Date;

use super::*;
use crate::day::Day;

const ROWS: &str = "date,store,item,sales\n2013-01-01,1,1,1\n2013-01-02,1,1,2.5\n";

fn line_of(error: &Error) -> (u64, &str) {
    match error {
        Error::Line { line, problem } => (*line, problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_read_one_by_one() {
    let read: Vec<Row> = rows(ROWS.as_bytes()).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), 2);
    let last = Row {
        day: Day::from(Date::constant(2013, 1, 2)),
        store: 1,
        item: 1,
        sales: 2.5,
    };
    assert_eq!(read[1], last);
}

#[test]
fn the_first_bad_row_ends_the_reading() {
    let text = ROWS.to_owned() + "2013-01-03,1,1,x\n2013-01-04,1,1,3\n";
    let mut read = rows(text.as_bytes()).unwrap().skip(2);
    let error = read.next().unwrap().unwrap_err();
    let (line, problem) = line_of(&error);
    assert_eq!(line, 4);
    assert!(
        problem.starts_with("sales `x`: The sales are not"),
        "{problem}"
    );
    assert!(read.next().is_none());

    let error = rows(&b"store,item\n"[..]).err().unwrap();
    assert_eq!(line_of(&error).0, 1);
    assert!(rows(&b""[..]).is_err(), "a data set has a header at least");
}

#[test]
fn predictions_read_strictly() {
    let good = "0,1.5\r\n1,-2e3\n2,7";
    let read: Vec<Prediction> = predictions(good.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(read.len(), 3);
    assert_eq!((read[1].row_id, read[1].prediction), (1, -2000.0));

    for bad in [
        "", "7", "x,7", "-1,7", "1,x", "1,", "1,NaN", "1,inf", "1,1e999", "1,2,3", " 1,2", "\u{e9}",
    ] {
        let text = format!("0,1\n{bad}\n2,3\n");
        let mut read = predictions(text.as_bytes()).skip(1);
        let error = read.next().unwrap().unwrap_err();
        assert_eq!(line_of(&error).0, 2, "{bad:?}");
        assert!(read.next().is_none());
    }
    let endless = "1".repeat(10_000);
    assert!(predictions(endless.as_bytes()).next().unwrap().is_err());
}

#[test]
fn predictions_meet_their_rows() {
    let join = |text: &str| -> Result<Vec<(Row, f64)>, Error> {
        with_predictions(rows(ROWS.as_bytes())?, predictions(text.as_bytes())).collect()
    };
    let joined = join("0,10\n1,20\n").unwrap();
    assert_eq!((joined[1].0.sales, joined[1].1), (2.5, 20.0));
    for (text, line) in [
        ("0,10\n", 2),
        ("0,10\n1,20\n2,30\n", 3),
        ("1,20\n0,10\n", 1),
        ("0,1\n0,1\n", 2),
    ] {
        assert_eq!(line_of(&join(text).unwrap_err()).0, line, "{text:?}");
    }
}

#[test]
fn a_failing_source_is_not_the_end() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let mut read = rows(ROWS.as_bytes().chain(Broken))
        .unwrap()
        .skip_while(Result::is_ok);
    assert!(matches!(read.next(), Some(Err(Error::Read(_)))));
    let mut read = predictions(b"0,1\n".chain(Broken)).skip(1);
    assert!(matches!(read.next(), Some(Err(Error::Read(_)))));
}
