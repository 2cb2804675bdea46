use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// Names, with a client `guestN` for each number that is asked for. Client N comes from the address
/// 192.0.2.(N / 10), so 10 and 11 are neighbours, and 20 is a stranger to them.
#[derive(Default)]
struct Stage {
    names: Names,
    now: Now,
    called: BTreeMap<u64, Nickname>,
}

impl Stage {
    fn at(&mut self, seconds: f32) {
        self.now.uptime = Duration::from_secs_f32(seconds);
    }

    /// Client `id` asks for a name, and comes in first if it is not here yet.
    fn asks(&mut self, id: u64, name: &str) -> Result<(), Problem> {
        let new = Nickname::parse(name)?;
        let origin = Ipv4Addr::new(192, 0, 2, (id / 10) as u8).into();
        let old = self.called.entry(id).or_insert_with(|| {
            let guest = Nickname::guest(ClientId(id));
            self.names.add(ClientId(id), guest.clone(), origin);
            guest
        });
        self.names.change(old, &new, self.now)?;
        *old = new;
        Ok(())
    }

    fn leaves(&mut self, id: u64) {
        self.names.remove(&self.called.remove(&id).unwrap(), self.now);
    }

    fn refuses(&mut self, id: u64, name: &str, problem: &str) {
        assert_eq!(self.asks(id, name), Err(problem.to_owned()), "{name}");
    }

    fn holder(&self, name: &str) -> Option<u64> {
        self.names.find(name).map(|id| id.0)
    }
}

#[test]
fn names_are_listed_as_people_sort_them() {
    let sorted =
        ["7", "07", "10", "a", "a2", "a2b", "a10", "a10b2", "a10b10", "ab", "guest", "guest2", "guest10"];
    let mut names = Names::default();
    for (id, name) in sorted.iter().enumerate().rev() {
        let name = Nickname::new(name.to_string(), false);
        names.add(ClientId(id as u64), name, Ipv4Addr::LOCALHOST.into());
    }
    let listed: Vec<_> = names.iter().map(ToString::to_string).collect();
    assert_eq!(listed, sorted);
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    /// As text up to the first difference, where that is no number; a number by its value.
    #[test]
    fn a_number_sorts_by_its_value(front in "[a-z]{0,3}", one in 0..10_000_u64, other in 0..10_000_u64, end in "[a-z]{0,3}") {
        let key = |number: u64| sorted_by(&format!("{front}{number}{end}"));
        prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
    }

    #[test]
    fn no_two_names_have_one_key(one in "[0-9a]{1,20}", other in "[0-9a]{1,20}") {
        prop_assert_eq!(sorted_by(&one) == sorted_by(&other), one == other);
    }
}

#[test]
fn a_name_that_was_sent_away_is_kept_out_for_everyone() {
    let mut stage = Stage::default();
    stage.asks(10, "bob").unwrap();
    let bob = stage.called[&10].clone();
    stage.leaves(10);
    stage.names.keep_out(&bob);
    stage.refuses(11, "bob", "bob is kept out for another 60 s. Please pick another name.");
    stage.refuses(
        20,
        "b0b",
        "b0b looks like bob, and that name is kept out for another 60 s. Please pick another name.",
    );
    stage.at(60.0);
    stage.asks(20, "bob").unwrap();
}

#[test]
fn the_answer_says_with_which_name_it_collides() {
    let mut stage = Stage::default();
    for (id, name) in [(10, "alice"), (11, "Lan"), (12, "tom"), (13, "محمد")] {
        stage.asks(id, name).unwrap();
    }
    for (text, answer) in [
        ("ALICE", "ALICE is taken. Please pick another name."),
        ("a1ice", "a1ice looks like alice, and that name is taken. Please pick another name."),
        ("Ian", "Ian looks like Lan, and that name is taken. Please pick another name."),
        ("ТОМ", "ТОМ looks like tom, and that name is taken. Please pick another name."),
        ("مُحَمَّد", "مُحَمَّد looks like محمد, and that name is taken. Please pick another name."),
        ("guest10", "guest10 is for the guest with that number. Please pick another name."),
    ] {
        stage.refuses(20, text, answer);
        let old_connection = " If it is an old connection of yours: it goes by itself within two minutes, or ask the operator.";
        let answer = if text == "guest10" { answer.to_owned() } else { format!("{answer}{old_connection}") };
        stage.refuses(14, text, &answer);
    }
    assert_eq!(stage.holder("Alice"), Some(10));
    assert_eq!(stage.holder("a1ice"), None, "a private line must not reach a look-alike");
}

