use proptest::prelude::*;

use super::*;
use crate::{Contract, check, rows};

const TODAY: Date = Date::constant(2020, 1, 1);

fn contract() -> Contract {
    Contract {
        min_rows: 1,
        min_history_days: 1,
        ..Contract::default()
    }
}

struct Parts {
    split: Split,
    train: String,
    validation: String,
    features: String,
}

fn split_text(text: &str, holdout: Holdout) -> Result<Parts, Error> {
    let report = check(text.as_bytes(), &contract(), TODAY).unwrap();
    split_as(text, &report, holdout)
}

fn split_as(text: &str, report: &Report, holdout: Holdout) -> Result<Parts, Error> {
    let (mut train, mut validation, mut features) = (Vec::new(), Vec::new(), Vec::new());
    let outputs = Outputs {
        train: &mut train,
        validation: &mut validation,
        features: &mut features,
    };
    let split = split(text.as_bytes(), report, holdout, outputs)?;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ok(Parts {
        split,
        train: text(train),
        validation: text(validation),
        features: text(features),
    })
}

#[test]
fn the_last_days_are_held_out_in_file_order() {
    let text = "Item_ID,note,target,store_id,date\r\n\
        7,a,13.50,1,2013-01-01\r\n\
        7,b,1e2,1,2013-01-04\r\n\
        007,\"c,d\",0.1,2,2013-01-03\r\n\
        7,,-0,1,2013-01-02\r\n";
    let parts = split_text(text, Holdout::LastDays(2)).unwrap();
    let expected = Split {
        train_rows: 2,
        validation_rows: 2,
        cut: Some(Date::constant(2013, 1, 3)),
    };
    assert_eq!(parts.split, expected);
    assert_eq!(
        parts.train,
        "date,store,item,sales\n2013-01-01,1,7,13.5\n2013-01-02,1,7,0\n"
    );
    assert_eq!(
        parts.validation,
        "date,store,item,sales\n2013-01-04,1,7,100\n2013-01-03,2,7,0.1\n"
    );
    assert_eq!(parts.features, "0,1,7,2013-01-04\n1,2,7,2013-01-03\n");
}

#[test]
fn a_file_may_go_to_one_side_as_a_whole() {
    let text = "date,store,item,sales\n2013-01-01,1,1,1\n2013-01-02,1,1,2\n";
    let train = split_text(text, Holdout::None).unwrap();
    assert_eq!(
        (train.train.as_str(), train.validation.as_str()),
        (text, "date,store,item,sales\n")
    );
    assert_eq!((train.features.as_str(), train.split.cut), ("", None));
    let validation = split_text(text, Holdout::All).unwrap();
    assert_eq!(
        (validation.split.train_rows, validation.validation.as_str()),
        (0, text)
    );
    assert_eq!(validation.features, "0,1,1,2013-01-01\n1,1,1,2013-01-02\n");
}

#[test]
fn refuses_what_was_not_accepted_or_leaves_nothing() {
    let text = "date,store,item,sales\n2013-01-01,1,1,1\n2013-01-02,1,1,2\n";
    let error = |text: &str, holdout| split_text(text, holdout).err().unwrap();
    assert!(matches!(error("x\n", Holdout::None), Error::Rejected));
    assert!(matches!(
        error(text, Holdout::LastDays(2)),
        Error::NothingLeft {
            holdout_days: 2,
            history_days: 2
        }
    ));
    assert!(split_text(text, Holdout::LastDays(1)).is_ok());

    let report = check(text.as_bytes(), &contract(), TODAY).unwrap();
    for changed in [
        text.replace(",2\n", ",3\n"),
        text.replace(",2\n", ",?\n"),
        String::new(),
    ] {
        let error = split_as(&changed, &report, Holdout::None).err();
        assert!(matches!(error, Some(Error::Changed { .. })), "{changed:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        sales in prop::collection::btree_map(
            (1..50_u32, 1..50_u32, 0..2000_i32),
            prop_oneof![
                (0..1000_u32).prop_map(f64::from),
                (0..1_000_000_u32).prop_map(|mils| f64::from(mils) / 1000.0),
                0.0..100_000.0,
            ],
            2..200,
        ),
    ) {
        let first = Day::from(Date::constant(2010, 1, 1));
        let expected: Vec<Row> = sales
            .iter()
            .map(|(&(store, item, day), &sales)| Row { day: first.plus(day), store, item, sales })
            .collect();
        let mut writer = RowWriter::new(Vec::new()).unwrap();
        for row in &expected {
            writer.write(row).unwrap();
        }
        writer.write.flush().unwrap();
        let text = String::from_utf8(writer.write.get_ref().clone()).unwrap();
        let read: Vec<Row> = rows(text.as_bytes()).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&read, &expected);

        if let Ok(parts) = split_text(&text, Holdout::default()) {
            let cut = Day::from(parts.split.cut.unwrap());
            for (part, held_out) in [(parts.train, false), (parts.validation, true)] {
                let read: Vec<Row> = rows(part.as_bytes()).unwrap().collect::<Result<_, _>>().unwrap();
                let expected: Vec<Row> = expected
                    .iter()
                    .filter(|row| (row.day >= cut) == held_out)
                    .copied()
                    .collect();
                prop_assert!(!read.is_empty());
                prop_assert_eq!(read, expected);
            }
            prop_assert_eq!(parts.features.lines().count() as u64, parts.split.validation_rows);
        }
    }
}
