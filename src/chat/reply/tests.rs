use super::*;
use proptest::prelude::*;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_long_list_is_cut() {
    let line = names_in_one_line(43, &owned(&["alice", "bob", "carol"]));
    assert_eq!(line, "*** 43 here: alice, bob, carol … and 40 more");
}

#[test]
fn the_count_line_names_as_many_as_fit_80_columns() {
    for width in [1, 5, 19] {
        let names: Vec<String> = (0..25).map(|n| format!("{n:a<width$}", n = (b'a' + n) as char)).collect();
        let line = names_in_one_line(4000, &names);
        assert!(line.width() <= 80 && line.width() > 80 - 2 - width - 4, "{line}");
    }
    let wide = owned(&["愛麗絲愛麗絲愛麗絲愛麗絲", "アリスアリスアリス", "앨리스앨리스앨리스", "愛麗絲"]);
    assert!(names_in_one_line(4, &wide).ends_with("アリスアリスアリス … and 2 more"));
}

#[test]
fn a_list_of_hundreds_is_wrapped() {
    let names: Vec<String> = (0..500).map(|n| format!("person-{n:03}")).collect();
    let list = names_in_lines(500, &names);
    assert!(list.starts_with("*** 500 here: person-000, person-001, "), "{list}");
    assert!(list.lines().all(|line| line.len() <= 80 && line.starts_with("*** ")), "{list}");
    assert_eq!(list.matches("person-").count(), 500);
    assert!(list.ends_with(" person-498, person-499"));
    assert!(names_in_lines(501, &names).ends_with(" person-498, person-499\n***   … and 1 more"));
    let wide = owned(&["愛麗絲愛麗絲愛麗絲愛麗絲", "アリスアリスアリス", "앨리스앨리스앨리스", "愛麗絲"]);
    let list = names_in_lines(4, &wide);
    assert!(list.lines().count() == 2 && list.lines().all(|line| line.width() <= 80), "{list}");
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    #[test]
    fn a_wrapped_text_keeps_its_words_and_fills_its_lines(words in prop::collection::vec("[a-z漢]{1,10}", 1..60)) {
        let text = words.join(" ");
        let wrapped = wrapped(&text, 40, INDENT);
        prop_assert_eq!(wrapped.replace(&format!("\n{INDENT}"), " "), text);
        let lines: Vec<_> = wrapped.lines().collect();
        prop_assert!(lines.iter().all(|line| line.width() <= 40), "{}", wrapped);
        for pair in lines.windows(2) {
            let next = pair[1].split_whitespace().nth(1).unwrap();
            prop_assert!(pair[0].width() + 1 + next.width() > 40, "{}", wrapped);
        }
    }
}