#[test]
fn a_name_is_kept_for_a_minute_for_the_address_that_had_it() {
    let mut stage = Stage::default();
    stage.asks(10, "alice").unwrap();
    stage.asks(20, "bob").unwrap();
    stage.at(100.0);
    stage.leaves(10);
    assert_eq!(stage.holder("alice"), None);
    stage.at(117.1);
    let kept = "kept for the address it was used from for another 43 s. Please pick another name.";
    stage.refuses(20, "Alice", &format!("Alice is {kept}"));
    stage.refuses(20, "a1ice", &format!("a1ice looks like alice, and that name is {kept}"));
    assert_eq!(stage.holder("bob"), Some(20), "a refusal changes nothing");
    stage.asks(11, "alice").unwrap();
    // From the new owner it is kept anew, and as long.
    stage.leaves(11);
    stage.at(177.0);
    assert!(stage.asks(20, "alice").is_err());
    stage.at(177.1);
    stage.asks(20, "alice").unwrap();
    assert_eq!((stage.holder("alice"), stage.holder("bob")), (Some(20), None));
}

#[test]
fn after_a_rename_the_old_name_is_kept_too() {
    let mut stage = Stage::default();
    stage.asks(10, "alice").unwrap();
    stage.asks(10, "al").unwrap();
    stage.refuses(
        20,
        "alice",
        "alice is kept for the address it was used from for another 60 s. Please pick another name.",
    );
    stage.asks(10, "alice").unwrap();
    stage.asks(10, "bob").unwrap();
    stage.at(59.9);
    assert!(stage.asks(20, "al").is_err());
    stage.at(60.0);
    stage.asks(20, "al").unwrap();
}

#[test]
fn the_names_of_guests_are_not_kept() {
    let mut stage = Stage::default();
    stage.asks(10, "alice").unwrap();
    stage.asks(10, "Guest10").unwrap();
    stage.leaves(10);
    assert_eq!(stage.names.kept.len(), 1);
}

#[test]
fn renaming_in_a_flood_keeps_only_the_last_names() {
    let mut stage = Stage::default();
    stage.asks(20, "bob").unwrap();
    stage.leaves(20);
    for n in 0..1_000 {
        stage.asks(10, &format!("name-{n}-of-many")).unwrap();
    }
    assert_eq!(stage.names.kept.len(), 1 + 4);
    assert!(stage.asks(10, "bob").is_err(), "a flood from one address frees no name of another");
    stage.asks(30, "name-0-of-many").unwrap();
    assert!(stage.asks(30, "name-998-of-many").is_err());
}

#[test]
fn many_addresses_do_not_fill_the_memory() {
    let mut names = Names::default();
    for n in 0..KEPT_FOR_ALL as u32 + 100 {
        let (id, name) = (ClientId(n.into()), Nickname::parse(&format!("{n:x}")).unwrap());
        names.add(id, name.clone(), Ipv4Addr::from(n).into());
        names.remove(&name, Now::default());
    }
    assert_eq!(names.kept.len(), KEPT_FOR_ALL);
    assert!(names.holders.is_empty());
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    /// However people come, rename and go: no two names look alike, none is taken from another address within
    /// its minute, and nothing stays behind when all have left.
    #[test]
    fn a_name_has_one_holder(steps in prop::collection::vec((0..40_u64, "[aloiIO01]{1,3}|guest1[0-9]", 0..30_u8), 1..60)) {
        let mut stage = Stage::default();
        let mut now = 0.0;
        let mut given_up: Vec<(Nickname, u64, f32)> = Vec::new();
        for (id, name, seconds) in steps {
            now += f32::from(seconds);
            stage.at(now);
            let old = stage.called.get(&id).cloned();
            let gave_up = if seconds % 5 == 0 && old.is_some() {
                stage.leaves(id);
                old
            } else if stage.asks(id, &name).is_ok() {
                let new = &stage.called[&id];
                let is_early = |(kept, origin, since): &(Nickname, u64, f32)| {
                    *origin != id / 10 && now - since < 60.0 && kept.looks_like(new)
                };
                prop_assert!(!given_up.iter().any(is_early), "{new} at {now}: {given_up:?}");
                old.filter(|old| old != new)
            } else {
                None
            };
            given_up.extend(gave_up.filter(|name| !name.is_a_guests).map(|name| (name, id / 10, now)));
            for (a, one) in &stage.called {
                prop_assert_eq!(stage.names.find(&one.to_string()), Some(ClientId(*a)));
                // Of two others none has changed its name.
                prop_assert!(stage.called.get(&id).is_none_or(|name| *a == id || !one.looks_like(name)));
            }
            prop_assert_eq!(stage.names.iter().count(), stage.called.len());
        }
        for id in stage.called.keys().copied().collect::<Vec<_>>() {
            stage.leaves(id);
        }
        prop_assert!(stage.names.holders.is_empty());
    }
}
