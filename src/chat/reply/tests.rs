use super::*;

fn named(names: &[&str]) -> Vec<Nickname> {
    names.iter().map(|name| Nickname::parse(name).unwrap()).collect()
}

#[test]
fn the_welcome_is_three_lines() {
    let here = Here { count: 3, names: named(&["alice", "bob", "guest1"]) };
    let welcome = Reply::Welcome(Nickname::parse("guest1").unwrap(), here);
    assert_eq!(
        welcome.to_string(),
        "*** Welcome to chat-server! You are guest1.\n\
         *** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.\n\
         *** 3 here: alice, bob, guest1"
    );
}

#[test]
fn a_long_list_is_cut() {
    let here = Here { count: 43, names: named(&["alice", "bob", "carol"]) };
    assert_eq!(here.to_string(), "*** 43 here: alice, bob, carol … and 40 more");
}

#[test]
fn the_count_line_names_as_many_as_fit_80_columns() {
    for width in [1, 5, 19] {
        let names: Vec<String> = (0..25).map(|n| format!("{n:a<width$}", n = (b'a' + n) as char)).collect();
        let names = named(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let line = Here { count: 4000, names }.to_string();
        assert!(line.width() <= 80 && line.width() > 80 - 2 - width - 4, "{line}");
    }
    let wide = named(&["愛麗絲愛麗絲愛麗絲愛麗絲", "アリスアリスアリス", "앨리스앨리스앨리스", "愛麗絲"]);
    assert!(Here { count: 4, names: wide }.to_string().ends_with("アリスアリスアリス … and 2 more"));
}

#[test]
fn a_list_of_hundreds_is_wrapped() {
    let names: Vec<Nickname> =
        (0..500).map(|n| Nickname::parse(&format!("person-{n:03}")).unwrap()).collect();
    let list = Reply::List(Here { count: 500, names }).to_string();
    assert!(list.starts_with("*** 500 here: person-000, person-001, "), "{list}");
    assert!(list.lines().all(|line| line.len() <= 80 && line.starts_with("*** ")), "{list}");
    assert_eq!(list.matches("person-").count(), 500);
    assert!(list.ends_with(" person-498, person-499"));
    let wide = named(&["愛麗絲愛麗絲愛麗絲愛麗絲", "アリスアリスアリス", "앨리스앨리스앨리스", "愛麗絲"]);
    let list = Reply::List(Here { count: 4, names: wide }).to_string();
    assert!(list.lines().count() == 2 && list.lines().all(|line| line.width() <= 80), "{list}");
}
