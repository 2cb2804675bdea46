use super::*;

fn stopped(stream: &[u8]) -> Option<Foreign> {
    (0..=stream.len()).find_map(|received| Foreign::by_first_bytes(&stream[..received]))
}

#[test]
fn binary_protocols_are_stopped_at_their_first_bytes_however_they_come() {
    for (stream, foreign) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], Foreign("TLS")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Foreign("SSH")),
        (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", Foreign("MQTT")),
    ] {
        assert_eq!(stopped(stream), Some(foreign));
    }
}

#[test]
fn text_is_not_stopped() {
    for stream in [&b"hello\n"[..], b"SSH is great", b"", b"\x03", b"\xff\xfb\x1fhi\n", "привет".as_bytes()]
    {
        assert_eq!(stopped(stream), None);
    }
}

#[test]
fn first_lines_that_only_programs_send_are_recognised() {
    let (http, irc, smtp, redis) = (Foreign("HTTP"), Foreign("IRC"), Foreign("SMTP"), Foreign(REDIS));
    for (line, foreign) in [
        ("GET / HTTP/1.1", http),
        ("POST /say?x=1 HTTP/1.0", http),
        ("PROPFIND /dav HTTP/1.1", http),
        ("M-SEARCH * HTTP/1.1", http),
        ("GET http://chat/ HTTP/1.1", http),
        ("CONNECT 192.168.1.20:12345 HTTP/1.1", http),
        ("DESCRIBE rtsp://camera RTSP/1.0", http),
        ("SETUP rtsp://192.168.1.7/trackID=1 RTSP/1.0", http),
        ("OPTIONS * RTSP/2.0", http),
        ("OPTIONS sip:nm SIP/2.0", http),
        ("INVITE sips:bob@example.org SIP/2.0", http),
        ("SUBSCRIBE /upnp/event HTTP/1.1", http),
        ("HEAD /ä HTTP/1.0", http),
        ("PRI * HTTP/2.0", http),
        ("CAP LS 302", irc),
        ("CAP LS", irc),
        ("CAP LIST", irc),
        ("CAP REQ sasl", irc),
        ("CAP REQ :sasl multi-prefix", irc),
        ("CAP END", irc),
        ("PASS hunter2", irc),
        ("PASS :hunter2", irc),
        ("NICK alice", irc),
        ("USER alice 0 * :Alice Liddell", irc),
        ("USER alice 8 * alice", irc),
        ("USER alice 12 irc.example.org :Alice", irc),
        ("EHLO mail.example.org", smtp),
        ("HELO printer.local", smtp),
        ("EHLO my_pc.fritz.box", smtp),
        ("EHLO localhost", smtp),
        ("EHLO [192.168.1.20]", smtp),
        ("HELO 192.168.1.20", smtp),
        ("EHLO [IPv6:fe80::1]", smtp),
        ("AUTH hunter2", redis),
        ("AUTH alice hunter2", redis),
        ("AUTH alice pa$$word", redis),
        ("AUTH default secret", redis),
        ("*1", redis),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 40000 12345", Foreign(PROXY)),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 40000 12345", Foreign(PROXY)),
        ("PROXY UNKNOWN", Foreign(PROXY)),
        ("*12", redis),
        ("a\0b", Foreign("a binary protocol")),
        ("\x01\x02x", Foreign("a binary protocol")),
        ("\x05", Foreign("a binary protocol")),
    ] {
        assert_eq!(Foreign::by_first_line(line.as_bytes(), true), Some(foreign), "{line}");
    }
}

#[test]
fn talk_that_only_looks_like_a_protocol_is_talk() {
    for line in [
        "GET",
        "GET it",
        "PROXY TCP4 is what HAProxy sends",
        "passcode: 1234",
        "GET the HTTP spec",
        "GET /etc/hosts please",
        "GET /etc/hosts",
        "Get / HTTP/1.1",
        "THEY USE HTTP/2",
        "TRY /login with HTTP/1.1",
        "TRY /login HTTP/2",
        "TRY *this* HTTP/1.1",
        "CONNECT the printer HTTP/1.1",
        "LOOK https://example.org/a",
        "TYPE /help to see",
        "SIP or RTSP/1.0",
        "POST",
        "WARNING /var/log/syslog is full",
        "hello",
        "",
        "/GET / HTTP/1.1",
        "PASS me the salt",
        "PASS on it",
        "NICK and I are here",
        "NICK is late",
        "nick bob",
        "USER error",
        "USER error, I think",
        "USER error on the login page",
        "USER error on the :(",
        "USER rights are * everywhere",
        "USER story 12 is done",
        "USER 4 2 6 8",
        "HELO everybody, how are you?",
        "HELO folks",
        "HELO folks.",
        "HELO me...",
        "HELO world",
        "HELO [all]",
        "EHLO everyone",
        "EHLO v2.0",
        "AUTH",
        "AUTH is broken again today",
        "CAP on",
        "CAP LS what?",
        "CAP LIST of today",
        "CAP REQ for you",
        "CAP END of story",
        "*",
        "*waves*",
        "* 1",
        "*1 for that",
        "*1st*",
        "\thello",
        "a\x1b[Ab",
    ] {
        assert_eq!(Foreign::by_first_line(line.as_bytes(), true), None, "{line}");
    }
}

#[test]
fn talk_that_is_too_long_is_talk() {
    let long = "x".repeat(4093);
    for line in [
        &format!("FYI {long}"),
        &format!("WARNING /var/log/syslog {long}"),
        &format!("WARNING /var/log/syslog is full: {long}"),
        &format!("SEE https://example.org/{long}"),
        &format!("SEE https://example.org/ HTTP/1.1 {long}"),
        &format!("*{long}* NOTE"),
        "ERROR in the third line, and then a long log",
        "WARNING ",
        "I talk about everything at great length",
    ] {
        assert_eq!(Foreign::by_first_line(line.as_bytes(), false), None, "{line}");
    }
}

#[test]
fn a_request_is_recognised_wherever_it_is_cut() {
    for (method, version) in
        [("POST /", "HTTP/1.1"), ("PLAY rtsp://cam/", "RTSP/1.0"), ("BYE sip:b", "SIP/2.0")]
    {
        let request = format!("{method}{} {version}", "x".repeat(100));
        for cut in method.len()..=request.len() {
            let line = &request.as_bytes()[..cut];
            assert_eq!(Foreign::by_first_line(line, false), Some(Foreign("HTTP")), "{method} {cut}");
        }
    }
}
