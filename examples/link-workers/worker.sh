#!/bin/sh
# A worker in POSIX sh: `muster link -- sh worker.sh`. It runs one attempt at a time, each in a subshell that a `cancel` line ends.
say() { printf '%s\n' "$1" >&3; }
field() { value=${line#*"\"$1\":\""}; printf '%s' "${value%%\"*}"; }
number() { value=${line#*"\"$1\":"}; printf '%s' "${value%%[!0-9.]*}"; }
payload() { value=${line#*',"payload":'}; printf '%s' "${value%\}}"; }
done_with() { say "{\"kind\":\"result\",\"attempt\":\"$attempt\",$1}"; }

run() {
  case "$type" in
    echo) done_with "\"outcome\":\"succeeded\",\"output\":$(payload)" ;;
    sleep) sleep "$(number seconds)" && done_with '"outcome":"succeeded","output":"slept"' ;;
    fail) done_with '"outcome":"failed","class":"non_retryable","code":"NO_LUCK","message":"it was asked to fail"' ;;
    steps)
      for step in 1 2 3 4; do
        say "{\"kind\":\"progress\",\"attempt\":\"$attempt\",\"done\":$step,\"total\":4,\"unit\":\"steps\"}"
        sleep 0.05
      done
      done_with '"outcome":"succeeded","output":4' ;;
  esac
}

say '{"kind":"hello","version":1,"types":["echo","sleep","fail","steps"],"language":"sh","ready":true}'
while IFS= read -r line <&3; do
  case "$line" in
    '{"kind":"task"'*) attempt=$(field attempt) type=$(field type); run & job=$! ;;
    '{"kind":"cancel"'*) kill "$job"; done_with '"outcome":"cancelled","message":"the subshell was killed"' ;;
    '{"kind":"stop"'*) exit 0 ;;
  esac
done
