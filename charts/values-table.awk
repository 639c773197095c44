# The table of a chart's values from its values.yaml: one row for each key with a `# --` comment, which may go on over further
# comment lines. A value without such a comment, by itself or above it, is an error.
BEGIN { print "| Value | Default | What it is |"; print "|---|---|---|" }

/^ *# -- / { sub(/^ *# -- /, ""); text = $0; in_text = 1; next }
in_text && /^ *# / { sub(/^ *# /, ""); text = text " " $0; next }
{ in_text = 0 }

/^ *[A-Za-z][A-Za-z0-9]*:/ {
  match($0, /^ */); depth = RLENGTH / 2
  key = $0; sub(/^ */, "", key); sub(/:.*/, "", key)
  value = $0; sub(/^ *[A-Za-z0-9]+: */, "", value)
  # Inside the value of a key that has its row already, such as resources.
  if (block != "" && depth > block) next
  block = ""
  path[depth] = key
  name = path[0]; for (i = 1; i <= depth; i++) name = name "." path[i]
  if (text != "") {
    gsub(/\|/, "\\|", text)
    print "| `" name "` | " (value == "" ? "see [values.yaml](values.yaml)" : "`" value "`") " | " text " |"
    if (value == "") block = depth
    text = ""
  } else if (value != "") {
    print "values.yaml:" FNR ": " name " has no comment that starts with `# --`" > "/dev/stderr"
    failed = 1
  }
}

END { exit failed }
