use crate::chat::ClientId;
use crate::chat::nickname::tests::{MIXED, RESERVED_NAME, name};
use crate::chat::nickname::{Nickname, fold, is_allowed};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use unicode_normalization::char::is_combining_mark;
use unicode_script::{Script, UnicodeScript};
use unicode_security::skeleton;

#[test]
fn names_that_pass_for_the_server_are_reserved() {
    let names = "server Chat-Server SERVER chatserver chat_server _server_ server1 -server- the-server \
             TheChatServer server-admin Server_2024 5erver5erver5 Operator 0perator 0perator1 \
             operator-2 admin Admin1 4admin administrator moderator system You y0u Y0U y-o-u \
             EVERYONE every-body ѕуѕтем ꓢꓰꓣꓦꓰꓣ уоu server_you s_e_r_v_e_r sеrvеr sérver \
             adm1n adrnin rnod serverbot the-console Ƽerver oÞerator yoƲ everƔone Ƽystem serverI serverO \
             s3rver serv3r 5erver 4dmin 0p3r4t0r 5y5t3m every80dy m0d3r470r c0n50l3 5erver5 s3rv3r3 Ʒvery80dy \
             op root mod staff OP Root m0d 0p r00t 5taff 574ff mod1 op2 root-0 staff_7 the-op TheMod \
             chatop modbot server一 ーserver ser一ver y〇u y口u yロu 〇perator adm丨n adm工n admエn \
             opera丅or s丫stem yo凵 server丶 serverノ \
             op-server root_admin mod-staff s-t-a-f-f rööt Ор ꓳꓑ";
    for taken in names.split_whitespace() {
        let result = Nickname::parse(taken);
        assert!(result.as_ref().is_err_and(|why| why == MIXED || why == RESERVED_NAME), "{taken} {result:?}");
    }
    let names = "observer chatbot Servera chat-söver chat the Thế Young adminton systema All 2024 mode option \
                 rooty staffan Modi modo Modesto Opal Opi Oppo opo Loop lop Root1e Stafford Staffi Moda Modl topop \
                 Theodor Theo Ophelia 3even 7he Lee7 s3rvera Barroot 80b Bob";
    for free in names.split_whitespace() {
        assert!(!name(free).is_a_guests, "{free}");
    }
}

#[test]
fn guest_names_are_recognised() {
    assert_eq!(Nickname::guest(ClientId(7)).to_string(), "guest7");
    assert!(Nickname::guest(ClientId(7)).is_a_guests);
    let names = "guest8 GUEST07 guest10 guestl guest1O guestI guesti guest_8 gue-st8 ꓖꓴꓰꓢꓔ8 guést8 \
                 gƲest12 gues丅9 guest一3 guest〇";
    for guests in names.split_whitespace() {
        assert!(name(guests).is_a_guests, "{guests}");
    }
    for free in ["guest", "guest7a", "guesthouse", "my-guest7"] {
        assert!(!name(free).is_a_guests, "{free}");
    }
}

/// Names that nobody else may pass for.
const TAKEN: &str = "administrator admin console everybody everyone mod moderator op operator root server staff \
     sysop system you guest12 guest70";

/// For each small letter and digit: the characters that look like it in some case. Unicode's table of
/// look-alikes does not have Ʋ, but its small letter ʋ, which looks like u.
static DOUBLES: LazyLock<BTreeMap<String, Vec<char>>> = LazyLock::new(|| {
    let mut all: BTreeMap<String, Vec<char>> = BTreeMap::new();
    // What has neither case nor a look-alike, as most of Han, is nobody's double.
    let is_like_others =
        |c: &char| c.is_lowercase() || c.is_uppercase() || !skeleton(&c.to_string()).eq([*c]);
    let letters =
        ('\0'..='\u{33fff}').filter(|c| c.is_ascii_digit() || (is_allowed(*c) && is_like_others(c)));
    for c in letters.filter(|c| c.is_alphanumeric()) {
        for form in [c.to_string(), fold(&c.to_string()), c.to_uppercase().to_string()] {
            let letters = skeleton(&form).filter(|c| c.is_alphanumeric() && !is_combining_mark(*c));
            let letters = letters.collect::<String>().to_lowercase().replace("rn", "m").replace('i', "l");
            if letters.chars().all(|c| c.is_ascii_alphanumeric()) {
                all.entry(letters).or_default().push(c);
            }
        }
    }
    all.values_mut().for_each(Vec::dedup);
    all
});

/// The key of a letter there: capital I and 1 look like l, and 0 like O.
fn looks(letter: char) -> String {
    letter.to_string().replace(['i', '1'], "l").replace('0', "o")
}

#[test]
fn no_letter_of_a_reserved_name_has_a_double() {
    let mut reserved = 0;
    for word in TAKEN.split(' ') {
        for (at, letter) in word.char_indices() {
            for double in &DOUBLES[&looks(letter)] {
                let text = format!("{}{double}{}", &word[..at], &word[at + 1..]);
                let result = Nickname::parse(&text);
                reserved += usize::from(result.as_ref().is_err_and(|why| why == RESERVED_NAME));
                assert!(result.is_err() || result.unwrap().is_a_guests, "{text} passes for {word}");
            }
        }
    }
    assert!(reserved > 1_000, "{reserved}");
}

/// Those that have the most letters in common with ASCII.
const SCRIPTS: [Script; 6] =
    [Script::Latin, Script::Cyrillic, Script::Greek, Script::Cherokee, Script::Lisu, Script::Coptic];

/// A way to write `word` in the letters of one script, and digits.
fn disguised(word: &str, script: Script, picks: &[Index]) -> Option<String> {
    let letters = word.chars().zip(picks).map(|(letter, pick)| {
        let doubles = &DOUBLES[&looks(letter)];
        let usable = |c: &&char| is_allowed(**c) && (c.script() == script || c.is_ascii_digit());
        let doubles: Vec<&char> = doubles.iter().filter(usable).collect();
        (!doubles.is_empty()).then(|| **pick.get(&doubles))
    });
    letters.collect()
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    #[test]
    fn no_disguise_makes_a_reserved_name_free(
        word in select(TAKEN.split(' ').collect::<Vec<_>>()),
        script in select(&SCRIPTS),
        picks in proptest::collection::vec(any::<Index>(), 20),
    ) {
        if let Some(text) = disguised(word, script, &picks) {
            let is_free = Nickname::parse(&text).is_ok_and(|name| !name.is_a_guests);
            prop_assert!(!is_free, "{text} passes for {word}");
        }
    }
}
