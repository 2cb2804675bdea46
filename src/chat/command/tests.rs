use super::*;
use crate::chat::{ClientId, Now, room::Room};
use crate::operator::order::{ORDERS, Order};
use proptest::prelude::*;

fn parse(line: &str) -> Option<Result<Request, Problem>> {
    COMMANDS.parse(line)
}

fn parse_order(line: &str) -> Option<Result<Order, Problem>> {
    ORDERS.parse(line)
}

fn understood(line: &str) -> Request {
    match parse(line) {
        Some(Ok(request)) => request,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn refused(line: &str) -> Problem {
    parse(line).expect("not blank").expect_err("no command")
}

/// Whatever a person with the longest of names does, what the others get is the text and no more than
/// [`AROUND`] beside it.
#[test]
fn what_a_line_weighs_is_what_is_shown_of_it() {
    let name = "\u{10414}\u{1044c}".repeat(10); // Deseret, four bytes for each letter.
    let mut room = Room::new(20, 1 << 20);
    let (author, other) = (ClientId(1), ClientId(2));
    for (id, name) in [(author, &name), (other, &"b".repeat(20))] {
        room.join(id, std::net::Ipv4Addr::LOCALHOST.into(), Now::default());
        room.act(id, Request::Nick(Nickname::parse(name).unwrap()), Now::default()).unwrap();
    }
    let growing = ["hello", "\x01", "\u{80}", "\u{202e}", "\u{e0041}", "a\t", "\x1b[2J"]
        .map(|text| format!("x{}", text.repeat(100)));
    for text in growing.iter().map(String::as_str).chain(["x"]) {
        for line in [
            text.to_owned(),
            format!("/me {text}"),
            format!("/msg {name} {text}"),
            format!("/msg {text}"),
            format!("/{text}"),
        ] {
            let line = parse(&line).unwrap();
            let weight = weight(&line);
            let answer = line.and_then(|request| room.act(author, request, Now::default()));
            let shown = answer.map_or_else(
                |problem| problem.len(),
                |lines| lines.iter().map(|(_, line)| line.len()).max().unwrap(),
            );
            let with_time = shown + "*** 2026-11-25\n[2026-11-25 14:03] \n".len();
            assert!(with_time <= weight + AROUND, "{text}: {with_time} bytes for {weight}");
        }
    }
}

#[test]
fn text_is_said_as_it_was_typed() {
    assert_eq!(understood("hello"), Request::Say("hello".into()));
    assert_eq!(understood("//msg is a command"), Request::Say("/msg is a command".into()));
    assert_eq!(understood("//"), Request::Say("/".into()));
    for text in [
        "    indented /not a command ",
        "// TODO",
        "//\tTODO",
        "/* comment */",
        "/ is the root",
        "/1",
        "/-: a smiley",
        " /etc/hosts is a file",
        "\u{3000}/root",
        "/\\",
        "／",
        "see /msg",
    ] {
        assert_eq!(understood(text), Request::Say(text.replace('\t', " ").into()), "{text}");
    }
}

#[test]
fn a_line_that_only_looks_like_a_command_is_said_to_nobody() {
    for line in [
        " /msg alice my PIN",
        "\t/msg alice my PIN",
        "\u{a0}/msg alice my PIN",
        "\u{3000}/msg alice my PIN",
        "\u{200b}/msg alice my PIN",
        "\u{feff}/w alice my PIN",
        "\u{3164}/r my PIN",
        "\u{2800} /reply my PIN",
        "\u{e0041}/msg alice my PIN",
        "／msg alice my PIN",
        "\u{2215}msg alice my PIN",
        "/ msg alice my PIN",
        "/\u{200b}msg alice my PIN",
        " /MSG alice my PIN",
        " /m\u{ad}sg alice my PIN",
        " /m sg alice my PIN",
        "／ｍｓｇ alice my PIN",
        "\x1b[A/msg alice my PIN",
        "\x01/msg alice my PIN",
        "\u{fffd}/msg alice my PIN",
        "\u{29f8}msg alice my PIN",
        " /tell alice my PIN",
        " /quit",
    ] {
        assert!(refused(line).contains("nobody got that"), "{line:?}: {}", refused(line));
    }
    assert!(parse_order(" /kick bob").unwrap().unwrap_err().contains("nobody got that"));
}

/// On many keyboards a slash is Shift-7, and other keys are beside it.
#[test]
fn a_private_line_with_a_wrong_key_for_its_slash_is_said_to_nobody() {
    for line in [
        "7msg bob secret",
        "&msg bob secret",
        "?msg bob secret",
        ":msg bob secret",
        "\\msg bob secret",
        ".msg bob secret",
        "|msg bob secret",
        "-MSG bob secret",
        "７ｍｓｇ bob secret",
        " 7msg bob secret",
        "{w bob secret",
        "7w bob secret",
        "&w bob",
        "7r secret",
        ".r secret",
        "_reply secret",
        "7tell bob secret",
        "?whisper bob secret",
        "&pm bob secret",
        "/7msg bob secret",
        "7/msg bob secret",
        "\\\\msg bob secret",
        "/msg/bob secret",
        "/MSG/bob",
        " /w/bob secret",
        "/r/rust is nice",
    ] {
        assert!(refused(line).contains("so nobody got that"), "{line:?}: {}", refused(line));
    }
    assert!(refused("7msg bob secret").starts_with("That looks like /msg, "));
    assert!(parse_order("7msg bob secret").unwrap().unwrap_err().contains("nobody got that"));
}

#[test]
fn talk_and_paths_are_said_as_they_are() {
    for text in [
        "7pm is fine",
        "7 words",
        "7nick is taken",
        "w00t",
        "(w)",
        ":w",
        "&w",
        "$r = 1",
        "- msg me later",
        "tell bob I am late",
        "...msg me",
        "r u there?",
        "/home/x/a.py:12: error",
        "/etc/hosts is broken",
        "/o/",
        "/list/",
        "/usr/bin/env python3",
        "\u{a0}/etc/hosts",
    ] {
        assert_eq!(understood(text), Request::Say(text.into()), "{text}");
    }
    for (text, name) in [
        ("msg bob secret", Some(("msg", "bob"))),
        ("MSG @bob: secret", Some(("msg", "bob"))),
        ("w bob secret", Some(("w", "bob"))),
        ("whisper bob secret", Some(("whisper", "bob"))),
        ("zmsg bob secret", Some(("msg", "bob"))),
        ("m\u{200b}sg bob secret", Some(("msg", "bob"))),
        ("msg me later", Some(("msg", "me"))), // Talk, unless one who is here is called that.
        ("msg bob", None),
        ("/msg bob secret", None), // It was typed with two slashes.
        ("ew bob, look", None),
        ("tell bob to come", None),
        ("bob, msg me later", None),
    ] {
        let found = without_slash(text);
        assert_eq!(found.as_ref().map(|(word, name)| (*word, name.as_str())), name, "{text}");
    }
}

#[test]
fn blank_lines_are_nothing() {
    for blank in ["", " ", "\t", "  \t ", "\u{200b}\u{feff}", "\u{3164}", "\x1b[A", "\u{fe0f}\u{ad}"] {
        assert!(parse(blank).is_none() && parse_order(blank).is_none());
    }
}

#[test]
fn every_word_of_every_command_is_known_in_any_case() {
    let parse_both = |line: &str| (parse(line).unwrap().err(), parse_order(line).unwrap().err());
    let is_known = |problem: Option<Problem>| problem.is_none_or(|p| !p.starts_with("There is no"));
    for word in COMMANDS.words() {
        assert!(is_known(parse_both(&format!("/{word} bob on")).0), "{word}");
        assert!(is_known(parse_both(&format!("/{} bob on", word.to_uppercase())).0), "{word}");
    }
    for word in ORDERS.words() {
        assert!(is_known(parse_both(&format!("/{} bob on", word.to_uppercase())).1), "{word}");
    }
}

#[test]
fn commands_take_their_arguments() {
    let to_bob = |text: &str| Request::Msg("bob".to_owned(), text.into());
    assert_eq!(understood("/msg bob  see you "), to_bob("see you "));
    assert_eq!(understood("/W bob /quit"), to_bob("/quit"));
    assert_eq!(understood("/r yes"), Request::Reply("yes".into()));
    assert_eq!(understood("/nick bob "), Request::Nick(Nickname::parse("bob").unwrap()));
    assert_eq!(understood("/me waves"), Request::Me("waves".into()));
    assert_eq!(understood("/echo OFF"), Request::Echo(false));
    assert_eq!(parse("/quit"), Some(Ok(Request::Quit(None))));
    assert_eq!(parse("/quit bye all"), Some(Ok(Request::Quit(Some("bye all".into())))));
    assert_eq!(parse_order("hello"), Some(Ok(Order::Say("hello".into()))));
    assert_eq!(parse_order("//x"), Some(Ok(Order::Say("/x".into()))));
    let kick = Order::Kick("bob".into(), Some("too loud".into()));
    assert_eq!(parse_order("/KICK bob too loud"), Some(Ok(kick)));
}

#[test]
fn a_bad_use_is_answered_with_what_to_type() {
    for (line, usage) in [
        ("/msg", "/msg NAME TEXT"),
        ("/msg bob", "/msg NAME TEXT"),
        ("/r  ", "/reply TEXT"),
        ("/me", "/me TEXT"),
        ("/nick", "/nick NAME"),
        ("/echo x", "/echo on|off"),
    ] {
        assert!(refused(line).ends_with(&format!("needs something else after it. Usage: {usage}")), "{line}");
    }
    for line in ["/list bob", "/history 10", "/help msg", "/who x"] {
        assert!(refused(line).contains(" takes nothing after it. Usage: /"), "{line}: {}", refused(line));
    }
    assert!(refused("/").starts_with("There is no command /. /help lists them"));
    assert!(refused("/dance now").starts_with("There is no command /dance. /help lists them"));
    for (typed, meant) in [
        ("/h", "help"),
        ("/?", "help"),
        ("/exit", "quit"),
        ("/Bye now", "quit"),
        ("/leave", "quit"),
        ("/part #chat", "quit"),
        ("/q", "quit"),
        ("/tell bob hi", "msg"),
        ("/whisper bob hi", "msg"),
        ("/pm bob hi", "msg"),
        ("/dm bob hi", "msg"),
        ("/users", "list"),
        ("/nickname bob", "nick"),
        ("/n", "names or /nick"),
    ] {
        assert!(refused(typed).ends_with(&format!(". Did you mean /{meant}?")), "{}", refused(typed));
    }
    for word in ORDERS.words().filter(|word| COMMANDS.words().all(|ours| ours != *word) && *word != "exit") {
        assert_eq!(refused(&format!("/{word} bob")), format!("Only the operator can use /{word}."));
    }
    assert_eq!(refused("/Stop"), "Only the operator can use /Stop.");
    assert_eq!(refused("/hlep"), "There is no command /hlep. Did you mean /help?");
    let order = parse_order("/BAN").unwrap().unwrap_err();
    assert_eq!(order, "/ban needs something else after it. Usage: /ban NAME|ADDRESS|NET [REASON]");
}

#[test]
fn each_help_has_a_line_for_every_command_of_its_own() {
    let (clients, operator) = (COMMANDS.help(), ORDERS.help());
    let has = |help: &str, usage: String| help.contains(&format!("\n***   {usage} "));
    assert!(COMMANDS.rows.iter().all(|row| has(&clients, row.usage())), "{clients}");
    assert!(ORDERS.rows.iter().all(|row| has(&operator, row.usage())), "{operator}");
    assert!(clients.contains("/list              who is here, and how many (also /who, /names)"));
    for line in clients.lines().chain(operator.lines()) {
        assert!(line.starts_with("*** ") && line.chars().count() <= 80, "{line}");
    }
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    #[test]
    fn no_line_is_too_strange_to_parse(line in ".*") {
        let _ = (parse(&line), parse_order(&line));
    }

    #[test]
    fn text_without_a_slash_is_said(line in "[a-z][^/]*") {
        prop_assert_eq!(understood(&line), Request::Say(printable(&line).as_ref().into()));
    }

    /// However a private command is disguised, the line is no public one.
    #[test]
    fn no_visible_private_command_becomes_public(
        front in "[ \\t\u{a0}\u{200b}\u{feff}\u{3000}\u{2800}\u{3164}\u{ad}\x01\u{e0041}]{0,4}",
        slash in "[/／\u{2044}\u{2215}]",
        between in "[ \u{a0}\u{200b}]{0,3}",
        word in "(msg|MSG|Msg|w|r|reply|ｍｓｇ|m\u{200b}sg)",
        blank in "[ \u{3000}\\t]{1,3}",
        rest in "[a-z]{1,8} .{0,20}",
    ) {
        let line = format!("{front}{slash}{between}{word}{blank}{rest}");
        match parse(&line) {
            Some(Ok(Request::Say(_) | Request::Me(_))) => prop_assert!(false, "{line:?} is public"),
            Some(Ok(_) | Err(_)) => {}
            None => prop_assert!(false, "{line:?} is blank"),
        }
    }
}
