#!/bin/sh
# Three people chat through netcat with a server on a free loopback port; then prints what each of them saw.
# Usage: demo.sh PATH-OF-CHAT-SERVER
set -eu
server=$1
nc=$(command -v nc || command -v ncat || command -v nc.traditional) || {
    echo "demo: netcat is needed (Debian: apt install netcat-openbsd)" >&2
    exit 1
}

scratch=$(mktemp -d)
pids=
clean_up() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -r "$scratch"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM PIPE

# A shell cannot wait for a line in a file, so this one looks for it twenty times a second, for ten seconds.
sees() {
    tries=0
    until grep -qF -- "$2" "$scratch/$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "demo: $1 never saw: $2" >&2; cat "$scratch/server" >&2; exit 1; }
        sleep 0.05
    done
}

says() { # who, what
    case $1 in
        alice) printf '%s\n' "$2" >&3 ;;
        bob) printf '%s\n' "$2" >&4 ;;
        carol) printf '%s\n' "$2" >&5 ;;
    esac
}

connects() {
    mkfifo "$scratch/$1.keyboard"
    "$nc" 127.0.0.1 "$port" <"$scratch/$1.keyboard" >"$scratch/$1" &
    pids="$! $pids"
}

: >"$scratch/server"
"$server" --listen 127.0.0.1:0 2>"$scratch/server" &
pids=$!
sees server "Listening on"
port=$(sed -n 's/.*Listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/server")

connects alice; exec 3>"$scratch/alice.keyboard"; sees alice "1 here"
says alice "/nick alice";                         sees alice "is now alice"
connects bob;   exec 4>"$scratch/bob.keyboard";   sees bob "2 here"
says bob "/nick bob";                             sees alice "bob joined"
connects carol; exec 5>"$scratch/carol.keyboard"; sees carol "3 here"
says carol "/nick carol";                         sees bob "carol joined"
says alice "Good morning, everybody!";            sees carol "Good morning"
says bob "/me yawns";                             sees carol "* bob yawns"
says carol "/msg bob There is coffee in room 7."; sees bob "coffee in room 7"
says bob "/reply On my way.";                     sees carol "On my way"
says alice "/list";                               sees alice "3 here: alice, bob, carol"
says bob "/quit coffee";                          sees alice 'bob left ("coffee")'
sees carol 'bob left ("coffee")'
says carol "/quit";                               sees alice "carol left"
says alice "/quit";                               sees alice "alice left"
sees server "alice, 127.0.0.1"

for who in alice bob carol server; do
    printf '%s saw:\n' "$who"
    sed 's/^/    /' "$scratch/$who"
    echo
done
