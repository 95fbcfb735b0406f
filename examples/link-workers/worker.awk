# A worker in awk: `muster link --stdio -- mawk -W interactive -f worker.awk` (gawk needs no option). Lines come on standard input.
function say(text) { print text; fflush() }
function member(name,    rest, begin) {
  begin = "\"" name "\":\""
  if (!index($0, begin)) return ""
  rest = substr($0, index($0, begin) + length(begin))
  return substr(rest, 1, index(rest, "\"") - 1)
}
function payload(    rest) {
  rest = substr($0, index($0, ",\"payload\":") + 11)
  return substr(rest, 1, length(rest) - 1)
}
function finish(fields) { say("{\"kind\":\"result\",\"attempt\":\"" member("attempt") "\"," fields "}") }

BEGIN { say("{\"kind\":\"hello\",\"version\":1,\"types\":[\"sum\"],\"language\":\"awk\",\"ready\":true}") }
/^\{"kind":"task"/ {
  numbers = payload()
  if (numbers !~ /^\[[-0-9., ]*\]$/) {
    finish("\"outcome\":\"failed\",\"class\":\"non_retryable\",\"code\":\"NO_NUMBERS\",\"message\":\"give a list of numbers\"")
    next
  }
  gsub(/[][ ]/, "", numbers)
  count = split(numbers, each, ",")
  for (total = 0; count > 0; count--) total += each[count]
  finish("\"outcome\":\"succeeded\",\"output\":" total)
}
/^\{"kind":"stop"/ { exit }
