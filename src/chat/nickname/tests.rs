use super::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::{BTreeMap, HashSet};

pub(super) fn name(text: &str) -> Nickname {
    Nickname::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
}

fn refused(text: &str) -> Problem {
    Nickname::parse(text).expect_err(text)
}

pub(super) const MIXED: &str = "a name cannot mix letters of different scripts.";
pub(super) const RESERVED_NAME: &str = "that name is reserved. Please pick another.";

fn cannot_contain(bad: &str) -> String {
    format!("a name cannot contain {bad} (only letters, digits, - and _).")
}

#[test]
fn letters_and_digits_of_any_one_script_make_a_name() {
    let names = "a alice Bob-2 x_1 12345678901234567890 愛麗絲 アリスたち 앨리스 محمد٢٣ ۱۹۸۵ 7 -7- _a 一 राम२४ 二〇二四 ꮳꮃꭹ ᎣᏏᏲ Bob愛 ひらがなKana漢字";
    for good in names.split_whitespace() {
        assert_eq!(name(good).to_string(), good);
    }
    assert_eq!(name("Zoe\u{308}").to_string(), "Zoë", "names are composed");
    assert_eq!(name(&"e\u{301}".repeat(20)).to_string().chars().count(), 20);
}

#[test]
fn names_that_people_have_are_names() {
    let names = "Zoë Nguyễn Văn Phượng Thế Łukasz Ångström Ñandú Şükrü İbrahim Ирина Алёна Їжак Өмүр Ђорђе Қанат \
                 Γιώργος Ελένη Άννα أليس محمد مُحَمَّد فاطمة گلناز אליס שָׁלוֹם יִצְחָק अलीसा क्षितिज हिन्दी प्रिया फ़रहान মৌসুমী ঋত্বিক \
                 শ্রেয়া மணிகண்டன் தமிழ் శ్రీను ಕೃಷ್ಣ ശ്രീജിത്ത് ਗੁਰਪ੍ਰੀਤ ગુજરાતી ଓଡ଼ିଆ සමන් สมชาย กิ๊ก น้ำฝน ສົມຈິດ ກຳແພງ ໜູ សុខា ស្រីមុំ ကျော်ကျော် မြို့ \
                 བཀྲ ኃይሌ ትርሐስ გიორგი Աննա Լևոն ᎠᏂ 홍길동 山﨑 丁力 工藤 二階堂 一 口 𠮷田 がぎぐ ヴァ ラーメン 佐々木 ކުދި ߊߡߊߘߎ ܣܘܪܝܝܐ Ọ̀ṣun Ẹniọlá Adébáyọ̀ \
                 Ọ́lá Ụchẹ Kaʻiulani Лукʼян";
    for text in names.split_whitespace() {
        let name = name(text);
        assert_eq!(name.to_string(), text.nfc().collect::<String>());
        assert!(!name.is_a_guests && name.looks_like(&name));
    }
}

#[test]
fn a_name_breaks_a_rule() {
    for bad in ["", "123456789012345678901", &"a".repeat(1_000_000)] {
        assert_eq!(refused(bad), "a name has 1 to 20 characters.");
    }
    for mixed in ["аlice", "Αlice", "bobאליס", "Cκ"] {
        assert_eq!(refused(mixed), MIXED, "{mixed}");
    }
    for marks in ["-", "_", "__", "-_-", "ʼ", "ʻ-", "ー", "ーーー"] {
        assert_eq!(refused(marks), "a name needs a letter or a digit.", "{marks}");
    }
    for digits in ["10٠", "10۰", "٠۰", "محمد١1", "राम१1", "၁႑", "2〇24"] {
        assert_eq!(refused(digits), "a name cannot mix digits of different kinds.", "{digits}");
    }
}

