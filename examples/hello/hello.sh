#!/bin/sh
# Greet, then stay up: `docker stop` sends TERM, and a shell that waits for its child handles it at once.
trap 'echo "Goodbye."; exit 0' TERM INT
cat /app/greeting.txt
while :; do
  sleep 3600 &
  wait $!
done
