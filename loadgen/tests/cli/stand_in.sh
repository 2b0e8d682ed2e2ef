#!/usr/bin/env bash
# Another build of pushbench, for tests: ours ($PUSHBENCH), whose server $STAND_IN makes misbehave.
set -euo pipefail

if [ "${1:-}" = --version ] && [ "$STAND_IN" = mute ]; then
    exec sleep 60
fi

if [ "${1:-}" = serve ]; then
    case "$STAND_IN" in
    faithful) ;;
    # The second start fails. $STARTS counts them.
    flaky)
        echo >>"$STARTS"
        if [ "$(wc -l <"$STARTS")" -eq 2 ]; then
            echo "failed on purpose" >&2
            exit 3
        fi
        ;;
    # Every start but the first, the rehearsal, fails.
    failing)
        echo >>"$STARTS"
        if [ "$(wc -l <"$STARTS")" -gt 1 ]; then
            echo "failed on purpose" >&2
            exit 3
        fi
        ;;
    # Does not know what it is asked.
    old)
        read -r _
        echo "unknown field" >&2
        exit 2
        ;;
    # Holds 256 KiB for each connection. The process substitution leaves the process its number.
    greedy) exec "$PUSHBENCH" "$@" < <(exec sed -u '1s/}$/,"faults":{"hoard_bytes":262144}}/') ;;
    # Burns 1 ms of CPU for each message, ten times what one costs in a debug build.
    slow) exec "$PUSHBENCH" "$@" < <(exec sed -u '1s/}$/,"faults":{"work_ns":1000000}}/') ;;
    esac
fi
exec "$PUSHBENCH" "$@"