#[test]
fn the_answer_names_the_character_in_words_where_a_terminal_would_not_show_it() {
    for (text, bad) in [
        ("O'Brien", "'"),
        ("two words", "a blank"),
        ("no\u{a0}break", "an invisible character (U+00A0)"),
        ("ideographic\u{3000}", "an invisible character (U+3000)"),
        ("braille\u{2800}", "an invisible character (U+2800)"),
        ("a\tb", "an invisible character (U+0009)"),
        ("علی\u{200c}رضا", "an invisible character (U+200C)"),
        ("al\u{200d}ice", "an invisible character (U+200D)"),
        ("al\u{202e}ice", "an invisible character (U+202E)"),
        ("al\u{3164}ice", "an invisible character (U+3164)"),
        ("al\u{e0041}ice", "an invisible character (U+E0041)"),
        ("al\u{fe0f}ice", "an invisible character (U+FE0F)"),
        ("𑆃\u{111c2}", "an invisible character (U+111C2)"),
        ("al\u{1b}ice", "an invisible character (U+001B)"),
        ("al\u{9b}ice", "an invisible character (U+009B)"),
        ("al\\x1bice", "\\"),
        ("al\u{e000}ice", "an invisible character (U+E000)"),
        ("\u{301}a", "a mark that does not belong there (U+0301)"),
        ("b\u{1ac5}ob", "a mark that does not belong there (U+1AC5)"),
        ("<b>", "<"),
        ("al👩ice", "👩"),
        ("al½ice", "½"),
        ("alＡice", "Ａ"),
        ("ϳim", "ϳ"),
        ("*", "*"),
        ("a[b", "["),
        ("a/b", "/"),
    ] {
        assert_eq!(refused(text), cannot_contain(bad), "{text:?}");
    }
    assert_eq!(
        refused("Jos\u{fffd}"),
        "that name did not arrive as UTF-8. Set your terminal to UTF-8.",
        "Latin-1"
    );
}

#[test]
fn no_answer_holds_anything_that_a_terminal_obeys_or_hides() {
    let hidden: HashSet<char> = invisible_characters().collect();
    let mut answers = 0;
    // No answer names a letter that names may have. The planes 4 to 13 have no characters, and one of the
    // private ones is like another.
    let planes = ('\0'..='\u{33fff}').chain('\u{e0000}'..='\u{e0fff}').chain(['\u{f0000}', '\u{10ffff}']);
    for c in planes.filter(|c| !is_allowed(*c) || is_combining_mark(*c)) {
        if let Err(answer) = Nickname::parse(&format!("a{c}b")) {
            let harmless = |c: char| c.width() > Some(0) && !hidden.contains(&c);
            assert!(answer.is_ascii() || answer.chars().all(harmless), "{answer:?}");
            answers += 1;
        }
    }
    assert!(answers > 50_000, "{answers}");
}

#[test]
fn names_keep_their_case_and_compare_without_it() {
    for (one, other) in [
        ("alice", "ALICE"),
        ("Zoë", "ZOË"),
        ("Straße", "STRASSE"),
        ("Νίκος", "ΝΊΚΟΣ"),
        ("Алиса", "АЛИСА"),
        ("İbrahim", "ibrahim"),
        ("Irmak", "ırmak"),
    ] {
        assert_eq!(name(one).folded, name(other).folded, "{one} {other}");
        assert!(name(one).looks_like(&name(other)), "{one} {other}");
        assert_ne!(name(one), name(other));
    }
}

#[test]
fn look_alikes_are_the_same() {
    for (one, other) in [
        ("alice", "a1ice"),
        ("alice", "aIice"),
        ("Ian", "Lan"),
        ("paypal", "раураІ"),
        ("modern", "rnodern"),
        ("bob", "b0b"),
        ("tom", "ТОМ"),
        ("Tom", "Том"),
        ("TOM", "том"),
        ("anna", "ΑΝΝΑ"),
        ("alice", "ꓮꓡꓲꓚꓰ"),
        ("BOB", "ꓐꓳꓐ"),
        ("bob", "ꓐꓳꓐ"),
        ("gas", "ᏀᎪᏚ"),
        ("gas", "ꮐꭺꮪ"),
        ("paul", "ÞauI"),
        ("alice", "a丨ice"),
        ("al-ice", "al一ice"),
        ("al-ice", "alーice"),
        ("bob", "b〇b"),
        ("BOB", "B口B"),
        ("bob", "bロb"),
        ("guy", "GƲY"),
        ("محمد", "مُحَمَّد"),
        ("שלום", "שָׁלוֹם"),
        ("น้ำ", "น\u{e4d}\u{e49}า"),
        ("Լևոն", "Լեւոն"),
        ("မို", "မ\u{102f}\u{102d}"),
    ] {
        assert!(name(one).looks_like(&name(other)), "{one} {other}");
        assert!(name(other).looks_like(&name(one)), "{other} {one}");
    }
    for (one, other) in [
        ("alice", "alicia"),
        ("bob", "rob"),
        ("Ali", "All"),
        ("anna", "hanna"),
        ("Zoë", "Zoe"),
        ("राम", "रमा"),
        ("กา", "ก่า"),
        ("i", "l"),
    ] {
        assert!(!name(one).looks_like(&name(other)), "{one} {other}");
    }
}

