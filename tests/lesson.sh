#!/bin/sh
# Plays a step of the lesson in a tmux window of four panes: the server, alice, bob, and radio, whose command is
# typed and waits for Enter. Without a terminal it prints what the panes show, and ends.
# Usage: lesson.sh STEP [ADDRESS]
set -eu
step=${1:-}
case $step in
    [1-7]) ;;
    *) echo "lesson: say which step, 1 to 7: make lesson STEP=2" >&2; exit 2 ;;
esac

missing=
command -v tmux >/dev/null || missing=" tmux"
nc=$(command -v nc || command -v ncat || command -v nc.traditional) || missing="$missing netcat"
[ -z "$missing" ] || { echo "lesson: not installed here:$missing (Debian: apt install tmux netcat-openbsd)" >&2; exit 1; }

# Debian's netcat ends with its input only if it is told to. Others do so anyway.
hang_up=
if "$nc" -h 2>&1 | grep -q '^[[:space:]]*-N'; then hang_up=" -N"; fi

cd "$(dirname "$0")/.."
cargo build --locked --quiet --package chat-steps --bin "step_$step"

# A server of its own, so that it touches no other session and no one's settings.
tmux() { command tmux -L "chat-lesson-$$" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM PIPE

pane() { # how to split, whose
    tmux "$@" "env PS1='$who\$ ' sh"
}
types() { # into which pane, what
    tmux send-keys -t "lesson.$1" "$2" ${3:+"$3"}
}
shows() { # which pane, what; it looks ten times a second, for ten seconds
    tries=0
    until tmux capture-pane -p -t "lesson.$1" | grep -q -- "$2"; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { echo "lesson: pane $1 never showed: $2" >&2; exit 1; }
        sleep 0.1
    done
}

# 0 is the server, 1 alice, 2 bob, 3 radio.
who=server; pane new-session -d -s lesson -x 160 -y 48
who=bob;    pane split-window -t lesson.0 -h
who=alice;  pane split-window -t lesson.0 -v
who=radio;  pane split-window -t lesson.2 -v
tmux set-option -t lesson mouse on
tmux set-option -t lesson status-right "Ctrl-Z and fg stop and wake bob. Ctrl-B arrow: next pane. Ctrl-B d: the end."
tmux set-option -t lesson status-right-length 100

shows 0 'server\$'
types 0 "cargo run --quiet -p chat-steps --bin step_$step -- ${2:-127.0.0.1:12345}" Enter
shows 0 "Listening on"
port=$(tmux capture-pane -p -J -t lesson.0 | sed -n 's/.*Listening on .*:\([0-9]*\)$/\1/p')
for pane in 1 2; do
    types "$pane" "nc localhost $port" Enter
    [ "$step" = 1 ] || shows "$pane" "$pane here: "
done
types 3 "for i in \$(seq 5000); do seq -s ' ' 900; done | nc$hang_up localhost $port >/dev/null"
shows 3 "dev/null"
tmux select-pane -t lesson.1

if [ -t 0 ] && [ -t 1 ]; then
    unset TMUX
    tmux attach-session -t lesson
else
    for pane in 0 1 2 3; do tmux capture-pane -p -J -t "lesson.$pane" | grep .; done
fi
