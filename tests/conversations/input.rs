//! Strange input: the others see whole lines of text, each under the name of its author,
//! whatever one client sends.

use chat_server::Config;
use chat_test_support::{Person, TestServer, alice_and_bob, test_config};

// The characters in a line.

#[test]
fn nothing_that_a_terminal_obeys_reaches_another_person() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    bob.sends("\x1b[2J\tbell\x07 \u{9b}31m \u{202e}evil\u{2028}\n".as_bytes());
    alice.sees_next(r"<bob> \x1b[2J bell\x07 \x9b31m \u{202e}evil\u{2028}");
    bob.sends(b"/me \x05\n/msg alice \x07\n/nick \x1b\n/\x1bx\n");
    alice.sees_next(r"* bob \x05");
    alice.sees_next(r"[bob -> you] \x07");
    let answer = bob.sees_one_that(|line| line.starts_with("!!! /nick: a name cannot contain "));
    assert!(answer.is_ascii() && !answer.contains('\x1b'), "{answer:?}");
    alice.sees_next(r"<bob> /\x1bx");
    bob.sends(b"/quit \x1bc\n");
    alice.sees_next(r#"*** bob left ("\x1bc")"#);
}

#[test]
fn ordinary_text_of_any_script_arrives_as_it_was_sent() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    for text in ["grüß dich", "你好", "مرحبا", "नमस्ते", "👩‍👩‍👧 🏳️‍🌈 👍🏽", "e\u{301}"]
    {
        bob.says(text);
        alice.sees_next(&format!("<bob> {text}"));
    }
}

#[test]
fn invalid_utf8_and_nul_are_shown() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    bob.sends(b"caf\xe9\na\0b\n");
    for line in ["<bob> caf\u{fffd}", r"<bob> a\x00b"] {
        alice.sees_next(line);
    }
}

#[test]
fn lines_are_the_same_however_the_packets_are_cut() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    for byte in "grüß 你好 👩‍👩‍👧\r\n\r\n   \n\nzwei\n".as_bytes() {
        bob.sends(&[*byte]); // TCP_NODELAY is not needed: the kernel may join packets, and both must work.
    }
    // A blank line is none.
    alice.sees_next("<bob> grüß 你好 👩‍👩‍👧");
    alice.sees_next("<bob> zwei");
}

#[test]
fn a_hundred_megabytes_without_a_line_break_cost_their_sender_one_error() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    let endless = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        bob.sends(&endless);
    }
    bob.says("");
    bob.says("sorry");
    bob.sees("!!! That line was longer than 4096 bytes, so nobody got it. Please send it in pieces.");
    alice.sees_next("<bob> sorry");
}

#[test]
fn a_line_that_would_fill_half_a_backlog_when_it_is_shown_reaches_nobody() {
    let config = Config { max_line: 65_536, max_backlog: 4 * 65_536, ..test_config() };
    let server = TestServer::with(config);
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    // Control characters, bytes that are no UTF-8, and characters that turn the writing direction.
    for (growing, shown) in [("\x01", 262_141), ("\u{80}", 131_069), ("\u{202e}", 174_761)] {
        bob.says(&format!("x{}", growing.repeat(65_535 / growing.len())));
        bob.sees_next(&format!(
            "!!! That line would take {shown} bytes to show, so nobody got it. Please send it in pieces."
        ));
    }
    bob.says(&"x".repeat(65_536));
    alice.sees("*** bob joined");
    alice.sees_next(&format!("<bob> {}", "x".repeat(65_536)));
}

#[test]
fn with_small_limits_lines_and_lists_come_through() {
    let server = TestServer::with(Config { max_line: 40, max_backlog: 160, ..test_config() });
    let mut alice = server.guest();
    alice.says(&"x".repeat(40));
    alice.sees_next(&format!("<guest1> {}", "x".repeat(40)));
    alice.says("/list");
    alice.sees_next("*** 1 here: guest1");
}

// Names.

#[test]
fn no_name_looks_like_another_one() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    for name in [
        "Alice",
        "ALICE",
        "a1ice",
        "aIice",
        "аlice",
        "аӏісе",
        "al\u{200d}ice",
        "\u{301}alice",
        "guеst1",
        "sеrver",
    ] {
        bob.says(&format!("/nick {name}"));
        assert!(bob.next_line().unwrap().starts_with("!!! "), "{name}");
    }
    for name in ["Алиса", "愛麗絲", "أليس", "Zoë-2"] {
        bob.says(&format!("/nick {name}"));
        assert!(alice.next_line().unwrap().ends_with(&format!(" is now {name}")));
    }
    alice.says("/msg ZOË-2 hi");
    bob.sees("[alice -> you] hi");
}

// Programs that are no chat clients.

#[test]
fn programs_that_are_no_chat_clients_are_told_so_and_not_listened_to() {
    let (server, mut alice, _bob) = alice_and_bob();
    let long_request = format!("GET /{} HTTP/1.1\r\n\r\n/me hacks\r\n", "x".repeat(100_000));
    let (just_too_long, cut_in_version) = (4096 - "POST / HTTP/1.1".len() + 1, 4096 - "POST / HTT".len());
    let requests =
        [just_too_long, cut_in_version].map(|n| format!("POST /{} HTTP/1.1\n/me hacks\n", "x".repeat(n)));
    for (hello, protocol) in [
        (
            &b"POST / HTTP/1.1\r\nHost: 192.168.1.20:12345\r\n\r\n/nick admin\r\n/me hacks\r\nhello\r\n"[..],
            "HTTP",
        ),
        (b"\r\nGET / HTTP/1.0\r\n\r\n/me hacks\r\n", "HTTP"),
        (b"PROPFIND / HTTP/1.1\r\n\r\n/me hacks\r\n", "HTTP"),
        (long_request.as_bytes(), "HTTP"),
        (requests[0].as_bytes(), "HTTP"),
        (requests[1].as_bytes(), "HTTP"),
        (b"\x16\x03\x01\x02\x00\n/me hacks\n", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n/me hacks\r\n", "SSH"),
        (b"\x00\x00\x00\x85\xffSMBr\n/me hacks\n", "a binary protocol"),
        (b"CAP LS 302\r\nPASS hunter2\r\n", "IRC"),
        (b"PASS hunter2\r\nNICK alice2\r\n", "IRC"),
        (b"EHLO mail.example.org\r\n/me hacks\r\n", "SMTP"),
        (b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n", "the protocol of Redis"),
        (b"\x00\x0c\x00\x00\x10\n/me hacks\n", "a binary protocol"),
    ] {
        let mut stranger = Person::connect(server.address);
        stranger.sends(hello);
        let seen = stranger.reads_to_the_end();
        let reason =
            format!("!!! This is a chat server and does not speak {protocol}. Use netcat: nc HOST PORT");
        assert_eq!(seen[3..], [reason], "{protocol}");
    }
    alice.says("was anybody here?");
    alice.sees_next("<alice> was anybody here?");
}

#[test]
fn people_may_begin_with_the_words_of_a_program() {
    let (server, mut alice, _bob) = alice_and_bob();
    for sentence in
        ["USER error on the login page", "HELO folks", "AUTH is broken again today", "GET /etc/hosts please"]
    {
        let mut guest = server.guest();
        guest.says(sentence);
        alice.sees(&format!("<{}> {sentence}", guest.name));
    }
    let mut guest = server.guest();
    guest.says(&format!("WARNING /var/log/syslog is full: {}", "x".repeat(5000)));
    guest.sees_one_that(|line| line.starts_with("!!! That line was longer"));
    guest.says("sorry");
    alice.sees(&format!("<{}> sorry", guest.name));
}