/// The first letter of each script that makes a name, and some that have points and strokes of their own.
fn letters() -> Vec<char> {
    let mut letters: BTreeMap<&str, Vec<char>> = BTreeMap::new();
    for c in '\0'..=char::MAX {
        let of_this_script = letters.entry(c.script().short_name()).or_default();
        if of_this_script.is_empty()
            && c.script_extension().len() == 1
            && c.is_alphabetic()
            && Nickname::parse(&c.to_string()).is_ok()
        {
            of_this_script.push(c);
        }
    }
    assert!(letters.len() > 100, "{letters:?}");
    letters.into_values().flatten().chain("aeijloIJØđьїыθςاسבက".chars()).collect()
}

/// The blocks of marks that are for letters of any script.
fn is_for_any_script(mark: char) -> bool {
    matches!(mark, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

#[test]
fn a_mark_is_one_of_its_letters_script_or_composes_with_it() {
    let marks: Vec<char> = ('\0'..=char::MAX).filter(|c| is_combining_mark(*c)).collect();
    let mut accepted = 0;
    for letter in letters() {
        for &mark in marks.iter().filter(|mark| is_allowed(**mark)) {
            let text: String = [letter, mark, letter].iter().collect();
            if Nickname::parse(&text).is_ok() {
                let composes = [letter, mark].into_iter().nfc().count() == 1;
                let of_its_script = mark.script_extension().contains_script(letter.script());
                let of_one = mark.script() == letter.script() || (of_its_script && !is_for_any_script(mark));
                assert!(composes || of_one, "{text:?}");
                accepted += 1;
            }
        }
    }
    assert!(accepted > 1_000, "{accepted}");
    for mark in marks {
        for other in ["", "_", "-", "1", "a_"] {
            assert!(Nickname::parse(&format!("{other}{mark}")).is_err(), "{other:?} {mark:?}");
        }
    }
}

#[test]
fn marks_that_pass_for_nothing_are_refused() {
    let clones = "server\u{1ac5} b\u{1ac5}ob guest1\u{1ac5} you\u{1ac5} a_\u{332}b ali\u{307}ce j\u{307}an bob\u{301} Ø\u{338} \
                  o\u{323}\u{301}\u{300} l\u{335} ка\u{484}т ក\u{17d2} က\u{1039} ក\u{17d2}-ក ක\u{17d2}ක 𘬀\u{16fe4}𘬀";
    for clone in clones.split_whitespace() {
        assert!(
            refused(clone).starts_with("a name cannot contain a mark that does not belong there"),
            "{clone}"
        );
    }
}

#[test]
fn marks_do_not_pile_up() {
    for pile in [
        "e\u{301}\u{301}",
        "ё\u{308}",
        "สี\u{e35}",
        "a\u{323}\u{308}\u{323}",
        "o\u{323}\u{301}\u{304}\u{308}\u{306}",
        "ש\u{5bc}\u{5c1}\u{5b8}\u{5bd}\u{5b0}",
        "ب\u{64b}\u{64c}\u{64d}\u{64e}\u{64f}",
        "\u{929}\u{93c}",
        "\u{622}\u{653}",
    ] {
        assert!(refused(pile).contains("a mark that does not belong there"), "{pile:?}");
    }
    name("ש\u{5bc}\u{5c1}\u{5b8}\u{5bd}");
    name("လျှော့");
}

/// All that Unicode calls ignorable by default, and what else shows nothing, or only its width.
fn invisible_characters() -> impl Iterator<Item = char> {
    let ignorable = [
        '\u{ad}'..='\u{ad}',
        '\u{34f}'..='\u{34f}',
        '\u{61c}'..='\u{61c}',
        '\u{115f}'..='\u{1160}',
        '\u{17b4}'..='\u{17b5}',
        '\u{180b}'..='\u{180f}',
        '\u{200b}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{3164}'..='\u{3164}',
        '\u{fe00}'..='\u{fe0f}',
        '\u{feff}'..='\u{feff}',
        '\u{ffa0}'..='\u{ffa0}',
        '\u{fff0}'..='\u{fffb}',
        '\u{1bca0}'..='\u{1bca3}',
        '\u{1d173}'..='\u{1d17a}',
        '\u{e0000}'..='\u{e01ff}',
        '\u{e0fff}'..='\u{e0fff}', // As all between these.
        '\u{2800}'..='\u{2800}',
        '\u{16fe4}'..='\u{16fe4}',
        '\u{3000}'..='\u{3000}',
    ];
    ignorable.into_iter().flatten()
}

const PEOPLE: &str = "alice Ian-2 Алёна Νίκος محمد שלום क्षितिज 홍길동 สมชาย ស្រី かな ကျော် guest Łukasz";

/// Is it a name of its own, though all that was inserted is something that one may not see?
fn is_a_clone(text: &str, original: &str) -> bool {
    Nickname::parse(text).is_ok_and(|clone| !clone.looks_like(&name(original)))
}

/// `insert` at each place of `original`.
fn with_inserted(original: &str, insert: char) -> impl Iterator<Item = String> {
    let places = original.char_indices().map(|(at, _)| at).chain([original.len()]);
    places.map(move |at| [&original[..at], &insert.to_string(), &original[at..]].concat())
}

#[test]
fn no_two_names_differ_only_by_something_invisible() {
    for original in PEOPLE.split(' ') {
        for hidden in invisible_characters() {
            for text in with_inserted(original, hidden) {
                assert!(!is_a_clone(&text, original), "{text:?}");
            }
        }
        for mark in ('\0'..=char::MAX).filter(|c| is_for_any_script(*c)) {
            for text in with_inserted(original, mark) {
                let composes = !text.nfc().any(|c| c == mark);
                assert!(composes || !is_a_clone(&text, original), "{text:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    #[test]
    fn whatever_is_taken_for_a_name_is_safe_to_show(text in ".{0,30}") {
        if let Ok(name) = Nickname::parse(&text) {
            let shown = name.to_string();
            prop_assert!(shown.len() <= 80 && (1..=20).contains(&shown.chars().count()));
            prop_assert!(!shown.starts_with(['*', '!', '<', '[']));
            prop_assert!(shown.chars().all(|c| !c.is_control() && !c.is_whitespace()));
            prop_assert!(Nickname::parse(&shown).is_ok_and(|again| again == name), "composing again changes nothing");
        }
    }

    #[test]
    fn nothing_invisible_makes_a_name_another_one(
        original in "[a-zA-Z0-9_-]{1,19}|[а-яА-Я]{1,19}|[ء-ي]{1,19}|[א-ת]{1,19}|[अ-ह]{1,19}|[가-힣]{1,19}|[ก-ฮ]{1,19}",
        hidden in select(invisible_characters().collect::<Vec<_>>()),
        place in any::<Index>(),
    ) {
        if Nickname::parse(&original).is_ok() {
            let text = with_inserted(&original, hidden).nth(place.index(original.chars().count() + 1)).unwrap();
            prop_assert!(!is_a_clone(&text, &original), "{text:?}");
        }
    }

    #[test]
    fn case_makes_no_name_another_one(text in "\\p{L}{1,8}") {
        for other in [text.to_uppercase(), text.to_lowercase()] {
            if let (Ok(one), Ok(other)) = (Nickname::parse(&text), Nickname::parse(&other)) {
                prop_assert!(one.looks_like(&other), "{one} {other}");
            }
        }
    }
}
